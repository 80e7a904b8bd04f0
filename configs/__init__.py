"""Recipes of `python -m fusion.train`: mtl is complete, the others say what differs from it."""
