"""Corpora and probes for the packaged model of faces and voices."""
