"""A checkpoint: one file that holds the model and all that is needed to use it.

Data flow: training > Lightning checkpoint with the payload under `affuse` > `load_checkpoint`
> Checkpoint > evaluate, predict, submit.

The file is read with `weights_only=True`: it holds tensors and plain Python values, no code.
"""

import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from features.cli import UserError
from features.hashing import weights_hash
from fusion.abaw.labels import EXPRESSIONS, UNITS
from fusion.model.affect import AffectModel, ModelSettings
from fusion.normalise import Normaliser
from fusion.specs import StreamSpec

KEY = "affuse"
"""Where the payload lies in a Lightning checkpoint."""
FORMAT = 1
"""Raised when the payload changes so that older files cannot be read."""
PREFIX = "model."
"""Of the AffectModel's weights in the state of the Lightning module."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, ready to predict.

    Attributes:
        path: The file.
        revision: Hash of the file.
        model: In evaluation mode.
        specs: Stream name to the encoder its tracks must come from.
        normalisers: Stream name to the normaliser fitted on the training clips.
        thresholds: (12,) float32; a unit is on where its probability reaches its threshold.
        align_window: Seconds over which audio tokens are averaged for a frame.
        window: Frames of a window.
        stride: Frames from one window to the next.
        config: All settings of the run, plain values.
        provenance: Data, versions and revision of the code it comes from.
    """

    path: Path
    revision: str
    model: AffectModel
    specs: dict[str, StreamSpec]
    normalisers: dict[str, Normaliser]
    thresholds: Tensor
    align_window: float
    window: int
    stride: int
    config: dict[str, Any]
    provenance: dict[str, Any]


def make_payload(
    *,
    config: Mapping[str, Any],
    model: ModelSettings,
    specs: Mapping[str, StreamSpec],
    normalisers: Mapping[str, Normaliser],
    align_window: float,
    window: int,
    stride: int,
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """What a training run stores beside its weights: tensors and plain values only."""
    return {
        "format": FORMAT,
        "config": dict(config),
        "model": asdict(model),
        "specs": {name: asdict(spec) for name, spec in specs.items()},
        "normalisers": {name: one.state() for name, one in normalisers.items()},
        "thresholds": torch.full((len(UNITS),), 0.5),
        "expressions": list(EXPRESSIONS),
        "units": list(UNITS),
        "align_window": align_window,
        "window": window,
        "stride": stride,
        "provenance": dict(provenance),
    }


def load_checkpoint(path: Path) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        UserError: If it is absent, damaged, no checkpoint of ours, or of another format.
    """
    content = read_payload(path)
    payload = content[KEY]
    if payload["expressions"] != list(EXPRESSIONS) or payload["units"] != list(UNITS):
        raise UserError(f"{path}: made for another set of labels; train anew")
    specs = {name: StreamSpec(**spec) for name, spec in payload["specs"].items()}
    model = AffectModel(
        ModelSettings(**payload["model"]), {name: spec.dim for name, spec in specs.items()}
    )
    weights = content["state_dict"]
    model.load_state_dict(
        {k.removeprefix(PREFIX): v for k, v in weights.items() if k.startswith(PREFIX)}
    )
    return Checkpoint(
        path=path,
        revision=weights_hash(path),
        model=model.eval(),
        specs=specs,
        normalisers={n: Normaliser.from_state(s) for n, s in payload["normalisers"].items()},
        thresholds=payload["thresholds"],
        align_window=payload["align_window"],
        window=payload["window"],
        stride=payload["stride"],
        config=payload["config"],
        provenance=payload["provenance"],
    )


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
    if content[KEY].get("format") != FORMAT:
        raise UserError(
            f"{path}: format {content[KEY].get('format')}, this version reads {FORMAT}; train anew"
        )
    return content
