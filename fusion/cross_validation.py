"""Several runs of one recipe: K folds, several seeds, or several seeds of K folds.

Data flow: settings > settings of each run > checkpoints > predictions of the clips that each run
has not been trained on > scores of each, their mean and standard deviation, and the pooled score.

    RUNS/NAME/fold0 ...          the runs          RUNS/NAME/seed1 ...          with --seeds
    RUNS/NAME/out_of_fold        ID.parquet: every clip, by the run that held it out
    RUNS/NAME/scores.csv         the table

A run that is found finished is not trained again, a killed one goes on; so do the predictions. A
run's epoch is the one that scores best on what it holds out, as on any validation split.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from features.cli import UserError
from features.store import TrackStore
from features.track import write_atomically
from fusion.abaw.labels import Clip, FrameLabels
from fusion.checkpoint import Checkpoint, load_checkpoint
from fusion.corpora import read_corpus
from fusion.data import VALIDATION, split_clips
from fusion.dataset import listed
from fusion.metrics import MetricAccumulator
from fusion.predictions import FramePredictions, read_predictions, write_predictions
from fusion.predictor import predict_clips
from fusion.training import TrainSettings, clear, train

OUT_OF_FOLD = "out_of_fold"
TABLE = "scores.csv"


def train_several(settings: TrainSettings, keep: bool = True) -> dict[str, float]:
    """Trains the runs that the settings ask for, and prints and writes the table of their scores.

    Args:
        settings: With root and store filled in.
        keep: Whether to write the out-of-fold predictions.

    Returns:
        Official scores on clips not trained on: of the one run; pooled over the folds; their mean
        over the seeds.

    Raises:
        UserError: If the settings contradict each other, or as `train`.
    """
    if not (settings.folds or settings.seeds):
        return score_held_out(settings, train(settings)).scores()
    _check(settings)
    if settings.fresh:
        clear(settings.runs / settings.name)
    one_device = replace(settings, devices=1, fresh=False)
    return _train_seeds(one_device, keep) if settings.seeds else _train_folds(one_device, keep)


def _check(settings: TrainSettings) -> None:
    rules = {
        "devices must be 1 with folds or seeds; leave it out": settings.devices in (None, 1),
        f"folds must be 0 or at least 2: {settings.folds}": settings.folds not in (1,)
        and settings.folds >= 0,
        "folds trains every fold, data.fold one of them; leave one of the two out": (
            not settings.folds or settings.data.fold is None
        ),
        f"seeds must differ from each other: {settings.seeds}": (
            len(set(settings.seeds)) == len(settings.seeds)
        ),
    }
    for complaint, fine in rules.items():
        if not fine:
            raise UserError(complaint)


def _train_seeds(settings: TrainSettings, keep: bool) -> dict[str, float]:
    scores = {}
    for seed in settings.seeds:
        name = f"seed{seed}"
        one = replace(settings, name=f"{settings.name}/{name}", seed=seed, seeds=[])
        scores[name] = train_several(one, keep)
    _report(summary(scores), settings)
    return {str(name): float(mean) for name, mean in pd.DataFrame(scores).T.mean().items()}


def _train_folds(settings: TrainSettings, keep: bool) -> dict[str, float]:
    scores, pooled = {}, MetricAccumulator()
    predictions = settings.runs / settings.name / OUT_OF_FOLD if keep else None
    for one in fold_settings(settings):
        name = f"fold{one.data.fold}"
        print(f"{name} of {settings.folds}:", flush=True)
        metrics = score_held_out(one, train(one), predictions)
        scores[name] = metrics.scores()
        pooled.merge(metrics)
    _report(summary(scores, pooled.scores()), settings)
    return pooled.scores()


def fold_settings(settings: TrainSettings) -> list[TrainSettings]:
    """Settings of the run of each fold."""
    return [
        replace(
            settings,
            name=f"{settings.name}/fold{fold}",
            folds=0,
            data=replace(settings.data, fold=fold, folds=settings.folds),
        )
        for fold in range(settings.folds)
    ]


def score_held_out(
    settings: TrainSettings, checkpoint: Path, keep: Path | None = None
) -> MetricAccumulator:
    """Scores of a run on the clips it holds out: a fold, or the corpus's validation split.

    Args:
        settings: Of the run, with root and store filled in.
        checkpoint: Of the run.
        keep: Folder for the predictions, where those made before are found; None: not kept.
    """
    assert settings.data.root is not None
    clips = split_clips(read_corpus(settings.data.root), settings.data)[VALIDATION]
    labels: dict[str, list[FrameLabels]] = {}
    for clip in clips:  # an id may lie in both splits, for different tasks
        labels.setdefault(clip.id, []).append(clip.labels)
    metrics = MetricAccumulator()
    store = settings.data.tracks()
    once = list({clip.id: clip for clip in clips}.values())
    for one in _predictions(load_checkpoint(checkpoint), store, once, keep):
        for part in labels.pop(one.id):
            metrics.add(part.resized(len(one)), one.va, one.expr_class, one.au_on)
    if labels:
        print(f"not scored, no tracks: {listed(sorted(labels), 'clips')}")
    return metrics


def _predictions(
    checkpoint: Checkpoint, store: TrackStore, clips: Sequence[Clip], keep: Path | None
) -> Iterator[FramePredictions]:
    """Predictions of clips: those that the same checkpoint has left in `keep`, then the others."""
    absent = []
    for clip in clips:
        path = keep / f"{clip.id}.parquet" if keep else None
        found = read_predictions(path) if path and path.is_file() else None
        if found and found.provenance.get("checkpoint") == checkpoint.revision:
            yield found
        else:
            absent.append(clip)
    for one in predict_clips(checkpoint, store, absent, among=clips) if absent else ():
        if keep:
            write_predictions(one, keep)
        yield one


def summary(
    scores: dict[str, dict[str, float]], pooled: dict[str, float] | None = None
) -> pd.DataFrame:
    """Table of runs by scores, with their mean and sample standard deviation, and the pooled."""
    runs = pd.DataFrame(scores).T
    rows = {"mean": runs.mean(), "sd": runs.std()} | ({"pooled": pooled} if pooled else {})
    return pd.concat([runs, pd.DataFrame(rows).T[list(runs)]])


def _report(table: pd.DataFrame, settings: TrainSettings) -> None:
    path = settings.runs / settings.name / TABLE
    write_atomically(path, table.to_csv(index_label="run").encode())
    print(table.to_string(float_format="{:.3f}".format, na_rep="-"))
    print(f"table: {path}", flush=True)
