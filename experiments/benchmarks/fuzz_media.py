"""Extraction from damaged files: each comes out right or is listed with its cause.

Data flow: 3 clips > mutants (damage.py) > one run of `features.extract` > judged > page.

    python -m experiments.benchmarks.fuzz_media --clips ../shared/data/clips
"""

import csv
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd

from experiments.benchmarks.damage import Mutant, make_mutants
from experiments.pages import table, write_page
from features.cli.app import FAILED, OK, run
from features.errors import UserError
from features.media import MediaError, probe
from features.pipeline.failures import FILE
from features.store.track_store import TrackStore
from features.verification.files import Kind
from features.verify import verify

STREAMS = ("faces", "expression", "prosody")
CLIPS = 3


@dataclass
class FuzzSettings:
    """Settings of the study.

    Args:
        clips: Folder of real clips; the three smallest with sound are used.
        count: Files to make.
        work: Folder for files and tracks; must not be there yet.
        page: The page that is written.
        limit: Seconds that the extraction may take.
    """

    clips: Path
    count: int = 300
    work: Path = Path("runs/fuzz")
    page: Path = Path(__file__).parents[1] / "results/fuzz.md"
    limit: float = 3600.0


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        mutant: The file.
        cause: Why it is listed as failed; empty if it was extracted.
        fault: What extraction did wrong; empty if nothing.
    """

    mutant: Mutant
    cause: str
    fault: str


def judge(mutants: Sequence[Mutant], store: TrackStore) -> list[Verdict]:
    """Compares a store with the files it was made from."""
    causes = _listed(store.root)
    findings = verify(store.root)
    bad = {p.path.name: str(p) for p in findings.problems if p.kind is not Kind.STRAY}
    return [_verdict(mutant, causes.get(mutant.path.stem, ""), store, bad) for mutant in mutants]


def _verdict(mutant: Mutant, cause: str, store: TrackStore, bad: dict[str, str]) -> Verdict:
    name = mutant.path.stem
    if cause:
        refused = mutant.frames is not None
        return Verdict(mutant, cause, "refused, though its pictures are whole" if refused else "")
    missing = [stream for stream in STREAMS if not store.has(stream, name)]
    if missing:
        return Verdict(mutant, "", f"neither listed nor complete: no {missing[0]}")
    if problem := bad.get(f"{name}.safetensors"):
        return Verdict(mutant, "", problem)
    rows = {len(store.read(stream, name)) for stream in ("faces", "expression")}
    if len(rows) > 1 or mutant.frames not in (None, *rows):
        return Verdict(mutant, "", f"{rows} rows for {mutant.frames} frames")
    return Verdict(mutant, "", "")


def _listed(store: Path) -> dict[str, str]:
    """Causes in a store's `failures.csv` by id."""
    if not (store / FILE).exists():
        return {}
    with (store / FILE).open(newline="") as file:
        return {row["id"]: row["cause"] for row in csv.DictReader(file)}


def extract_all(files: Path, store: Path, limit: float) -> tuple[float, int, list[str]]:
    """Runs the command; seconds, exit status, and what the run as a whole did wrong."""
    words = [sys.executable, "-m", "features.extract", "--data.root", str(files)]
    words += ["--data.store", str(store), "--encoders", "[expression,prosody]"]
    began = time.perf_counter()
    try:
        done = subprocess.run(words, stderr=subprocess.PIPE, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return limit, FAILED, [f"hang: not done after {limit:.0f} s"]
    faults = ["crash: " + _last(done.stderr)] if b"Traceback" in done.stderr else []
    faults += [f"temporary file: {path.name}" for path in store.rglob("*.partial")]
    if done.returncode not in (OK, FAILED) or bool(_listed(store)) != bool(done.returncode):
        faults.append(f"exit status {done.returncode}: " + _last(done.stderr))
    return time.perf_counter() - began, done.returncode, faults


def _last(stderr: bytes) -> str:
    return (stderr.decode(errors="replace").strip().splitlines() or [""])[-1]


def smallest_clips(folder: Path) -> list[Path]:
    """The clips with sound that have the fewest pixels a frame."""
    found = []
    for path in sorted(folder.glob("*.mp4")):
        try:
            info = probe(path)
        except MediaError:
            continue
        if info.has_sound:
            found.append((info.width * info.height, path))
    if len(found) < CLIPS:
        raise UserError(f"{folder}: fewer than {CLIPS} mp4 files with sound; give another folder")
    return [path for _, path in sorted(found)[:CLIPS]]


def page(
    settings: FuzzSettings, clips: Sequence[Path], verdicts: Sequence[Verdict], run_line: str
) -> str:
    """The page as Markdown."""
    frame = pd.DataFrame({
        "kind": [v.mutant.kind for v in verdicts],
        "whole": [v.mutant.frames is not None for v in verdicts],
        "listed": [bool(v.cause) for v in verdicts],
        "cause": [_kind_of(v) if v.cause else "" for v in verdicts],
        "line": [_short(v) for v in verdicts],
    })  # fmt: skip
    kinds = [
        {
            "kind": kind,
            "pictures whole": "yes" if mine.whole.any() else "",
            "files": len(mine),
            "extracted": int((~mine.listed).sum()),
            "listed": int(mine.listed.sum()),
        }
        for kind, mine in frame.groupby("kind", sort=False)
    ]
    listed = frame[frame.listed].groupby("cause")
    causes = [
        {
            "cause": cause,
            "files": len(mine),
            "for example": mine.kind.iloc[0],
            "its line": f"`{mine.line.iloc[0]}`",
        }
        for cause, mine in sorted(listed, key=lambda pair: -len(pair[1]))
    ]
    faults = [f"- {v.mutant.path.name} ({v.mutant.kind}): {v.fault}" for v in verdicts if v.fault]
    return _TEXT.format(
        command="python -m experiments.benchmarks.fuzz_media"
        f" --clips {settings.clips} --count {settings.count}",
        day=date.today(),
        count=len(verdicts),
        clips=", ".join(clip.stem for clip in clips),
        run=run_line,
        extracted=int((~frame.listed).sum()),
        listed=int(frame.listed.sum()),
        known=int(frame.whole.sum()),
        faults="\n".join(faults) or "None.",
        kinds=table(kinds),
        causes=table(causes) if causes else "None.",
    )


def _short(verdict: Verdict) -> str:
    """A cause with the bare name of the file."""
    path = verdict.mutant.path
    return verdict.cause.replace(str(path.absolute()), path.name).replace(str(path), path.name)


def _kind_of(verdict: Verdict) -> str:
    """A cause without the file's name, numbers and remedy."""
    text = _short(verdict).replace(f"{verdict.mutant.path.name}: ", "").split(";")[0]
    return re.sub(r"\d+(\.\d+)?", "N", text)


def command(settings: FuzzSettings) -> int:
    """Makes the files, extracts, judges and writes the page."""
    if settings.work.exists():
        raise UserError(f"{settings.work}: is there already; remove it or give another --work")
    clips = smallest_clips(settings.clips)
    mutants = make_mutants(clips, settings.work / "files", settings.count)
    store = settings.work / "tracks"
    seconds, status, faults = extract_all(settings.work / "files", store, settings.limit)
    verdicts = judge(mutants, TrackStore(store))
    line = f"It took {seconds:.0f} s and ended with status {status}; faults of the run: "
    line += "; ".join(faults) or "none"
    write_page(page(settings, clips, verdicts, line), settings.page)
    wrong = len(faults) + sum(bool(verdict.fault) for verdict in verdicts)
    print(f"{len(verdicts)} files, {wrong} faults: {settings.page}")
    return FAILED if wrong else OK


_TEXT = """# Damaged files

Written by `{command}` on {day}, on 2 cores of a shared machine.

{count} files made from a second of each of three real clips ({clips}), the same at every call:
damaged bytes and damaged packets. One run of `python -m features.extract --encoders
'[expression,prosody]'` over all. {run} (no crash, no hang, no
temporary file left, a status that tells of failures).

{extracted} were extracted, {listed} were listed with their cause in `failures.csv`. Every track was
read through by `features.verify`; of the {known} files whose pictures are whole, the number of rows
is compared with the number of frames that went in.

## Faults

{faults}

## By kind

{kinds}

## Causes

{causes}
"""

if __name__ == "__main__":
    run(
        FuzzSettings,
        command,
        prog="experiments.benchmarks.fuzz_media",
        description=__doc__.split("\n")[0],
    )
