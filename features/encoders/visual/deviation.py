"""`deviation`: how far a face departs from its identity (PASN's DLN, Zhang et al. 2021).

Data flow: aligned RGB crops > input of the backbone > DeviationNet > `deviation` (N, D), the vector
before the projection, which downstream tasks use, and `deviation.metric` (N, 16) of unit norm.

Its weights come from `python -m experiments.pretraining.train_deviation`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open

from features.encoders.base import (
    READY,
    Description,
    Status,
    weights_hash,
)
from features.encoders.visual.expression import DIM as EXPRESSION_DIM
from features.encoders.visual.expression import FACE_SIZE, ExpressionEncoder
from features.encoders.visual.expression import WEIGHTS as EXPRESSION_WEIGHTS
from features.encoders.visual.facenet import DIM as FACENET_DIM
from features.encoders.visual.preprocessing import FaceInput, FaceNetwork
from features.errors import UserError

if TYPE_CHECKING:  # loaded when an encoder is built, not where it is only described
    from torch import Tensor

WEIGHTS = Path(__file__).parents[1] / "weights/deviation.safetensors"
REMEDY = (
    "train one by python -m experiments.pretraining.train_deviation --pictures FOLDER --out FILE"
)
METRIC_DIM = 16
"""Dimensions of the metric space."""


@dataclass(frozen=True)
class Identity:
    """What is known of an identity network without its weights.

    Attributes:
        dim: Length of its vectors.
        view: How pictures that show a face as the network knows it become its input.
        trained_on: What it has seen.
        weights: File of its weights; None if the settings name it.
    """

    dim: int
    view: FaceInput
    trained_on: str
    weights: Path | None = None


BACKBONES = {
    "expression": Identity(
        dim=EXPRESSION_DIM,
        view=FaceInput((FACE_SIZE, FACE_SIZE), mean=(127.5,), std=(127.5,), scale=1.0),
        trained_on=ExpressionEncoder.trained_on,
        weights=EXPRESSION_WEIGHTS,
    ),
    "facenet": Identity(
        dim=FACENET_DIM,
        view=FaceInput((160, 160), mean=(127.5,) * 3, std=(128.0,) * 3, scale=1.0),
        trained_on="what the facenet weights were trained on",
    ),
}
"""Identity networks by name."""


@dataclass(frozen=True)
class DeviationSettings:
    """Settings of the deviation encoder.

    Args:
        backbone: Identity network: `expression` (packaged) or `facenet` (InceptionResnetV1).
        weights: File written by `experiments.pretraining.train_deviation`. Empty: the packaged
        one, if any.
        weights_identity: File of the identity network's weights; needed for `facenet` only.
        stream: Name of the deviation's stream; the metric vector's is NAME.metric.
    """

    backbone: str = "expression"
    weights: str = ""
    weights_identity: str = ""
    stream: str = "deviation"


class DeviationEncoder(FaceNetwork):
    """A `VisualEncoder`."""

    name = "deviation"
    settings_type = DeviationSettings

    def _open(self, settings: DeviationSettings) -> None:
        from features.encoders.visual.deviation_net import load_backbone, load_deviation

        self._backbone = load_backbone(settings.backbone, settings.weights_identity)
        self._net = load_deviation(_weights(settings), self._backbone).to(self._device)

    @classmethod
    def describe(cls, settings: DeviationSettings, margin: float = 0.0) -> Description:
        """What it would be; UserError if weights are absent, damaged, or of another backbone."""
        if settings.backbone not in BACKBONES:
            known = ", ".join(BACKBONES)
            raise UserError(
                f"unknown backbone '{settings.backbone}' of deviation; known are {known}"
            )
        if (status := cls.status(settings)) != READY:
            raise UserError(f"deviation: {status.remedy}")
        backbone, weights = BACKBONES[settings.backbone], _weights(settings)
        identity = backbone.weights or Path(settings.weights_identity).expanduser()
        data = weights_about(weights).get("trained_on", "unknown")
        return Description(
            name=cls.name,
            input=backbone.view.words,
            revision=weights_hash(weights),
            settings={
                "backbone": settings.backbone,
                "identity": weights_hash(identity),
                "margin": margin,
            },
            streams={settings.stream: backbone.dim, f"{settings.stream}.metric": METRIC_DIM},
            licence="that of the backbone's weights and of the training pictures",
            trained_on=f"{data}; backbone: {backbone.trained_on}",
        )

    @classmethod
    def status(cls, settings: DeviationSettings) -> Status:
        """Whether backbone and weights are on this disk; loads neither."""
        identity = settings.weights_identity
        if settings.backbone == "facenet" and not Path(identity or "?").expanduser().is_file():
            what = f"no such file: {identity}; " if identity else ""
            remedy = f"{what}give InceptionResnetV1's weights by --deviation.weights_identity FILE"
            return Status("needs weights", remedy)
        if not _weights(settings).is_file():
            what = f"no such file: {settings.weights}; " if settings.weights else ""
            return Status("needs training", f"{what}{REMEDY} and give it by --deviation.weights")
        return READY

    def _batch(self, crops: np.ndarray) -> "Tensor":
        return self._backbone.crops(crops, self._margin)

    def _run(self, faces: "Tensor") -> "Tensor":
        import torch

        return torch.cat(self._net(faces), dim=1)


def weights_about(path: Path) -> dict[str, str]:
    """What a file of `experiments.pretraining.train_deviation` says of itself: backbone, revision,
    trained_on.

    Raises:
        UserError: If it cannot be read.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError) as error:
        fault = "it is cut off, damaged or of another kind"
        raise UserError(f"{path}: cannot read the weights ({fault}); {REMEDY}") from error


def _weights(settings: DeviationSettings) -> Path:
    return Path(settings.weights).expanduser() if settings.weights else WEIGHTS
