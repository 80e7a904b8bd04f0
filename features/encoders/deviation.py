"""`deviation`: how far a face departs from its identity (PASN's DLN, Zhang et al. 2021).

Data flow: aligned RGB crops > input of the backbone > DeviationNet > `deviation` (N, D), the vector
before the projection, which downstream tasks use, and `deviation.metric` (N, 16) of unit norm.

Its weights come from `python -m experiments.train_deviation`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from features.cli import UserError
from features.encoders.deviation_net import (
    METRIC_DIM,
    REMEDY,
    load_backbone,
    load_deviation,
    trained_on,
)
from features.encoders.face_batch import in_batches
from features.encoders.protocol import READY, Status, weights_hash

WEIGHTS = Path(__file__).parent / "weights/deviation.safetensors"


@dataclass(frozen=True)
class DeviationSettings:
    """Settings of the deviation encoder.

    Args:
        backbone: Identity network: `expression` (packaged) or `facenet` (InceptionResnetV1).
        weights: File written by `experiments.train_deviation`. Empty: the packaged one, if any.
        weights_identity: File of the identity network's weights; needed for `facenet` only.
        stream: Name of the deviation's stream; the metric vector's is NAME.metric.
    """

    backbone: str = "expression"
    weights: str = ""
    weights_identity: str = ""
    stream: str = "deviation"


class DeviationEncoder:
    """A `VisualEncoder`.

    Args:
        settings: See `DeviationSettings`.
        margin: Share by which the crops show more than the close view.
        device: Where to compute, e.g. `cpu` or `cuda`.

    Raises:
        UserError: If weights are absent, damaged, or of another backbone.
    """

    name = "deviation"

    def __init__(
        self,
        settings: DeviationSettings | None = None,
        *,
        margin: float = 0.0,
        device: torch.device | str = "cpu",
    ) -> None:
        settings = settings or DeviationSettings()
        if (status := self.status(settings)) != READY:
            raise UserError(f"deviation: {status.remedy}")
        self._margin, self._device = margin, torch.device(device)
        self._backbone = load_backbone(settings.backbone, settings.weights_identity)
        weights = _weights(settings)
        net, data = load_deviation(weights, self._backbone)
        self._net = net.to(self._device)
        self.input = self._backbone.view.words
        self.settings: dict[str, Any] = {
            "backbone": settings.backbone,
            "identity": self._backbone.revision,
            "margin": margin,
        }
        self.revision = weights_hash(weights)
        self.streams = {
            settings.stream: self._backbone.dim,
            f"{settings.stream}.metric": METRIC_DIM,
        }
        self.licence = "that of the backbone's weights and of the training pictures"
        self.trained_on = f"{data}; backbone: {trained_on(self._backbone)}"

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

    def encode_faces(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Encodes RGB crops (N, H, W, 3) uint8 into (N, D) and (N, 16) float32."""
        faces = self._backbone.crops(crops, self._margin)
        joined = in_batches(self._run, faces, sum(self.streams.values()))
        deviation, metric = np.split(joined, [self._backbone.dim], axis=1)
        values = map(np.ascontiguousarray, (deviation, metric))
        return dict(zip(self.streams, values, strict=True))

    @torch.inference_mode()
    def _run(self, faces: Tensor) -> Tensor:
        return torch.cat(self._net(faces.to(self._device)), dim=1)


def _weights(settings: DeviationSettings) -> Path:
    return Path(settings.weights).expanduser() if settings.weights else WEIGHTS
