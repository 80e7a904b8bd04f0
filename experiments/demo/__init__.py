"""The demo: a synthetic corpus, and the jobs that run on it."""
