"""The files of a store, one by one. Data flow: store > Files > each read > Track or Problem.

Looked at are `STORE/STREAM/*`, the cache `STORE/.aligned/STREAM/*`, and temporary files. Hidden
files of others and what else lies in STORE are nobody's business here.
"""

import hashlib
import json
import os
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from features.errors import UserError
from features.pipeline.source_hashes import SourceHashes
from features.store.atomic_file import PARTIAL
from features.store.feature_track import TENSORS, DamagedTrack, TrackInfo, read_checksum, read_track
from features.store.track_store import SUFFIX

CACHE = ".aligned"
"""Folder in the store where fusion keeps tracks aligned on frames, as STREAM/ID-KEY.safetensors."""
MEMORY = "sources.json"
"""File in the store with the hashes of the sources."""
_ANEW = "--repair removes it, features.extract (or features.ingest) makes it anew"


class Kind(Enum):
    """What can be wrong with a file: its name and the remedy."""

    DAMAGED = ("damaged", _ANEW)
    MISNAMED = ("misnamed", _ANEW)
    STALE = ("stale", _ANEW)
    MISSING = ("missing", "features.extract makes it anew")
    ORPHAN = ("orphan", "--repair removes it")
    CACHE = ("stale cache", "--repair removes it, fusion makes it anew")
    TEMPORARY = ("temporary", "left by a killed run; --repair removes it")
    FOREIGN = ("foreign", "--repair leaves it; move it out of the store, or give it its old name")
    UNREADABLE = ("unreadable", "--repair leaves it; mend its rights or the disk")
    WORK = ("in work", "a run works on it; check again when it has ended")
    STRAY = ("stray", "no file of the store's; harmless, and --repair leaves it")

    @property
    def removable(self) -> bool:
        """Whether repair removes such files: only what is ours and can be made again."""
        return self not in (Kind.MISSING, Kind.FOREIGN, Kind.UNREADABLE, Kind.WORK, Kind.STRAY)


@dataclass(frozen=True)
class Problem:
    """A file that is not as it should be.

    Attributes:
        kind: What is wrong.
        path: The file; a folder for a stream under another's name.
        cause: How it was noticed.
    """

    kind: Kind
    path: Path
    cause: str

    def __str__(self) -> str:
        name, remedy = self.kind.value
        return " ".join(f"{name}: {self.path}: {self.cause}; {remedy}".split())


@dataclass(frozen=True)
class Track:
    """A track that was read and is whole.

    Attributes:
        path: Its file.
        info: Its header.
        tokens: T.
        clock: Hash of its times.
        size: Bytes.
        changed: Time of change, ns.
        checked: Whether it has a checksum; without one a flipped bit goes unnoticed.
    """

    path: Path
    info: TrackInfo
    tokens: int
    clock: bytes
    size: int
    changed: int
    checked: bool

    @property
    def stream(self) -> str:
        """Stream by its place."""
        return self.path.parent.name

    @property
    def id(self) -> str:
        """Id by its name."""
        return self.path.name.removesuffix(SUFFIX)


@dataclass
class Files:
    """Files of a store: tracks, tracks of the cache, and what is neither or cannot be listed."""

    tracks: list[Path] = field(default_factory=list)
    cached: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def find_files(store: Path) -> Files:
    """Lists a store; UserError if there is none or nothing in it."""
    if not store.is_dir():
        raise UserError(f"{store}: no such folder; give the folder of the tracks")
    files = Files(problems=[_temporary(p) for p in _entries(store) if PARTIAL.fullmatch(p.name)])
    for folder in _entries(store):
        if folder.name == CACHE and folder.is_dir():
            for stream in _entries(folder):
                _list(stream, files.cached, files.problems)
        elif not folder.name.startswith("."):
            _list(folder, files.tracks, files.problems)
    if not (files.tracks or files.cached or files.problems):
        raise UserError(f"{store}: no track in it; run python -m features.extract")
    return files


def _list(folder: Path, tracks: list[Path], problems: list[Problem]) -> None:
    """Adds the tracks and problems of a stream's folder; another folder or a file adds nothing."""
    try:
        entries = _entries(folder)
    except NotADirectoryError:
        return
    except OSError as error:
        problems.append(Problem(Kind.UNREADABLE, folder, str(error.strerror)))
        return
    ours = [p for p in entries if p.name.endswith(SUFFIX) and not p.name.startswith(".")]
    partial = [p for p in entries if PARTIAL.fullmatch(p.name)]
    tracks += ours
    problems += map(_temporary, partial)
    if ours or partial:
        rest = (p for p in entries if p not in ours and not p.name.startswith("."))
        problems += (Problem(Kind.STRAY, p, f"not *{SUFFIX}") for p in rest)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def _temporary(path: Path) -> Problem:
    return Problem(Kind.TEMPORARY, path, "half-written")


def examine(path: Path) -> Track | Problem | None:
    """Reads a file through; None if it has vanished since it was listed.

    It is first read as bytes, since a failing disk is an error there, but kills who maps the file.
    """
    try:
        state = path.stat()
        _read_through(path)
        track, checked = read_track(path), read_checksum(path) is not None
    except FileNotFoundError:
        return None
    except DamagedTrack as error:
        cause = str(error).removeprefix(f"{path}: ")
        return Problem(Kind.DAMAGED if _was_ours(path) else Kind.FOREIGN, path, cause)
    except OSError as error:
        return Problem(Kind.UNREADABLE, path, str(error.strerror))
    clock = hashlib.sha256(track.times.data).digest()
    return Track(path, track.info, len(track), clock, state.st_size, state.st_mtime_ns, checked)


def _read_through(path: Path) -> None:
    block = bytearray(1 << 20)
    with path.open("rb", buffering=0) as file:
        while file.readinto(block):
            pass


def _was_ours(path: Path) -> bool:
    """Whether a file that is no whole track once was one: not if its header tells of others."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(min(length, 1 << 20)))
        except ValueError:
            return True  # nothing legible in a track's place
    return not isinstance(header, dict) or not header.keys().isdisjoint(TENSORS)


def read_memory(store: Path) -> tuple[SourceHashes, list[Problem]]:
    """Remembered hashes of the sources, and the problem if their file is damaged."""
    path = store / MEMORY
    try:
        known = json.loads(path.read_text())
        if not all(isinstance(v, list) and len(v) == 3 for v in known.values()):
            raise ValueError("not hashes")
    except FileNotFoundError:
        pass
    except (ValueError, AttributeError):
        nothing = SourceHashes(Path(os.devnull))  # the file stays until repair
        return nothing, [Problem(Kind.DAMAGED, path, "not the hashes of sources")]
    return SourceHashes(path), []
