"""Recipes: complete settings of `python -m fusion.train`, one YAML each."""
