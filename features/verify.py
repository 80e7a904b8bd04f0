"""`python -m features.verify STORE`: whether every track of a store is whole and as it should be.

Data flow: store > its files > each read through > Tracks and Problems > Tracks judged beside each
other and beside the sources (checks.py) > those in work set apart (repair.py) >
table, a line a problem, repair.

    python -m features.verify data/demo/tracks
    python -m features.verify tracks --data.root /data/Aff-Wild2  # and beside the sources
    python -m features.verify tracks --repair                     # then features.extract again

Nothing is written without `--repair`, which takes away only tracks and temporary files of ours,
none that was written after the check began and none of a video that a run works on: those are
reported as in work. A key in the minority of a stream counts as stale.
"""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

from features.cli.app import FAILED, OK, run
from features.cli.default_corpus import DEMO_ROOT, default_store
from features.cli.progress import ProgressReport
from features.cli.wording import counted
from features.pipeline.discovery import find_sources
from features.store.atomic_file import write_atomically
from features.verification.checks import judge, source_check
from features.verification.files import Kind, Problem, Track, examine, find_files, read_memory
from features.verification.repair import claimed_names, repair, set_apart

THREADS = 2
"""Reading and hashing release Python's lock; more threads only make a disk seek."""


@dataclass
class RootSettings:
    """Where the videos are.

    Args:
        root: Folder with the sources. None: tracks are not compared with them.
    """

    root: Path | None = None


@dataclass
class VerifySettings:
    """Settings of the check.

    Args:
        store: Folder of the tracks; its name alone will do. None: `ROOT/tracks`, of the demo corpus
            where no root is given either.
        data: Where the videos are.
        repair: Whether to remove what must be redone. What an extraction works on is left to it;
            aligned tracks (STORE/.aligned) are removed even from under a training.
        out: CSV file for the problems, a row each.
    """

    POSITIONAL: ClassVar[str] = "store"
    ESSENTIAL: ClassVar[tuple[str, ...]] = (
        "data.root",
        "repair",
        "out",
    )

    store: Path | None = None
    data: RootSettings = field(default_factory=RootSettings)
    repair: bool = False
    out: Path | None = None


@dataclass(frozen=True)
class Findings:
    """What a store holds.

    Attributes:
        files: Track files of the store, without its cache.
        tracks: Those that are whole.
        problems: All that is not as it should be, by path.
    """

    files: list[Path]
    tracks: list[Track]
    problems: list[Problem]


def verify(store: Path, root: Path | None = None) -> Findings:
    """Reads every track of a store; changes nothing.

    Args:
        store: Folder of the tracks.
        root: Folder of their sources; None: not compared.

    Raises:
        UserError: If there is no such store, it is empty, or the sources are of something else.
    """
    claimed = claimed_names(store)
    files = find_files(store)
    hashes, problems = read_memory(store)
    sources = None if root is None else source_check(root, find_sources(root), hashes)
    seen = _examine_all([*files.tracks, *files.cached])
    tracks = [track for p in files.tracks if isinstance(track := seen[p], Track)]
    cached = [track for p in files.cached if isinstance(track := seen[p], Track)]
    problems += files.problems + [p for p in seen.values() if isinstance(p, Problem)]
    problems += judge(tracks, cached, sources)
    problems = set_apart(problems, claimed | claimed_names(store))
    return Findings(files.tracks, tracks, sorted(problems, key=lambda problem: problem.path))


def _examine_all(paths: Sequence[Path]) -> dict[Path, Track | Problem | None]:
    """All files, read through."""
    pool = ThreadPoolExecutor(THREADS)
    seen = {}
    try:
        with ProgressReport("verify", len(paths)) as progress:
            for path, found in zip(paths, pool.map(examine, paths), strict=True):
                seen[path] = found
                progress.step(f"{path.parent.name}/{path.stem}")
    finally:
        pool.shutdown(cancel_futures=True)  # so that Ctrl-C need not wait for the whole store
    return seen


def table(findings: Findings) -> list[str]:
    """Lines of a table by stream; tokens are frames, or steps of sound."""
    lines = [_row("stream", "tracks", "tokens", "MB", "no checksum", "problems")]
    for folder in sorted({path.parent for path in findings.files}):
        tracks = [track for track in findings.tracks if track.path.parent == folder]
        wrong = [p for p in findings.problems if _is_wrong(p) and folder in (p.path, p.path.parent)]
        lines.append(
            _row(
                folder.name,
                sum(path.parent == folder for path in findings.files),
                sum(track.tokens for track in tracks),
                f"{sum(track.size for track in tracks) / 1e6:.1f}",
                sum(not track.checked for track in tracks),
                len(wrong),
            )
        )
    return lines


def _row(stream: str, *cells: object) -> str:
    return f"{stream:<24}" + "".join(f"{cell!s:>13}" for cell in cells)


def _is_wrong(problem: Problem) -> bool:
    return problem.kind is not Kind.STRAY


def write_csv(problems: Iterable[Problem], path: Path) -> None:
    """Writes a row a problem: kind, path, cause, remedy."""
    import pandas as pd  # takes a third of a second

    rows = [(p.kind.value[0], p.path, p.cause, p.kind.value[1]) for p in problems]
    frame = pd.DataFrame(rows, columns=["kind", "path", "cause", "remedy"])
    write_atomically(path, frame.to_csv(index=False, lineterminator="\r\n").encode())


def command(settings: VerifySettings) -> int:
    """Checks a store and prints what is wrong; mends it if wanted."""
    began = time.time_ns()
    store = settings.store or default_store(settings.data.root or DEMO_ROOT)
    findings = verify(store, settings.data.root)
    for line in [*table(findings), *map(str, findings.problems)]:
        print(line)
    if settings.out:
        write_csv(findings.problems, settings.out)
    rest = findings.problems
    if settings.repair:
        rest = repair(store, rest, began, print)
    wrong, mended = sum(map(_is_wrong, rest)), len(findings.problems) - len(rest)
    print(f"{store}: {counted(wrong, 'problem')}{' left' if mended else ''}")
    if mended:
        print(f"{counted(mended, 'file')} removed; now run python -m features.extract")
    return FAILED if wrong else OK


main = partial(run, VerifySettings, command, prog="features.verify", description=__doc__ or "")

if __name__ == "__main__":
    main()
