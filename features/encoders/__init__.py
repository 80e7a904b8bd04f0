"""Frozen encoders behind one protocol: crops or sound in, named streams of vectors out."""
