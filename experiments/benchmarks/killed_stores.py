"""What `killed_runs` runs, kills and looks at.

Data flow: the literal command > a session of processes > killed; folder of a store > content,
tracks, claims.
"""

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from experiments.timing import kill, members, started
from features.cli.app import OK
from features.errors import UserError
from features.store.claims import FOLDER
from features.store.fingerprint import settings_hash, sha256_of
from features.store.person_names import split_person
from features.store.temp_folders import MARK
from features.store.track_store import SUFFIX

GRACE = 5.0
"""Seconds in which processes must end whose parent was killed."""
WORKER_BYTES = 50 << 20
"""Memory from which a process without children is a worker and no helper."""
VICTIMS = ("all processes", "the first process", "a worker")
"""Who is killed, in turns."""
Track = tuple[int, int]
"""Number and time of change of a file: another if it was written anew."""


@dataclass
class Kill:
    """What one kill did.

    Attributes:
        victim: One of `VICTIMS`.
        in_flight: Items that were claimed.
        working: Whether items had been begun; else the run was starting.
        outlived: Processes that outlived the killed run by more than they may.
        temporary: Temporary files outside the store.
        redone: Items that were finished before and made once more afterwards.
    """

    victim: str
    in_flight: list[str]
    working: bool
    outlived: int = 0
    temporary: int = 0
    redone: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """A complete store: paths that differ from the undisturbed one, what was left behind."""

    differing: list[str]
    left: list[str]


@dataclass(frozen=True)
class Course:
    """Where a study runs.

    Attributes:
        clips: Folder of the short clips.
        work: Folder of stores and logs.
        temporary: Folder for temporary files outside the stores.
        options: Further words of the extraction's command line.
    """

    clips: Path
    work: Path
    temporary: Path
    options: Sequence[str] = ()

    @contextmanager
    def running(self, store: Path, log: str = "log") -> Iterator[subprocess.Popen[bytes]]:
        """Starts the literal command on the clips; at the end none of its processes is left."""
        with (
            (self.work / f"{log}.txt").open("wb") as file,
            started(self.words(store), file.fileno(), {"TMPDIR": str(self.temporary)}) as process,
        ):
            yield process

    def words(self, store: Path) -> list[str]:
        """The literal command."""
        words = [sys.executable, "-m", "features.extract", "--data.root", str(self.clips)]
        return [*words, "--data.store", str(store), "--retry_failed", "true", *self.options]

    def said(self, log: str = "log") -> str:
        """What a run wrote."""
        return (self.work / f"{log}.txt").read_text(errors="replace")

    def undisturbed(self, store: Path) -> float:
        """Seconds of a run that nobody disturbs, into a new store."""
        shutil.rmtree(store, ignore_errors=True)
        began = time.perf_counter()
        with self.running(store) as process:
            status = process.wait()
        if status != OK:
            raise UserError(f"the undisturbed run failed: {self.said()[-500:]}")
        return time.perf_counter() - began


def strike(session: int, victim: str, rng: random.Random) -> str:
    """Kills all processes of a run, its first one or one of its workers; says which it was.

    Where there is no worker, its first process is killed.
    """
    there = members(session)
    workers = []
    for each in there:
        with suppress(psutil.Error):
            if (
                each.pid != session
                and not each.children()
                and each.memory_info().rss > WORKER_BYTES
            ):
                workers.append(each)
    if victim == VICTIMS[2] and workers:
        kill([rng.choice(workers)])
        return victim
    kill(there if victim == VICTIMS[0] else [each for each in there if each.pid == session])
    return VICTIMS[0] if victim == VICTIMS[0] else VICTIMS[1]


def survivors(session: int) -> int:
    """How many processes outlive a killed run for longer than they may; kills those."""
    until = time.monotonic() + GRACE
    while (left := members(session)) and time.monotonic() < until:
        time.sleep(0.05)
    kill(left)
    return len(left)


def content(store: Path) -> dict[str, str]:
    """sha256 of every file of a store by its path in it; of JSON, in the order of its keys."""
    found = {}
    for path in sorted(path for path in store.rglob("*") if path.is_file()):
        found[str(path.relative_to(store))] = (
            settings_hash(json.loads(path.read_text()))
            if path.suffix == ".json"
            else sha256_of(path)
        )
    return found


def differing(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """Paths that only one of two stores has, or that are not the same in both."""
    return sorted({path for path, _ in found.items() ^ expected.items()})


def left_behind(store: Path) -> list[str]:
    """Temporary files, claims and folders of claims in a store."""
    return sorted(str(path.relative_to(store)) for path in store.rglob(".*"))


def in_flight(store: Path) -> list[str]:
    """Items that are claimed."""
    folder = store / FOLDER
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(name for name in names if not name.startswith("."))


def tracks(store: Path) -> dict[str, Track]:
    """Every track of a store by its path in it."""
    paths = [path for path in store.glob(f"*/*{SUFFIX}") if not path.name.startswith(".")]
    found = [(path, path.stat()) for path in paths]
    return {str(p.relative_to(store)): (stat.st_ino, stat.st_mtime_ns) for p, stat in found}


def finished(there: Collection[str], expected: Collection[str]) -> set[str]:
    """Items of which all tracks are there."""
    wanted = {path for path in expected if path.endswith(SUFFIX)}
    return set(map(item_of, wanted)) - {item_of(path) for path in wanted if path not in there}


def item_of(path: str) -> str:
    """The video that a track belongs to."""
    return split_person(Path(path).name.removesuffix(SUFFIX))[0]


def emptied(folder: Path, *, marked: bool = True) -> list[str]:
    """Removes all in a folder of temporary files; says what it was.

    Args:
        folder: The folder.
        marked: Whether folders go too that the next run is to remove.
    """
    paths = [path for path in folder.iterdir() if marked or not (path / MARK).exists()]
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return sorted(path.name for path in paths)
