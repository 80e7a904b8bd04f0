"""A checkpoint: one file that holds the model and all that is needed to use it.

Data flow: training > Lightning checkpoint with the payload under `affuse` > `load_checkpoint`
> Checkpoint > evaluate, predict, submit.

The file is read with `weights_only=True`: it holds tensors and plain Python values, no code.
"""

import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from features.cli import UserError
from features.hashing import weights_hash
from features.track import write_atomically
from fusion.abaw.labels import EXPRESSIONS, UNITS
from fusion.adaptation import NO_ADAPTATION, Adaptation
from fusion.decision import AuDecision, Decision
from fusion.model.affect import AffectModel
from fusion.model.settings import ModelSettings
from fusion.normalise import Normaliser
from fusion.specs import StreamSpec

KEY = "affuse"
"""Where the payload lies in a Lightning checkpoint."""
FORMAT = 1
"""Raised when the payload changes so that older files cannot be read."""
PREFIX = "model."
"""Of the AffectModel's weights in the state of the Lightning module."""
_OLD_THRESHOLDS = "thresholds"
"""Part of the payload, (12,), in checkpoints from before there was a decision."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, ready to predict.

    Attributes:
        path: The file.
        revision: Hash of the file.
        model: In evaluation mode.
        specs: Stream name to the encoder its tracks must come from.
        normalisers: Stream name to the normaliser fitted on the training clips.
        decision: What was chosen on validation; neutral until fusion.tune has run.
        align_window: Seconds over which audio tokens are averaged for a frame.
        window: Frames of a window.
        stride: Frames from one window to the next.
        adaptation: How streams are adapted to the person, if at all.
        config: All settings of the run, plain values.
        provenance: Data, versions and revision of the code it comes from.
    """

    path: Path
    revision: str
    model: AffectModel
    specs: dict[str, StreamSpec]
    normalisers: dict[str, Normaliser]
    decision: Decision
    align_window: float
    window: int
    stride: int
    adaptation: Adaptation
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
    adaptation: Adaptation = NO_ADAPTATION,
) -> dict[str, Any]:
    """What a training run stores beside its weights: tensors and plain values only."""
    return {
        "format": FORMAT,
        "config": dict(config),
        "model": asdict(model),
        "specs": {name: asdict(spec) for name, spec in specs.items()},
        "normalisers": {name: one.state() for name, one in normalisers.items()},
        "decision": Decision().state(),
        "expressions": list(EXPRESSIONS),
        "units": list(UNITS),
        "align_window": align_window,
        "window": window,
        "stride": stride,
        "adaptation": asdict(adaptation),
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
        decision=_read_decision(payload),
        align_window=payload["align_window"],
        window=payload["window"],
        stride=payload["stride"],
        adaptation=Adaptation(**payload.get("adaptation", {})),  # older ones have none
        config=payload["config"],
        provenance=payload["provenance"],
    )


def write_decision(
    path: Path, out: Path, decision: Decision, provenance: Mapping[str, Any]
) -> None:
    """Writes a checkpoint anew, by rename, with another decision; all else stays.

    Args:
        path: The checkpoint.
        out: Where to write; may be the same file.
        decision: Replaces the one it has.
        provenance: Plain values, added to what the checkpoint says it comes from.

    Raises:
        UserError: As `load_checkpoint`.
    """
    content, buffer = read_payload(path), BytesIO()
    payload = {key: value for key, value in content[KEY].items() if key != _OLD_THRESHOLDS}
    payload["decision"] = decision.state()
    payload["provenance"] = {**payload["provenance"], **provenance}
    torch.save({**content, KEY: payload}, buffer)
    write_atomically(out, buffer.getvalue())


def _read_decision(payload: Mapping[str, Any]) -> Decision:
    """The decision; of checkpoints from before there was one, the neutral with its thresholds."""
    if "decision" in payload:
        return Decision.from_state(payload["decision"])
    return Decision(au=AuDecision(thresholds=tuple(payload[_OLD_THRESHOLDS].tolist())))


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
