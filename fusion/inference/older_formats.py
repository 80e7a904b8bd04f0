"""What checkpoints of older formats lack, filled in: payload of any format > payload of today's.

| format | lacks |
|---|---|
| 1 to 3 | tasks by name: VA, expressions, units, with what `model` says of them |
| 1, 2 | settings of fusion and temporal part as their own, not the model's |
| 1 | in its oldest files, a decision: thresholds alone |
"""

import re
from collections.abc import Mapping
from typing import Any

from fusion.model.older_settings import modern
from fusion.tasks.registry import FORMER, default_tasks, make_task

TASKS = "tasks"
WITHOUT_TASKS = 3
"""Last format without tasks by name."""
_LABELS = {"expressions": "classes", "units": "binary"}
"""Part of such a payload that names labels, to the kind of the task that has them."""
_OF_VALUES = {"va_bins": "bins", "bin_values": "bin_values"}
"""Settings of a model that now belong to the task of values."""


def brought_up(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of a checkpoint as today's version writes it."""
    if payload["format"] > WITHOUT_TASKS:
        return dict(payload)
    found = {**payload, "decision": _decision(payload)}
    if "model" in payload:
        found |= _network(payload)
    if "networks" in payload:
        found["networks"] = {name: _network(one) for name, one in payload["networks"].items()}
    config = payload.get("config", {})
    if "model" in config:
        found["config"] = {**config, "model": modern(config["model"])}
    return found


def of_other_labels(payload: Mapping[str, Any]) -> bool:
    """Whether a checkpoint from before its tasks had names was of other labels than theirs."""
    own = {part: list(default_tasks()[_first(kind)].names) for part, kind in _LABELS.items()}
    return any(list(payload.get(part, names)) != names for part, names in own.items())


def _network(content: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a network, with its tasks."""
    model = dict(content["model"])
    tasks: dict[str, Any] = {name: task.description() for name, task in default_tasks().items()}
    for name, setting in _OF_VALUES.items():
        if name in model:
            tasks[_first("values")][setting] = model.pop(name)
    if model.pop(FORMER[0], False):
        tasks[FORMER[0]] = make_task(FORMER[0]).description()
        model.pop("order", None)  # of streaming heads, which have none for this task
    return {**content, "model": modern(model), TASKS: tasks}


def _decision(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The decision; of files from before there was one, the neutral with its thresholds."""
    if "decision" in payload:
        return dict(payload["decision"])
    neutral = {"kind": "none", "seconds": 0.0, "interpolate": False}
    thresholds = tuple(payload["thresholds"].tolist())
    return {_first("binary"): {"smoothing": neutral, "thresholds": thresholds}}


def weights_brought_up(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Weights of a model under today's names: streaming heads corrected one binary vector."""
    old, new = r"(heads\.correction)\.(weight|bias)$", rf"\1.{_first('binary')}.\2"
    return {re.sub(old, new, key): tensor for key, tensor in weights.items()}


def _first(kind: str) -> str:
    """The one task of a kind among those that old checkpoints have."""
    return next(name for name, task in default_tasks().items() if task.kind == kind)
