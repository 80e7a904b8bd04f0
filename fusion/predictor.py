"""From a checkpoint and aligned streams to frame-level predictions.

Data flow: clip > windows > AffectModel > stitched scores > probabilities > FramePredictions.

Letters: B windows, T frames of a window, F frames of a clip.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy.special import expit, softmax
from torch.utils.data import DataLoader

from features.progress import ProgressReport
from features.store import TrackStore
from fusion.abaw.labels import DIMENSIONS, EXPRESSIONS, UNITS, Clip, FrameLabels
from fusion.abaw.layout import video_of
from fusion.batch import Batch, Scores
from fusion.checkpoint import Checkpoint
from fusion.clips import load_clip
from fusion.dataset import WindowDataset, collate
from fusion.predictions import FramePredictions
from fusion.specs import require_same_specs, stream_specs
from fusion.windows import WindowPool

BATCH = 16
"""Windows that are predicted at once; does not change the result."""
_COLUMNS = np.cumsum([len(DIMENSIONS), len(EXPRESSIONS), len(UNITS)])


def predict_clips(
    checkpoint: Checkpoint, store: TrackStore, clips: Sequence[Clip]
) -> Iterator[FramePredictions]:
    """Predicts clip after clip; those without any track are left out.

    Raises:
        UserError: If the store's tracks come from other encoders than the checkpoint's.
    """
    held = [name for name in checkpoint.specs if store.ids(name)] or list(checkpoint.specs)
    require_same_specs({name: checkpoint.specs[name] for name in held}, stream_specs(store, held))
    dims = {name: spec.dim for name, spec in checkpoint.specs.items()}
    with ProgressReport("predict", len(clips)) as progress:
        for clip in clips:
            streams = load_clip(store, clip, dims, checkpoint.align_window)
            if streams is not None:
                unlabelled = replace(clip, labels=FrameLabels.empty(0))
                windows = WindowDataset(
                    [unlabelled],
                    [streams],
                    checkpoint.normalisers,
                    checkpoint.window,
                    checkpoint.stride,
                )
                scores = _stitched(checkpoint, windows)
                yield _to_predictions(checkpoint, clip, scores, streams.times, streams.face)
            progress.step(clip.id)


def clips_of_store(store: TrackStore) -> list[Clip]:
    """Everybody whose face track lies in a store, as clips without labels."""
    empty = FrameLabels.empty(0)
    return [Clip(name, video_of(name), "test", empty, name) for name in store.ids("faces")]


@torch.inference_mode()
def _stitched(checkpoint: Checkpoint, windows: WindowDataset) -> np.ndarray:
    """Scores of the one clip of a data set: (F, 2 + 8 + 12), valence-arousal and logits."""
    pool = WindowPool()
    loader: DataLoader[Batch] = DataLoader(windows, batch_size=BATCH, collate_fn=collate)
    for batch in loader:
        scores: Scores = checkpoint.model(batch)
        joined = torch.cat([scores.va, scores.expr, scores.au], dim=-1)
        pool.add(batch.clip.tolist(), batch.start.tolist(), joined.numpy())
    return pool.stitched(windows.lengths)[0]


def _to_predictions(
    checkpoint: Checkpoint, clip: Clip, scores: np.ndarray, times: np.ndarray, face: np.ndarray
) -> FramePredictions:
    """Scores (F, 22) as probabilities, with what made them."""
    va, expr, au = np.split(scores.astype(np.float64), _COLUMNS[:-1], axis=1)
    revisions = {f"stream {n}": f"{s.encoder} {s.revision}" for n, s in checkpoint.specs.items()}
    return FramePredictions(
        id=clip.id,
        video=clip.video,
        times=times,
        face=face,
        va=va.clip(-1, 1).astype(np.float32),
        expr=softmax(expr, axis=1).astype(np.float32),
        au=expit(au).astype(np.float32),
        thresholds=checkpoint.thresholds.numpy().astype(np.float32),
        provenance={"checkpoint": checkpoint.revision, **revisions},
    )
