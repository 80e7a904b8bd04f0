"""What is trained and scored on a simulated benchmark.

constant, per-frame linear model, ceilings, recipes > FramePredictions of the validation clips, kept
in a folder each > official scores with intervals by video.

Predictions and runs that are there are not made again.

A recipe decides units at the threshold .5 and expressions by the highest probability. The ceiling
and the linear model choose thresholds and class weights on training frames; so that they can be
compared, each recipe is scored a second time with decisions chosen likewise ("refitted").
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from experiments.studies.simulated_benchmark.baselines import FIT_FRAMES, constant, linear
from experiments.studies.simulated_benchmark.benchmark import Benchmark
from experiments.studies.simulated_benchmark.ceiling import (
    best_thresholds,
    best_weights,
    ceiling,
    pooled,
)
from experiments.studies.simulation.streams import RULES, Stream
from features.cli.app import parse
from features.store.fingerprint import settings_hash
from features.store.track_store import TrackStore
from fusion.data.prediction_files import list_predictions, read_predictions, write_predictions
from fusion.data.predictions import FramePredictions
from fusion.inference.checkpoint import Checkpoint, load_checkpoint
from fusion.inference.predictor import predict_clips
from fusion.metrics.bootstrap import Interval, bootstrap
from fusion.metrics.evaluation import score_store
from fusion.tasks.clips import Clip
from fusion.training.config import TrainSettings
from fusion.training.stages import train

DRAWS = 2000
USUAL = ("visual", "audio")
Make = Callable[[Sequence[Clip]], Iterator[FramePredictions]]


@dataclass(frozen=True)
class Row:
    """Official scores of one system, with 95 % intervals by video."""

    name: str
    scores: dict[str, float]
    intervals: dict[str, Interval]


def held_out(benchmark: Benchmark) -> list[Clip]:
    """The labelled validation clips."""
    return [clip for clip in benchmark.simulated.clips if clip.split == "validation"]


def score(name: str, folder: Path, clips: Sequence[Clip], make: Make) -> Row:
    """Makes the predictions that a folder lacks and scores all of them."""
    there = list_predictions(folder) if folder.is_dir() else {}
    lacking = [clip for clip in clips if clip.id not in there]
    for one in make(lacking) if lacking else ():
        write_predictions(one, folder)
    evaluation = score_store(folder, clips)
    videos = list(evaluation.videos().values())
    row = Row(name, evaluation.metrics.scores(), bootstrap(videos, DRAWS, seed=1))
    print(f"{name}: {'  '.join(f'{k} {v:.3f}' for k, v in row.scores.items())}", flush=True)
    return row


def simple_rows(benchmark: Benchmark) -> list[Row]:
    """The constant and the linear model."""
    makers = {"constant": constant, "linear, frame by frame": linear}
    return [
        _score(benchmark, name, benchmark.streams, partial(make, benchmark))
        for name, make in makers.items()
    ]


def ceiling_rows(benchmark: Benchmark) -> list[Row]:
    """Of each of the usual streams alone, of both, and of all if there are more."""
    usual = [stream for stream in benchmark.streams if stream.name in USUAL]
    sets = [*([one] for one in usual), usual]
    sets += [list(benchmark.streams)] if len(benchmark.streams) > len(usual) else []
    names = [" + ".join(stream.name for stream in part) for part in sets]
    return [
        _score(benchmark, f"ceiling, {name}", part, partial(ceiling, benchmark, part))
        for name, part in zip(names, sets, strict=True)
    ]


def recipe_rows(
    benchmark: Benchmark, recipes: Sequence[Path], seeds: Sequence[int], epochs: int
) -> list[Row]:
    """Each recipe trained with each seed, with its own decisions and with refitted ones."""
    rows, store = [], TrackStore(benchmark.store)
    for recipe in recipes:
        for seed in seeds:
            settings = recipe_settings(benchmark, recipe, seed, epochs)
            checkpoint = load_checkpoint(train(settings))
            folder = benchmark.root / "predictions" / settings.name / checkpoint.revision
            make = partial(predict_clips, checkpoint, store)
            again = partial(refitted, benchmark, checkpoint, folder)
            name, clips = f"{recipe.stem}, seed {seed}", held_out(benchmark)
            rows.append(score(name, folder, clips, make))
            rows.append(score(f"{name}, refitted", folder / "refitted", clips, again))
    return rows


def recipe_settings(benchmark: Benchmark, recipe: Path, seed: int, epochs: int) -> TrainSettings:
    """A recipe on the benchmark: on its own streams if they are there, else on the usual two."""
    settings = parse(TrainSettings, prog=str(recipe), description="", argv=["--cfg", str(recipe)])
    there = {stream.name for stream in benchmark.streams}
    own = settings.data.streams
    streams = own if set(own) <= there else list(USUAL)
    data = replace(settings.data, root=benchmark.root, store=benchmark.store, streams=streams)
    return replace(
        settings,
        name=f"{recipe.stem}/seed{seed}",
        runs=benchmark.root / "runs",
        data=data,
        seed=seed,
        seeds=[],
        epochs=epochs,
        patience=epochs,
    )


def refitted(
    benchmark: Benchmark, checkpoint: Checkpoint, folder: Path, clips: Sequence[Clip]
) -> Iterator[FramePredictions]:
    """Stored predictions with the decisions that are best on training frames."""
    known = [clip for clip in benchmark.simulated.clips if clip.split == "train"]
    few = known[:: max(sum(len(clip.labels) for clip in known) // FIT_FRAMES, 1)]
    seen = list(predict_clips(checkpoint, TrackStore(benchmark.store), few))
    weights = best_weights(*pooled(few, "expr", [one.values["expr"] for one in seen]))
    thresholds = best_thresholds(*pooled(few, "au", [one.values["au"] for one in seen]))
    for clip in clips:
        one = read_predictions(folder / f"{clip.id}.parquet")
        expr = one.values["expr"] * weights
        expr = (expr / expr.sum(axis=1, keepdims=True)).astype(np.float32)
        yield replace(one, values={**one.values, "expr": expr}, thresholds={"au": thresholds})


def _score(benchmark: Benchmark, name: str, streams: Sequence[Stream], make: Make) -> Row:
    made_of = settings_hash([RULES, benchmark.seed, *map(asdict, streams)])
    folder = benchmark.root / "predictions" / f"{name.split(',')[0]}-{made_of}"
    return score(name, folder, held_out(benchmark), make)
