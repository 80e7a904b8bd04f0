"""Hashes that key tracks: of files, of weights, of settings."""

import hashlib
import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any


def sha256_of(*paths: Path) -> str:
    """sha256 over the bytes of the files, one after the other; 64 hex digits."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def weights_hash(*paths: Path) -> str:
    """Revision of weights: the first 16 hex digits of `sha256_of`."""
    return sha256_of(*paths)[:16]


def settings_hash(settings: Any) -> str:
    """Short stable hash of a JSON-able value or dataclass: equal settings, equal hash."""
    plain = (
        asdict(settings) if is_dataclass(settings) and not isinstance(settings, type) else settings
    )
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()[:16]
