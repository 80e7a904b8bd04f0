"""Versions of the libraries that touch features and models, for the record."""

import importlib.metadata
from contextlib import suppress
from functools import cache


@cache
def library_versions() -> dict[str, str]:
    """Versions of what touches the values, for the record."""
    names = ("affuse", "torch", "numpy", "av", "decord", "facenet-pytorch", "transformers")
    found = {}
    for name in names:
        with suppress(importlib.metadata.PackageNotFoundError):  # decord has no wheel everywhere
            found[name] = importlib.metadata.version(name)
    return found
