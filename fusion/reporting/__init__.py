"""Scores and predictions as tables, figures and timelines."""
