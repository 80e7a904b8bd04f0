"""`expression`: the packaged visual encoder, trained on FER2013.

Data flow: aligned RGB crop > grey > the window that FER2013's framing shows > 48x48, and its mirror
image > ExpressionNet > mean of both: embedding (stream `expression`, 256), class probabilities
(`expression.probs`, 7), place in the metric space (`expression.metric`, 16, unit norm).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from features.encoders.base import (
    READY,
    BaseEncoder,
    Description,
    Status,
    inference,
    revision_of,
)

if TYPE_CHECKING:  # loaded when an encoder is built, not where it is only described
    from torch import Tensor

FACE_SIZE = 48
"""Side of the input picture in pixels (the native size of FER2013)."""
EXPRESSIONS = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
"""Order of the logits: ABAW's order without its last class, Other."""
WIDTHS = (48, 96, 192)
"""Channels of the network's stages, fine to coarse."""
DIM = 256
"""Length of the embedding."""
METRIC_DIM = 16
"""Dimensions of the metric space, as FECNet and PASN have it."""

WEIGHTS = Path(__file__).parents[1] / "weights/expression.safetensors"

FRAMING = (0.085, 0.155, 0.915, 0.985)
"""The part of a close crop (left, top, right, bottom, as shares of its side) that FER2013 shows: in
it, ArcFace's eyes and mouth lie where MTCNN finds those of FER2013's pictures (medians)."""


_REMEDY = "install the package anew"


@dataclass(frozen=True)
class ExpressionSettings:
    """Settings of the packaged expression encoder.

    Args:
        mirror: Whether to average with the mirror image: twice the work for steadier features.
        stream: Name of the embedding's stream; the others are NAME.probs and NAME.metric.
    """

    mirror: bool = True
    stream: str = "expression"


class ExpressionEncoder(BaseEncoder):
    """Frozen ExpressionNet behind the encoder protocol.

    Args:
        weights: safetensors file written by `experiments.pretraining.train_expression`.
    """

    name = "expression"
    settings_type = ExpressionSettings
    input = f"face {FACE_SIZE}x{FACE_SIZE} grey"
    licence = "Apache-2.0 for the weights; FER2013's pictures: research use"
    trained_on = "FER2013 training part, without copies of test pictures"

    weights = WEIGHTS

    def __init__(self, settings: Any = None, *, weights: Path = WEIGHTS, **where: Any) -> None:
        self.weights = weights
        super().__init__(settings, **where)
        self.revision = revision_of(weights, _REMEDY)

    def _open(self, settings: ExpressionSettings) -> None:
        import torch

        from features.encoders.visual.expression_net import load_expression_net

        self._mirror = settings.mirror
        net = load_expression_net(self.weights, _REMEDY)
        self._net = net.to(self._device).to(memory_format=torch.channels_last)

    @classmethod
    def describe(cls, settings: ExpressionSettings, margin: float = 0.0) -> Description:
        """What it would be; UserError if the weights are absent."""
        return Description(
            name=cls.name,
            input=cls.input,
            revision=revision_of(WEIGHTS, _REMEDY),
            settings={"framing": framing(margin), "mirror": settings.mirror},
            streams={
                settings.stream: DIM,
                f"{settings.stream}.probs": len(EXPRESSIONS),
                f"{settings.stream}.metric": METRIC_DIM,
            },
            licence=cls.licence,
            trained_on=cls.trained_on,
            columns={f"{settings.stream}.probs": EXPRESSIONS},
        )

    @classmethod
    def status(cls, settings: ExpressionSettings) -> Status:
        """Ready if the package is whole."""
        return READY if WEIGHTS.is_file() else Status("needs weights", _REMEDY)

    def encode_faces(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Encodes RGB crops (N, H, W, 3) uint8, aligned to the ArcFace template.

        Returns:
            Embeddings (N, 256), probabilities (N, 7), metric vectors (N, 16), float32, by stream.
        """
        return self._encode(grey_faces(crops, self._margin))

    @inference
    def _encode(self, faces: "Tensor") -> dict[str, np.ndarray]:
        """Streams of scaled faces (N, 1, 48, 48)."""
        import torch
        from torch.nn import functional

        faces = faces.to(self._device)
        views = [faces, faces.flip(3)] if self._mirror else [faces]
        outputs = [self._net(view) for view in views]
        embedding = torch.stack([embedding for embedding, _ in outputs]).mean(0)
        probs = torch.stack([logits.softmax(dim=1) for _, logits in outputs]).mean(0)
        metric = sum((self._net.metric(e) for e, _ in outputs), torch.zeros(()).to(faces))
        values = (embedding, probs, functional.normalize(metric, dim=1))
        return {name: v.cpu().numpy() for name, v in zip(self.streams, values, strict=True)}


def framing(margin: float) -> list[float]:
    """`FRAMING` in crops that show more than the close view by a share of `margin`."""
    return [0.5 + (share - 0.5) / (1 + margin) for share in FRAMING]


def grey_faces(crops: np.ndarray, margin: float = 0.0) -> "Tensor":
    """ExpressionNet inputs (N, 1, 48, 48) from aligned RGB crops (N, H, W, 3) uint8; N may be 0."""
    import torch

    from features.encoders.visual.expression_net import scale_grey

    faces = np.zeros((len(crops), 1, FACE_SIZE, FACE_SIZE), np.uint8)
    for face, crop in zip(faces, crops, strict=True):
        face[0] = reframed(crop, framing(margin))
    return scale_grey(torch.from_numpy(faces))


def reframed(crop: np.ndarray, framing: Sequence[float]) -> np.ndarray:
    """The framed part of an RGB crop (H, W, 3) as a grey picture (48, 48) uint8."""
    side = np.array([crop.shape[1], crop.shape[0]] * 2)
    left, top, right, bottom = np.round(framing * side).astype(int)
    grey = cv2.cvtColor(crop[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_AREA)
