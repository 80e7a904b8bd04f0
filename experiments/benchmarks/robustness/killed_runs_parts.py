"""What the studies of killed runs share: short clips, the command, stores, kills.

Data flow: clips > short ones > a run of the command, disturbed > what its store holds > compared
with that of an undisturbed run.
"""

import hashlib
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from experiments.benchmarks.looped_clips import loop_clip
from experiments.benchmarks.process_watch import PROC, kill, members, started, stat_fields
from features.pipeline.discovery import find_sources
from features.store.claims import FOLDER
from features.store.hashing import sha256_of
from features.store.person_names import split_person
from features.store.temp_folders import MARK
from features.store.track_store import SUFFIX

LENGTHS = (1.0, 1.5, 2.0)
"""Seconds of the short clips, in turns."""
GRACE = 5.0
"""Seconds in which processes must end whose parent was killed."""
WORKER_BYTES = 50 << 20
"""Memory from which a process without children is a worker and no helper."""

VICTIMS = ("all processes", "the first process", "a worker")
"""Who is killed, in turns."""

Track = tuple[int, int]
"""Number and time of change of a file: another if it was written anew."""


@dataclass(frozen=True)
class Kill:
    """What one kill did.

    Attributes:
        victim: One of `VICTIMS`.
        after: Seconds since the start of the run, or since the kill before if it survived that.
        working: Whether items had been begun; else it was starting.
        in_flight: Items that were claimed.
        redone: Items that were finished before and made once more afterwards.
        rewritten: Tracks of other items that were whole and made once more afterwards.
        outlived: Processes that outlived the killed run by more than they may.
        temporary: What it left among the system's temporary files, but for what an undisturbed run
            leaves there too.
    """

    victim: str
    after: float
    working: bool
    in_flight: list[str]
    redone: list[str] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    outlived: int = 0
    temporary: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """A store that a run completed: paths that differ from the undisturbed one, what was left."""

    differing: list[str]
    left: list[str]
    retried: bool = False


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
    def running(
        self, store: Path, *, retry: bool = False, log: str = "log"
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Starts the literal command on the clips; at the end none of its processes is left."""
        words = self.words(store) + (["--retry_failed", "true"] if retry else [])
        with (
            (self.work / f"{log}.txt").open("wb") as file,
            started(words, file.fileno(), {"TMPDIR": str(self.temporary)}) as process,
        ):
            yield process

    def words(self, store: Path) -> list[str]:
        """The literal command."""
        words = [sys.executable, "-m", "features.extract", "--data.root", str(self.clips)]
        return [*words, "--data.store", str(store), *self.options]

    def said(self, log: str = "log") -> str:
        """What the last run wrote."""
        return (self.work / f"{log}.txt").read_text(errors="replace")

    def verified(self, store: Path) -> bool:
        """Whether `features.verify` finds nothing wrong with a store."""
        words = [sys.executable, "-m", "features.verify", str(store)]
        words += ["--data.root", str(self.clips)]
        return subprocess.run(words, stdout=subprocess.DEVNULL).returncode == 0

    def items(self) -> int:
        """Number of short clips."""
        return len(find_sources(self.clips))


def short_clips(videos: Sequence[Path], count: int, folder: Path) -> None:
    """Makes short clips of the beginnings of videos, in turns; those that are there stay."""
    for number in range(count):
        video = videos[number % len(videos)]
        target = folder / f"{number:02d}-{video.stem}.mp4"
        if not target.exists():
            loop_clip(video, target, LENGTHS[number // len(videos) % len(LENGTHS)])


# Stores ----------------------------------------------------------------------------------------


def content(store: Path) -> dict[str, str]:
    """sha256 of every file of a store by its path in it; of JSON, in the order of its keys."""
    return {
        str(path.relative_to(store)): _hash(path)
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }


def _hash(path: Path) -> str:
    if path.suffix != ".json":
        return sha256_of(path)
    ordered = json.dumps(json.loads(path.read_text()), sort_keys=True)
    return hashlib.sha256(ordered.encode()).hexdigest()


def differing(found: Mapping[str, str], expected: Mapping[str, str]) -> list[str]:
    """Paths that only one of two stores has, or that are not the same in both."""
    return sorted(
        path for path in found.keys() | expected.keys() if found.get(path) != expected.get(path)
    )


def left_behind(store: Path) -> list[str]:
    """Temporary files, claims and folders of claims in a store."""
    return sorted(str(path.relative_to(store)) for path in store.rglob(".*"))


def in_flight(store: Path) -> list[str]:
    """Items that are claimed."""
    folder = store / FOLDER
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return sorted(name for name in names if not name.startswith("."))


def tracks(store: Path) -> dict[str, Track]:
    """Every track of a store."""
    found = {}
    for path in store.glob(f"*/*{SUFFIX}"):
        if not path.name.startswith("."):
            stat = path.stat()
            found[str(path.relative_to(store))] = (stat.st_ino, stat.st_mtime_ns)
    return found


def finished(there: Collection[str], expected: Collection[str]) -> set[str]:
    """Items of which all tracks are there."""
    lacking = {item_of(path) for path in expected if path not in there}
    return {item_of(path) for path in expected} - lacking


def rewritten(before: Mapping[str, Track], after: Mapping[str, Track]) -> list[str]:
    """Tracks that were there before and were made once more."""
    return sorted(path for path, track in before.items() if after.get(path, track) != track)


def item_of(path: str) -> str:
    """The video that a track belongs to."""
    return split_person(Path(path).name.removesuffix(SUFFIX))[0]


# Kills -----------------------------------------------------------------------------------------


def workers(session: int) -> list[int]:
    """Processes of a run that do its work for the first: large, and without children."""
    there = members(session)
    fields = {pid: stat_fields(pid) for pid in there}
    parents = {int(each[1]) for each in fields.values() if each}
    return [pid for pid in there if pid != session and pid not in parents and _is_large(pid)]


def strike(session: int, victim: str, rng: random.Random) -> str:
    """Kills all processes of a run, its first one or one of its workers; says which it was.

    Where there is no worker, its first process is killed.
    """
    chosen = workers(session) if victim == "a worker" else []
    if chosen:
        kill(rng.choice(chosen))
    elif victim == "all processes":
        kill(*members(session))
    else:
        kill(session)
        return "the first process"
    return victim


def survivors(session: int) -> int:
    """How many processes outlive a killed run for longer than they may; kills those."""
    until = time.monotonic() + GRACE
    while (left := members(session)) and time.monotonic() < until:
        time.sleep(0.05)
    kill(*left)
    return len(left)


def emptied(folder: Path, *, marked: bool = True) -> list[str]:
    """Removes all in a folder; says what it was.

    Args:
        folder: Of temporary files.
        marked: Whether folders go too that the next run is to remove.
    """
    paths = [path for path in folder.iterdir() if marked or not (path / MARK).exists()]
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return sorted(path.name for path in paths)


def _is_large(pid: int) -> bool:
    """Whether a process has more in memory than a helper of the interpreter."""
    try:
        pages = int((PROC / str(pid) / "statm").read_text().split()[1])
    except OSError:
        return False
    return pages * 4096 > WORKER_BYTES
