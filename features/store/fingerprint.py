"""One fingerprint for every cache: what went in, under which settings, by which code.

Data flow: tracks or files > their content; settings; version of the code > `fingerprint`.

A cache keeps each result under the fingerprint of all that the result depends on, and serves
nothing that bears another one. Times of change and places of files are no part of it.

    made_of = tracks_content([store.path("expression", "12"), store.path("prosody", "12")])
    name = fingerprint([checkpoint.revision, made_of], {"window": 0.5}, version=RULES)
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from collections.abc import Set as AnySet
from contextlib import suppress
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from features.store.feature_track import read_checksum
from features.store.track_store import SUFFIX

PICTURES = 2
"""How files become pictures and clocks (features/media but for sound, ready-made crops). Raise it
when the same file gives other pixels or times: all visual tracks are made anew."""
SOUND = 2
"""How files become sound (features/media/sound/audio.py). Raise it when the same file gives other
samples or
another offset: all tracks of sound are made anew."""
FACES = 3
"""How faces are found, followed, named and cut out of pictures (features/faces). Raise it when the
same pictures give other faces: all visual tracks are made anew."""

ABSENT = "absent"
"""Content of a track that is not there."""
RECORDED = ("affuse", "torch", "numpy", "av", "decord", "facenet-pytorch", "transformers")
"""Packages that touch features and models."""


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
    own = is_dataclass(settings) and not isinstance(settings, type)
    text = json.dumps(asdict(settings) if own else settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def library_versions() -> dict[str, str]:
    """Versions of what touches the values, for the record."""
    found = {}
    for name in RECORDED:
        with suppress(importlib.metadata.PackageNotFoundError):  # decord has no wheel everywhere
            found[name] = importlib.metadata.version(name)
    return found


def fingerprint(content: Any, settings: Any = None, *, version: int | str) -> str:
    """16 hex digits that stand for a result: equal if and only if all three are equal.

    Args:
        content: What went in: `tracks_content`, `files_content`, revisions, plain values.
        settings: Every setting that touches the result; a dataclass or plain values.
        version: Of the code that makes the result, to be raised when it gives something else.

    Raises:
        TypeError: For what has no value of its own, and so would never be equal to anything.
    """
    text = json.dumps(_plain([content, settings, version]), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def tracks_content(paths: Iterable[Path]) -> list[list[str]]:
    """What a set of tracks holds, in any order: stream, id and checksum of each.

    Only headers are read; the checksum there is over header and values. Of a track of an old
    version, which has none, the whole file is hashed. One that is not there counts as absent.

    Raises:
        DamagedTrack: If a header cannot be read.
    """
    return sorted([p.parent.name, p.name.removesuffix(SUFFIX), _of_track(p)] for p in set(paths))


def files_content(paths: Iterable[Path]) -> list[str]:
    """sha256 of each of some files, in their order."""
    return [sha256_of(path) for path in paths]


def _of_track(path: Path) -> str:
    try:
        return read_checksum(path) or sha256_of(path)
    except FileNotFoundError:
        return ABSENT


def _plain(value: Any) -> Any:
    """The value as JSON has it, with the names of dataclasses' fields."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, AnySet):
        return sorted((_plain(one) for one in value), key=json.dumps)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    raise TypeError(f"{type(value).__name__} cannot be part of a fingerprint")
