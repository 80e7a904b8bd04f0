"""Features that were computed elsewhere, read as tracks."""
