"""Emotions of speech and faces on RAVDESS, unseen actors."""
