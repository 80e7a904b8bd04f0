"""How long reading labels of real size takes, and how much memory.

    python -m experiments.benchmarks.annotation_scale

Data flow: imitation of Aff-Wild2's VA files (affwild2_files), and AU and EXPR files as large as the
real ones > each reader in a new process, twice > a table in experiments/results.

The first reading comes after the files' pages have been dropped from memory where the system lets
us (`posix_fadvise`), the second finds them there. Starting Python and imports are not counted.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from tempfile import TemporaryDirectory

import numpy as np

from experiments.studies.simulation.affwild2_files import write_imitation
from experiments.studies.simulation.affwild2_table import figures_table
from features.cli.app import OK, run
from features.store.feature_track import write_atomically
from fusion.abaw.audit.inventory import take_inventory
from fusion.abaw.reading.annotations import read_corpus
from fusion.abaw.reading.lists import read_template
from fusion.tasks.labels import EXPRESSIONS, UNITS

RESULT = Path(__file__).parents[1] / "results/annotation-scale.md"
AU_FILES, EXPR_FILES = (295, 105), (248, 70)
"""Training and validation files of the other tasks."""
OTHER_ROWS = 4725
"""Rows of each of them: the mean of the VA files."""


@dataclass
class Settings:
    """Settings of the measurement.

    Args:
        scale: Length of the files as a share of their real one.
        result: File to write.
        measure: Used by the command itself: name of the reading to time in this process.
        root: Used by the command itself: folder to read.
    """

    scale: float = 1.0
    result: Path = RESULT
    measure: str = ""
    root: Path = Path()


def command(settings: Settings) -> int:
    """Measures and writes the table, or times one reading as a child of that."""
    if settings.measure:
        print(json.dumps(_timed(READINGS[settings.measure], settings.root)))
        return OK
    with TemporaryDirectory() as folder:
        root = Path(folder) / "imitation"
        start = time.process_time()
        made = write_imitation(root, settings.scale)
        written = time.process_time() - start
        write_other_tasks(root, settings.scale)
        rows = [_row(name, root) for name in READINGS]
    figures = figures_table({m.split.name: m.tracks for m in made}, settings.scale)
    text = _TEXT.format(day=date.today(), written=written, rows="\n".join(rows), figures=figures)
    write_atomically(settings.result, text.encode())
    print(text)
    return OK


def write_other_tasks(root: Path, scale: float) -> None:
    """AU and EXPR files with random labels, under names that no VA file has."""
    rng, rows = np.random.default_rng(1), max(round(OTHER_ROWS * scale), 1)
    for folder, names, counts in (
        ("AU_Detection_Challenge", UNITS, AU_FILES),
        ("EXPR_Recognition_Challenge", EXPRESSIONS, EXPR_FILES),
    ):
        columns, most = (len(UNITS), 2) if names == UNITS else (1, len(EXPRESSIONS))
        for split, count in zip(("Train_Set", "Validation_Set"), counts, strict=True):
            target = root / "annotations" / folder / split
            target.mkdir(parents=True)
            for number in range(count):
                labels = rng.integers(0, most, (rows, columns)).tolist()
                lines = [",".join(names), *(",".join(map(str, row)) for row in labels)]
                (target / f"{split}-{number}.txt").write_text("\n".join(lines) + "\n")


def _read_va(root: Path) -> int:
    return _rows_of(root / "annotations/VA_Estimation_Challenge")


def _read_all(root: Path) -> int:
    return _rows_of(root / "annotations")


def _rows_of(folder: Path) -> int:
    return sum(len(clip.labels) for clip in read_corpus(folder))


def _read_sample(root: Path) -> int:
    return len(read_template(root / "test/VA_sample_submission.txt"))


def _take_inventory(root: Path) -> int:
    return sum(annotation.rows for annotation in take_inventory(root).annotations)


READINGS: dict[str, Callable[[Path], int]] = {
    "VA: read_corpus": _read_va,
    "VA, EXPR and AU: read_corpus": _read_all,
    "sample submission: read_template": _read_sample,
    "everything: inventory of the check": _take_inventory,
}


def _timed(reading: Callable[[Path], int], root: Path) -> dict[str, float]:
    _forget(root)
    found: dict[str, float] = {}
    for turn in ("first", "again"):
        start, work = time.perf_counter(), time.process_time()
        found["rows"] = reading(root)
        found[turn] = time.perf_counter() - start
        found[f"{turn}_work"] = time.process_time() - work
    return found | {"memory": getrusage(RUSAGE_SELF).ru_maxrss / 1024}


def _forget(root: Path) -> None:
    """Asks the system to drop the files' pages, so that they are read from the disk."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in root.rglob("*.txt"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _row(name: str, root: Path) -> str:
    words = [sys.executable, "-m", "experiments.benchmarks.annotation_scale"]
    words += ["--measure", name, "--root", str(root)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE)
    found = json.loads(done.stdout)
    times = " | ".join(f"{found[t]:.1f} ({found[f'{t}_work']:.1f})" for t in ("first", "again"))
    return f"| {name} | {found['rows']:,} | {times} | {found['memory']:.0f} |"


_TEXT = """# Labels of real size

Written by `python -m experiments.benchmarks.annotation_scale` on {day}, one thread on a machine
that other
work shared. An imitation of Aff-Wild2's VA files (written in {written:.0f} s of one core by
`experiments.studies.simulation.affwild2_files`), and random AU and EXPR files of real size. Each
reading is in a
process of its own, after its imports: first with the files dropped from memory, then again. In
brackets: seconds of the processor, which others' work hardly touches. Memory: the most ever taken.

| reading | rows | first, s | again, s | memory, MiB |
|---|---|---|---|---|
{rows}

There is no cache of parsed labels: reading all of the text takes about two seconds of the
processor, and what is not kept can be neither stale nor damaged.

## The imitation beside the real files

{figures}
"""

if __name__ == "__main__":
    run(
        Settings,
        command,
        prog="experiments.benchmarks.annotation_scale",
        description=__doc__.split("\n")[0],
    )
