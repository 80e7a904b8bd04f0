"""Which clips are scored, and what must be said beside the scores."""
