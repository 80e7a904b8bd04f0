"""What a checkpoint holds beside Lightning's own, in this format and older ones.

Data flow: settings and data of a run > `make_payload` > `affuse` in the file > `read_payload`.

The file is read with `weights_only=True`: it holds tensors and plain Python values, no code.
"""

import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from features.errors import UserError
from fusion.inference.older_formats import brought_up, of_other_labels
from fusion.model.settings import ModelSettings
from fusion.streams.adaptation import NO_ADAPTATION, Adaptation
from fusion.streams.normalization import Normaliser
from fusion.streams.stream_spec import StreamSpec

KEY = "affuse"
"""Where the payload lies in a Lightning checkpoint."""
FORMAT = 4
"""Raised with every change of what is stored, settings of the model among it, so that an older
version knows at once that it cannot read a file. A test holds the two together."""
OLDEST = 1
"""Format of the oldest files that can be read: what they lack has a default."""
ANSWERS = "answers"
"""Part of the payload of a checkpoint put together of several runs: task to revision."""
NETWORKS = "networks"
"""Part of the payload: what is kept of other runs' networks, by revision."""


def make_payload(
    *,
    config: Mapping[str, Any],
    model: ModelSettings,
    tasks: Mapping[str, Any],
    specs: Mapping[str, StreamSpec],
    normalisers: Mapping[str, Normaliser],
    align_window: float,
    window: int,
    stride: int,
    provenance: Mapping[str, Any],
    adaptation: Adaptation = NO_ADAPTATION,
    feeds: Mapping[str, str] | None = None,
    networks: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a training run stores beside its weights: tensors and plain values only.

    Args:
        config: All settings of the run.
        model: Size and shape.
        tasks: What it says of each frame, with all settings, plain values.
        specs: Of each stream.
        normalisers: Of each stream.
        align_window: Seconds over which audio tokens are averaged for a frame.
        window: Frames of a window.
        stride: Frames from one window to the next.
        provenance: What the run comes from.
        adaptation: How streams are adapted to the person.
        feeds: Stage that feeds the model to the revision of its checkpoint.
        networks: What is kept of these and of all that feed them, by revision.
    """
    return {
        "format": FORMAT,
        "config": dict(config),
        "model": asdict(model),
        "tasks": dict(tasks),
        "specs": {name: asdict(spec) for name, spec in specs.items()},
        "normalisers": {name: one.state() for name, one in normalisers.items()},
        "decision": {},
        "align_window": align_window,
        "window": window,
        "stride": stride,
        "adaptation": asdict(adaptation),
        "feeds": dict(feeds or {}),
        NETWORKS: dict(networks or {}),
        "provenance": dict(provenance),
    }


def read_payload(path: Path) -> dict[str, Any]:
    """The whole content of a checkpoint file, checked to be ours.

    Raises:
        UserError: As `load_checkpoint`.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint; python -m fusion.train makes one")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        raise UserError(f"{path}: damaged or not a checkpoint; train anew") from error
    if not isinstance(content, dict) or KEY not in content:
        raise UserError(f"{path}: not a checkpoint of this project; train anew")
    _require_format(path, content[KEY].get("format"))
    if of_other_labels(content[KEY]):
        raise UserError(f"{path}: made for another set of labels; train anew")
    return {**content, KEY: {**brought_up(content[KEY]), "format": FORMAT}}


def _require_format(path: Path, number: object) -> None:
    """UserError for a file that this version cannot read."""
    if not isinstance(number, int) or number < OLDEST:
        raise UserError(f"{path}: format {number}, this version reads {OLDEST} on; train anew")
    if number > FORMAT:
        raise UserError(
            f"{path}: made by a newer version of affuse (format {number}, this one reads up to"
            f" {FORMAT}); install the newer version, or train anew with this one"
        )
