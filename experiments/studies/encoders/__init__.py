"""Encoders side by side."""
