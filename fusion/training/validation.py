"""Scores of a run on the clips that it holds out: a fold, or the corpus's validation split.

Data flow: checkpoint + held-out clips > predictions (kept, or found) > official scores.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from features.store.track_store import TrackStore
from fusion.abaw.reading.annotations import CorpusKind
from fusion.corpora import read_corpus
from fusion.data.loading.config import DataSettings
from fusion.data.loading.dataset import listed
from fusion.data.loading.splits import VALIDATION, split_clips
from fusion.data.prediction_files import read_made_of, read_predictions, write_predictions
from fusion.data.predictions import FramePredictions
from fusion.inference.checkpoint import Checkpoint, load_checkpoint
from fusion.inference.predictor import predict_clips, predictions_made_of
from fusion.metrics.evaluation import Evaluation
from fusion.metrics.official import MetricAccumulator
from fusion.metrics.remarks import in_sample, remarks
from fusion.tasks.clips import Clip, once_each
from fusion.training.config import TrainSettings

log = logging.getLogger(__name__)


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
    every = read_corpus(settings.data.root, settings.data.challenge)
    model, store = load_checkpoint(checkpoint), settings.data.tracks()
    clips = once_each(split_clips(every, settings.data, model.tasks)[VALIDATION])
    evaluation = Evaluation.of(clips)
    for one in _predictions(model, store, clips, keep, settings.data.cache):
        evaluation.add(one)
    if evaluation.missing:
        log.info("not scored, no tracks: %s", listed(evaluation.missing))
    for name, what in (evaluation.faults | evaluation.remarks).items():
        log.info("%s: %s", name, what)
    for line in [*in_sample(evaluation), *remarks(evaluation)]:
        log.info("%s", line)
    return evaluation.metrics


def held_out_clips(
    checkpoint: Checkpoint, root: Path, challenge: CorpusKind = "auto"
) -> list[Clip]:
    """Clips of a corpus that a checkpoint's run has held out: a fold, or the validation split.

    Args:
        checkpoint: Whose run.
        root: Folder of the corpus.
        challenge: Which annotations count in a folder that holds both kinds.
    """
    trained = checkpoint.config.get("data", {})
    settings = DataSettings(fold=trained.get("fold"), folds=trained.get("folds", 5))
    clips = read_corpus(root, challenge)
    return once_each(split_clips(clips, settings, checkpoint.tasks)[VALIDATION])


def _predictions(
    checkpoint: Checkpoint,
    store: TrackStore,
    clips: Sequence[Clip],
    keep: Path | None,
    cache: Path | None,
) -> Iterator[FramePredictions]:
    """Predictions of clips: those in `keep` by this checkpoint of these tracks, then the others."""
    made = predictions_made_of(checkpoint, store, clips, cross_fitted=True) if keep else {}
    absent = []
    for clip in clips:
        path = keep / f"{clip.id}.parquet" if keep else None
        if path and read_made_of(path) == made[clip.id]:
            yield read_predictions(path)
        else:
            absent.append(clip)
    if not absent:
        return
    for one in predict_clips(checkpoint, store, absent, clips, cache, cross_fitted=True):
        if keep:
            write_predictions(one, keep)
        yield one
