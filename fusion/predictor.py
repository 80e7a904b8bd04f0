"""From a checkpoint and aligned streams to frame-level predictions.

Data flow: clips > (statistics of their people) > networks > scores of each task, by the network
that answers it > RawScores > the checkpoint's decision > FramePredictions.

Letters: F frames of a clip.
"""

import sys
from collections.abc import Iterator, Sequence

import numpy as np

from features.progress import ProgressReport
from features.store import TrackStore
from fusion.abaw.labels import Clip, FrameLabels
from fusion.abaw.layout import video_of
from fusion.adaptation import People, fit_people
from fusion.checkpoint import COMPOUND, Checkpoint
from fusion.clips import ClipStreams, load_clip
from fusion.columns import COLUMNS
from fusion.columns import COMPOUND as SIX
from fusion.decision import RawScores
from fusion.predictions import FramePredictions
from fusion.run_network import NetworkRunner
from fusion.specs import require_same_specs, stream_specs


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
                runner = NetworkRunner(clip, streams, people)
                yield _answered(checkpoint, runner)
            progress.step(clip.id)


def _answered(checkpoint: Checkpoint, runner: NetworkRunner) -> RawScores:
    """What the networks say of a clip, each of the task that it answers."""
    columns = {task: runner.run(one).scores for task, one in checkpoint.answers.items()}
    official = np.concatenate([columns[task][:, COLUMNS[task]] for task in COLUMNS], axis=1)
    compound = columns[COMPOUND][:, -SIX:] if COMPOUND in columns else None
    clip, streams = runner.clip, runner.streams
    return RawScores(clip, streams.times, streams.face, official, compound)


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
    return load_clip(store, clip, dims, checkpoint.network.align_window)


def clips_of_store(store: TrackStore) -> list[Clip]:
    """Everybody whose face track lies in a store, as clips without labels."""
    empty = FrameLabels.empty(0)
    return [Clip(name, video_of(name), "test", empty, name) for name in store.ids("faces")]


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
