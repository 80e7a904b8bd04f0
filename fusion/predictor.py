"""From a checkpoint and aligned streams to frame-level predictions.

Data flow: clips > (statistics of their people) > windows > AffectModel > stitched scores
> RawScores > the checkpoint's decision > FramePredictions.

Letters: B windows, T frames of a window, F frames of a clip.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.utils.data import DataLoader

from features.progress import ProgressReport
from features.store import TrackStore
from fusion.abaw.labels import Clip, FrameLabels
from fusion.abaw.layout import video_of
from fusion.adaptation import People, fit_people
from fusion.batch import Batch, Scores
from fusion.checkpoint import Checkpoint
from fusion.clips import ClipStreams, load_clip
from fusion.dataset import WindowDataset, collate
from fusion.decision import RawScores
from fusion.predictions import FramePredictions
from fusion.specs import require_same_specs, stream_specs
from fusion.windows import WindowPool

BATCH = 16
"""Windows that are predicted at once; does not change the result."""


def predict_clips(
    checkpoint: Checkpoint,
    store: TrackStore,
    clips: Sequence[Clip],
    among: Sequence[Clip] | None = None,
) -> Iterator[FramePredictions]:
    """Predicts clip after clip; those without any track are left out.

    Args:
        checkpoint: The model.
        store: The tracks.
        clips: Clips to predict.
        among: Clips whose frames give the statistics of people, for a checkpoint that adapts to
            them; None: `clips`. To be given where some clips of a person were predicted before.

    Raises:
        UserError: If the store's tracks come from other encoders than the checkpoint's.
    """
    for raw in raw_scores(checkpoint, store, clips, among):
        yield _to_predictions(checkpoint, raw)


def raw_scores(
    checkpoint: Checkpoint,
    store: TrackStore,
    clips: Sequence[Clip],
    among: Sequence[Clip] | None = None,
) -> Iterator[RawScores]:
    """As `predict_clips`, but what the model says, with nothing decided.

    Raises:
        UserError: If the store's tracks come from other encoders than the checkpoint's.
    """
    held = [name for name in checkpoint.specs if store.ids(name)] or list(checkpoint.specs)
    require_same_specs({name: checkpoint.specs[name] for name in held}, stream_specs(store, held))
    people = _people(checkpoint, store, clips if among is None else among)
    with ProgressReport("predict", len(clips)) as progress:
        for clip in clips:
            streams = _streams(checkpoint, store, clip)
            if streams is not None:
                unlabelled = replace(clip, labels=FrameLabels.empty(0))
                windows = WindowDataset(
                    [unlabelled],
                    [streams],
                    checkpoint.normalisers,
                    checkpoint.window,
                    checkpoint.stride,
                    checkpoint.adaptation,
                    people,
                )
                scores = _stitched(checkpoint, windows)
                yield RawScores(clip, streams.times, streams.face, scores)
            progress.step(clip.id)


def _people(checkpoint: Checkpoint, store: TrackStore, clips: Sequence[Clip]) -> People | None:
    """Statistics of all people, if the checkpoint adapts to them; says what it adapts to."""
    text = checkpoint.adaptation.lines("test")
    people = None
    if checkpoint.adaptation.kind == "person":
        pairs = ((clip, _streams(checkpoint, store, clip)) for clip in clips)
        dims = {name: spec.dim for name, spec in checkpoint.specs.items()}
        people = fit_people(pairs, dims, len(clips))
        text += people.lines()
    for line in text:
        print(line, file=sys.stderr, flush=True)
    return people


def _streams(checkpoint: Checkpoint, store: TrackStore, clip: Clip) -> ClipStreams | None:
    dims = {name: spec.dim for name, spec in checkpoint.specs.items()}
    return load_clip(store, clip, dims, checkpoint.align_window)


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


def _to_predictions(checkpoint: Checkpoint, raw: RawScores) -> FramePredictions:
    """Scores of one clip decided, with what made them."""
    revisions = {f"stream {n}": f"{s.encoder} {s.revision}" for n, s in checkpoint.specs.items()}
    return FramePredictions(
        id=raw.clip.id,
        video=raw.clip.video,
        times=raw.times,
        face=raw.face,
        **checkpoint.decision.apply(raw)._asdict(),
        thresholds=np.array(checkpoint.decision.au.thresholds, np.float32),
        provenance={"checkpoint": checkpoint.revision, **_origin(checkpoint), **revisions},
    )


def _origin(checkpoint: Checkpoint) -> dict[str, str]:
    """The data and labels that the model has seen, for the rules of challenges."""
    origin, lines = checkpoint.provenance, checkpoint.adaptation.lines("test")
    return {
        "corpus": str(origin.get("corpus", "")),
        "tasks": " ".join(str(task).upper() for task in origin.get("tasks", ())),
        **({"adaptation": lines[0]} if lines else {}),
    }
