"""Context over time."""
