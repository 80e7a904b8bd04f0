"""Predictions behind an upload: jobs over HTTP, and processes that do what predict does."""
