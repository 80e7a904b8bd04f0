"""The systems on a simulated benchmark of Aff-Wild2's shape."""
