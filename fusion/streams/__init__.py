"""Streams of a clip, on the clock of its frames: alignment, normalisation, their cache."""
