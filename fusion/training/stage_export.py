"""Features and scores of every clip, made once by a finished stage for those after it.

Data flow: checkpoint + clips of the stage that asks > NetworkRunner > tracks (stage_outputs.py).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from features.cli.progress import ProgressReport
from features.errors import UserError
from features.store.fingerprint import weights_hash
from fusion.data.loading.multi_corpus import Source
from fusion.data.seen import chosen_by, tasks_of, trained_clips
from fusion.data.stage_outputs import FEATURES, StageOutputs
from fusion.inference.checkpoint import load_checkpoint
from fusion.inference.made_of import made_of
from fusion.inference.payload import ANSWERS, KEY, read_payload
from fusion.inference.runner import NetworkRunner
from fusion.model.settings import ModelSettings
from fusion.streams.clip_streams import ClipStreams, Rows, load_clip
from fusion.streams.person_normalization import People, fit_people
from fusion.tasks.registry import DEFAULT, make_tasks

_Made = tuple[StageOutputs, Mapping[str, str]]
"""A stage, and what its outputs of each clip are made of."""


def export_outputs(
    stage: StageOutputs,
    sources: Sequence[Source],
    kinds: Sequence[str],
    align_window: float,
    earlier: Mapping[str, StageOutputs],
) -> None:
    """Writes the outputs of a stage for some clips; those that are there stay, unless the
    tracks have changed that they were made of.

    Args:
        stage: Whose outputs.
        sources: Clips of one split, with their tracks; those without any are left out.
        kinds: `features`, `scores` or both.
        align_window: Seconds over which audio tokens are averaged for a frame.
        earlier: Stages by name, whose features are read where they are there.
    """
    made = _made_of(stage, sources, align_window)
    absent = [one for one in sources if not stage.is_there(one.clip, kinds, made[one.clip.id])]
    if not absent:
        return
    network = load_checkpoint(stage.checkpoint).network
    people = _people(sources, stage, align_window)
    fed = {name: (one, _made_of(one, sources, align_window)) for name, one in earlier.items()}
    with ProgressReport(f"{stage.name}: {' and '.join(kinds)}", len(absent)) as progress:
        for one in absent:
            streams = _streams(one, stage, align_window)
            if streams is not None:
                runner = NetworkRunner(one.clip, streams, people)
                said = vars(runner.run(network, _feeds(stage, one, len(streams), fed)))
                outputs = {kind: said[kind] for kind in kinds}
                stage.write(one.clip, streams.times, outputs, made[one.clip.id])
            progress.step(one.clip.id)


def _streams(source: Source, stage: StageOutputs, align_window: float) -> ClipStreams | None:
    return load_clip(source.store, source.own, stage.streams, align_window, source.cache)


def _made_of(stage: StageOutputs, sources: Sequence[Source], align_window: float) -> dict[str, str]:
    """Clip to the fingerprint of what a stage's outputs are made of."""
    return made_of(stage.revision, sources, stage.streams, align_window, adapts=stage.adapts)


def _people(sources: Sequence[Source], stage: StageOutputs, align_window: float) -> People | None:
    """Statistics of the people of all clips of the split, if a network adapts to them."""
    if not stage.adapts:
        return None
    pairs = ((one.clip, _streams(one, stage, align_window)) for one in sources)
    return fit_people(pairs, stage.streams, len(sources))


def _feeds(
    stage: StageOutputs, source: Source, frames: int, earlier: Mapping[str, _Made]
) -> dict[str, Rows] | None:
    """Features that feed the stage, if the stages that made them have left them; else None."""
    found = {
        name: earlier[name]
        for name, revision in stage.feeds.items()
        if name in earlier and earlier[name][0].revision == revision
    }
    if len(found) < len(stage.feeds):
        return None
    clip = source.clip
    if not all(one.is_there(clip, [FEATURES], made[clip.id]) for one, made in found.values()):
        return None
    return {name: one.rows(FEATURES, clip, frames) for name, (one, _) in found.items()}


def read_stage(name: str, checkpoint: Path, folder: Path) -> StageOutputs:
    """A finished stage by what its checkpoint says of itself.

    Raises:
        UserError: If it cannot be read, or was put together of several networks.
    """
    payload = read_payload(checkpoint)[KEY]
    if ANSWERS in payload:
        raise UserError(f"{checkpoint}: put together of stages; name the checkpoint of one")
    model, every = payload["model"], [payload, *payload.get("networks", {}).values()]
    rows = ModelSettings(**model).temporal_block.rows
    return StageOutputs(
        name=name,
        checkpoint=checkpoint,
        folder=folder,
        revision=weights_hash(checkpoint),
        tasks=tuple(tasks_of(payload)),
        says=make_tasks(payload["tasks"]),
        labels=_labels(payload["provenance"]),
        dim=model["dim"] * max(rows, 1),
        streams={n: spec["dim"] for one in every for n, spec in one["specs"].items()},
        feeds=payload.get("feeds", {}),
        seen=trained_clips(payload["provenance"]),
        adapts=any(one.get("adaptation", {}).get("kind") == "person" for one in every),
    )


def _labels(provenance: Mapping[str, Any]) -> tuple[str, ...]:
    """Tasks whose labels went into a checkpoint; all if it does not tell."""
    return tuple(sorted({*provenance.get("tasks", DEFAULT), *chosen_by(provenance)}))
