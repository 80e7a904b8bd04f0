"""How long a leaderboard file of real size takes to write and to check, and how much memory.

Data flow: lengths of videos > sample submission + simulated predictions > the commands as users
give them, each a process of its own > table of seconds and peak memory.

    python -m experiments.benchmarks.submission_scale

The default is the VA test set of the later editions: 162 ids and 927,210 rows, of 128 to 26,618
frames. `--seconds` sets a limit on checking, beyond which the exit status is not zero.
"""

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, sleep

import numpy as np

from features.cli.app import FAILED, OK, run
from features.cli.progress import ProgressReport
from features.store.feature_track import write_atomically
from fusion.abaw.challenges import CHALLENGES
from fusion.data.predictions import FramePredictions, write_predictions
from fusion.tasks.labels import EXPRESSIONS, UNITS

RESULT = Path(__file__).parents[1] / "results/submission-scale.md"
SHORTEST, LONGEST, MEDIAN, SPREAD = 128, 26_618, 4230, 1.0
"""Lengths are log-normal about the median of the real test set, within its extremes."""
POLL = 0.01
"""Seconds between two looks at a process."""
NO_FACE = 0.0627
"""Share of frames without a face in the real test set."""


@dataclass
class ScaleSettings:
    """Settings of the measurement.

    Args:
        ids: Number of ids.
        rows: Number of rows of all of them together.
        seconds: Longest that a check of a good file may take.
        out: Markdown file for the result.
    """

    ids: int = 162
    rows: int = 927_210
    seconds: float = 10.0
    out: Path = RESULT


@dataclass(frozen=True)
class Measured:
    """What a command took.

    Attributes:
        what: What it did.
        wall: Seconds by the clock.
        cpu: Seconds of computing.
        memory: Peak resident memory, MiB.
        status: Exit status.
    """

    what: str
    wall: float
    cpu: float
    memory: float
    status: int


def lengths(ids: int, rows: int, rng: np.random.Generator) -> np.ndarray:
    """(ids,) numbers of frames that add up to `rows`."""
    shares = np.clip(rng.lognormal(np.log(MEDIAN), SPREAD, ids), SHORTEST, LONGEST)
    ends = np.round(np.cumsum(shares) / shares.sum() * rows).astype(np.int64)
    return np.diff(ends, prepend=0)


def simulate(name: str, frames: int, rng: np.random.Generator) -> FramePredictions:
    """Predictions without a model, of the shape that real ones have."""
    expr = rng.random((frames, len(EXPRESSIONS)), np.float32)
    return FramePredictions(
        id=name,
        video=name,
        times=np.arange(frames) / 30,
        face=rng.random(frames) >= NO_FACE,
        va=rng.uniform(-1, 1, (frames, 2)).astype(np.float32),
        expr=expr / expr.sum(1, keepdims=True),
        au=rng.random((frames, len(UNITS)), np.float32),
        thresholds=np.full(len(UNITS), 0.5, np.float32),
    )


def write_inputs(folder: Path, settings: ScaleSettings) -> None:
    """Sample submissions of VA and AU, and predictions of each id."""
    rng = np.random.default_rng(0)
    counts = lengths(settings.ids, settings.rows, rng).tolist()
    names = [f"{number}-30-1280x720" for number in range(1, settings.ids + 1)]
    keys = [f"{n}/{i:05d}.jpg" for n, c in zip(names, counts, strict=True) for i in range(1, c + 1)]
    for challenge in ("VA", "AU"):
        kind = CHALLENGES[challenge]
        constant = ",0" * len(kind.columns)
        text = "\n".join([kind.header, *(f"{key}{constant}" for key in keys)])
        write_atomically(folder / f"{challenge}_sample.txt", f"{text}\n".encode())
    with ProgressReport("simulate", len(names)) as progress:
        for name, frames in zip(names, counts, strict=True):
            write_predictions(simulate(name, frames, rng), folder / "predictions")
            progress.step(name)


def measure(what: str, arguments: Sequence[str], folder: Path) -> Measured:
    """Runs `python -m fusion.submit` with arguments in a folder."""
    began = perf_counter()
    command = [sys.executable, "-m", "fusion.submit", *arguments]
    peak = 0.0
    with subprocess.Popen(command, cwd=folder) as process:
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            peak = max(peak, peak_memory(process.pid))
            sleep(POLL)
        process.returncode = os.waitstatus_to_exitcode(ended[1])
    cpu = ended[2].ru_utime + ended[2].ru_stime
    return Measured(what, perf_counter() - began, cpu, peak, process.returncode)


def peak_memory(process: int) -> float:
    """Peak resident memory of a running process so far, MiB; its `ru_maxrss` has its parent's."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def measure_all(folder: Path) -> list[Measured]:
    """Writes and checks in a folder that `write_inputs` has filled."""
    found = []
    for challenge in ("VA", "AU"):
        kind = ["--challenge", challenge]
        sample, file = f"{challenge}_sample.txt", f"{challenge}.txt"
        write = [*kind, "--template", sample, "--pred", "predictions", "--out", file]
        found.append(measure(f"{challenge}: read predictions, write, check", write, folder))
        check = [*kind, "--check", file]
        found.append(
            measure(
                f"{challenge}: check against the sample", [*check, "--template", sample], folder
            )
        )
        found.append(measure(f"{challenge}: check by itself", check, folder))
    write_faulty(folder / "VA.txt", folder / "bad.txt")
    check = ["--challenge", "VA", "--template", "VA_sample.txt", "--check", "bad.txt"]
    found.append(measure("VA: check with a fault in every 1000th row", check, folder))
    return found


def write_faulty(good: Path, bad: Path) -> None:
    """A copy with a field too many in every 1000th row."""
    with good.open() as lines, bad.open("w") as out:
        for number, line in enumerate(lines):
            out.write(line.replace("\n", ",0\n") if number % 1000 == 500 else line)


def format_result(settings: ScaleSettings, found: Sequence[Measured], bare: Measured) -> str:
    """The result as Markdown."""
    rows = [
        f"| {m.what} | {m.wall:.1f} | {m.cpu:.1f} | {m.memory:.0f} | {m.status} |"
        for m in [bare, *found]
    ]
    return "\n".join(
        [
            "# A leaderboard file of real size",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, `python -m experiments.benchmarks.submission_scale`:"
            f" {settings.ids} ids, {settings.rows:,} rows, simulated predictions;"
            f" {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}.",
            "Each row is a process of its own, start and imports included; memory is its peak.",
            "Seconds by the clock depend on what else the machine does; CPU seconds hardly do.",
            "",
            "| command | seconds | CPU seconds | MiB | exit status |",
            "|---|--:|--:|--:|--:|",
            *rows,
            "",
        ]
    )


def command(settings: ScaleSettings) -> int:
    """Measures, writes the table and says whether checking was quick enough."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder, settings)
        bare = measure("nothing (`--help`)", ["--help"], folder)
        found = measure_all(folder)
    text = format_result(settings, found, bare)
    write_atomically(settings.out, text.encode())
    print(text)
    *good, faulty = found
    slow = [m.what for m in good if "check " in m.what and m.cpu > settings.seconds]
    print(f"{settings.out}: {'too slow: ' + ', '.join(slow) if slow else 'quick enough'}")
    fine = not slow and faulty.status == FAILED and all(m.status == OK for m in good)
    return OK if fine else FAILED


if __name__ == "__main__":
    run(
        ScaleSettings,
        command,
        prog="experiments.benchmarks.submission_scale",
        description=__doc__.split("\n")[0],
    )
