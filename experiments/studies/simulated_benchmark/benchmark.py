"""A benchmark: a corpus in ABAW's layout whose feature streams are simulated.

annotation files, the user's or imitated > labels and states (sim_labels) > annotation files
> tracks (sim_streams) > Benchmark.

What is there is kept, so a killed run goes on; equal seeds give equal benchmarks.

Letters: F frames.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from experiments.studies.simulation.imitation import write_imitation
from experiments.studies.simulation.labels import labelled, simulate
from experiments.studies.simulation.states import Simulated, labels_of
from experiments.studies.simulation.streams import (
    AUDIO,
    LEVELS,
    PRIOR,
    RULES,
    VISUAL,
    Stream,
    write_tracks,
)
from features.cli.progress import ProgressReport
from features.errors import UserError
from features.store.atomic_file import write_atomically
from features.store.track_store import TrackStore
from fusion.abaw.challenges import TASKS
from fusion.abaw.reading.layout import PEOPLE_FILE, RATES_FILE
from fusion.tasks.au import UNITS
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.labels import FrameLabels

MANIFEST = "benchmark.json"
FOLDERS = {"train": "Train_Set", "validation": "Validation_Set"}
CHALLENGES = {
    "VA": "VA_Estimation_Challenge",
    "EXPR": "EXPR_Recognition_Challenge",
    "AU": "AU_Detection_Challenge",
}


@dataclass(frozen=True)
class Benchmark:
    """A corpus with its tracks, and what made them.

    Attributes:
        root: For `data.root`.
        store: For `data.store`.
        streams: Of the store.
        simulated: Labels, states, frame rates, and the model of expressions and units.
        seed: Of all that was drawn.
    """

    root: Path
    store: Path
    streams: tuple[Stream, ...]
    simulated: Simulated
    seed: int


def make_benchmark(
    out: Path,
    scale: float = 0.1,
    seed: int = 0,
    annotations: Path | None = None,
    *,
    levels: bool = False,
    prior: bool = False,
    visual: Stream = VISUAL,
    audio: Stream = AUDIO,
) -> Benchmark:
    """Makes a benchmark, or what is lacking of one.

    Args:
        out: Folder to write: `annotations` and the table of frame rates, and `tracks`.
        scale: Share of every file's length that is kept.
        seed: Equal seeds give equal benchmarks.
        annotations: Folder of real annotations, only read. None: VA labels are imitated.
        levels: Whether there are also the streams of a pyramid.
        prior: Whether there is also a stream of expressions that is poor in identity.
        visual: How the visual stream is simulated.
        audio: How the audio stream is.

    Raises:
        UserError: If the folder holds something else, or the annotations cannot be used.
    """
    if not 0 < scale <= 1:
        raise UserError(f"scale must lie above 0 and at most at 1: {scale:g}")
    streams = (visual, audio, *(LEVELS if levels else ()), *((PRIOR,) if prior else ()))
    base = {"rules": RULES, "scale": scale, "seed": seed, "annotations": str(annotations)}
    _claim(out, base)
    with TemporaryDirectory() as folder:
        if annotations is None:
            write_imitation(Path(folder), scale, seed)
        root = annotations or Path(folder)
        simulated = simulate(root, 1.0 if annotations is None else scale, seed)
    write_labels(simulated, out)
    store = TrackStore(out / "tracks")
    with ProgressReport("tracks", len(simulated.states)) as progress:
        for name in write_tracks(store, simulated, streams, seed):
            progress.step(name)
    return Benchmark(out, store.root, streams, simulated, seed)


def write_labels(simulated: Simulated, root: Path) -> None:
    """Writes the annotation files that are lacking, and the tables of rates and people."""
    for clip in simulated.clips:
        for task in filter(lambda task: labelled(clip, task), TASKS):
            folder = root / "annotations" / CHALLENGES[task] / FOLDERS[clip.split]
            path = folder / f"{clip.id}.txt"
            if not path.is_file():
                text = "\n".join(_lines(clip.labels, task)) + "\n"
                write_atomically(path, text.encode())
    videos = {clip.video: simulated.rates[clip.id] for clip in simulated.clips}
    rows = "".join(f"{video}.mp4,{rate:.10g}\n" for video, rate in sorted(videos.items()))
    write_atomically(root / RATES_FILE, f"video_name,fps\n{rows}".encode())
    people = {clip.id: clip.group for clip in simulated.clips if clip.group != clip.video}
    if people:
        rows = "".join(f"{name},{person}\n" for name, person in sorted(people.items()))
        write_atomically(root / PEOPLE_FILE, f"id,person\n{rows}".encode())


def _lines(labels: FrameLabels, task: str) -> Iterator[str]:
    """Header and rows of a file of one task."""
    own = labels_of(labels, task)
    if task == "VA":
        yield "valence,arousal"
        rows = np.where(own.mask[:, None], own.values.astype(str), "-5")
        yield from map(",".join, rows.tolist())
    elif task == "EXPR":
        yield ",".join(EXPRESSIONS)
        yield from np.where(own.mask, own.values, -1).astype(str).tolist()
    else:
        yield ",".join(UNITS)
        units = np.where(own.mask, own.values, -1).astype(np.int64).astype(str)
        yield from map(",".join, units.tolist())


def _claim(out: Path, base: dict[str, object]) -> None:
    """Marks a folder as that of a benchmark; UserError if it is that of another."""
    path = out / MANIFEST
    if path.is_file():
        if json.loads(path.read_text()) != base:
            raise UserError(f"{out}: holds a benchmark of other settings; name another folder")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: not an empty folder; name a new one")
    write_atomically(path, json.dumps(base).encode())
