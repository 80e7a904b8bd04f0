"""A checkpoint in at most ten lines, for `repr`."""

from __future__ import annotations

from textwrap import shorten
from typing import TYPE_CHECKING

from features.cli.wording import counted
from fusion.data.seen import chosen_by, tuned_clips
from fusion.postprocess.decision import Decision
from fusion.tasks.registry import title_of

if TYPE_CHECKING:
    from fusion.inference.checkpoint import Checkpoint

WIDTH = 100
SHORT = 10
"""Digits of a revision that are shown."""


def summary_lines(checkpoint: Checkpoint, what: str = "Checkpoint") -> list[str]:
    """What a model says, looks at, was trained on and how it decides.

    Args:
        checkpoint: The model.
        what: What the first line calls it.
    """
    origin, specs = checkpoint.provenance, checkpoint.specs
    learnt = [name for name in checkpoint.tasks if name in checkpoint.learnt]
    others = [name for name in checkpoint.tasks if name not in learnt]
    streams = [
        f"{name} (dim {one.dim}) of {one.encoder} {one.revision[:SHORT]}"
        for name, one in specs.items()
    ]
    names = [f"{title_of(name)} ({_shown(checkpoint, name)})" for name in learnt]
    weights = sum(w.numel() for one in checkpoint.networks for w in one.model.parameters())
    networks = counted(len(checkpoint.networks), "network")
    lines = {
        "tasks": ", ".join(names) or "none learnt",
        "not learnt": ", ".join(map(title_of, others)),
        "streams": ", ".join(streams),
        "model": f"{networks}, {weights / 1e6:.2f} M weights, on {checkpoint.network.device}",
        "trained on": _trained_on(checkpoint),
        "chosen by": ", ".join(map(title_of, chosen_by(origin))),
        "decided": _decided(checkpoint),
        "code": _code(checkpoint),
    }
    first = f"{what} {checkpoint.path}, revision {checkpoint.revision[:SHORT]}"
    told = [f"  {key:<12}{shorten(text, WIDTH)}" for key, text in lines.items() if text]
    return [first, *told]


def _shown(checkpoint: Checkpoint, name: str) -> str:
    """The values of a task by name, or how many there are."""
    task = checkpoint.tasks[name]
    return ", ".join(task.names) if len(task.names) <= 2 else f"{len(task.names)} {task.kind}"


def _trained_on(checkpoint: Checkpoint) -> str:
    """Corpora and how many clips."""
    origin = checkpoint.provenance
    corpus = str(origin.get("corpus", "")) or "unknown data"
    counts = [
        f"{counted(len(clips), 'clip')}{what}"
        for key, what in {"train_clips": "", "validation_clips": " held out"}.items()
        if (clips := origin.get(key))
    ]
    return ", ".join([corpus, *counts])


def _decided(checkpoint: Checkpoint) -> str:
    """Neutral, or the tasks in which something was chosen."""
    neutral = Decision.neutral(checkpoint.tasks)
    chosen = [
        f"{title_of(name)}: {task.choice(checkpoint.decision.by_task[name])}"
        for name, task in checkpoint.tasks.items()
        if checkpoint.decision.by_task[name] != neutral.by_task[name] and not task.made_of
    ]
    clips = {clip for each in tuned_clips(checkpoint.provenance).values() for clip in each}
    tuned = f"tuned on {counted(len(clips), 'clip')}; " if clips else ""
    return tuned + "; ".join(chosen) if chosen else "neutral (python -m fusion.tune chooses)"


def _code(checkpoint: Checkpoint) -> str:
    """Commit and the library that trained it."""
    versions = checkpoint.provenance.get("versions", {})
    git = str(checkpoint.provenance.get("git", ""))[:SHORT]
    torch = f"torch {versions['torch']}" if "torch" in versions else ""
    return ", ".join(filter(None, [git, torch]))
