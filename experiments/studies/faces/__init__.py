"""Finding and following faces."""
