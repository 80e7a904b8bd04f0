"""Formulas over columns: read from text, never run as code; their values, and what they can be."""
