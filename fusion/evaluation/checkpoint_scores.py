"""Scores of a checkpoint on labelled clips: checkpoint + tracks > predictions > statistics."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from features.store.track_store import TrackStore
from fusion.data.prediction_files import write_predictions
from fusion.metrics.evaluation import Evaluation
from fusion.metrics.official import MetricAccumulator
from fusion.tasks.clips import Clip

if TYPE_CHECKING:
    from fusion.inference.checkpoint import Checkpoint


def score_clips(
    checkpoint: "Checkpoint", store: TrackStore, clips: Sequence[Clip], keep: Path | None = None
) -> tuple[MetricAccumulator, list[str]]:
    """Scores a checkpoint on labelled clips.

    Args:
        checkpoint: The model.
        store: The tracks.
        clips: Clips with labels.
        keep: Folder for the predictions; None: they are not written.

    Returns:
        The scores and the ids of clips without tracks.
    """
    evaluation = score_checkpoint(checkpoint, store, clips, keep)
    return evaluation.metrics, evaluation.missing


def score_checkpoint(
    checkpoint: "Checkpoint",
    store: TrackStore,
    clips: Sequence[Clip],
    keep: Path | None = None,
    cache: Path | None = None,
) -> Evaluation:
    """What `score_clips` does, with the statistics of each clip."""
    from fusion.inference.predictor import (
        predict_clips,  # torch: seconds that stored predictions do without
    )

    evaluation = Evaluation.of(clips)
    once = list(evaluation.clips.values())
    for one in predict_clips(checkpoint, store, once, cache=cache, cross_fitted=True):
        evaluation.add(one)
        if keep:
            write_predictions(one, keep)
    return evaluation
