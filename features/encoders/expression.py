"""`expression`: the packaged visual encoder, trained on FER2013.

Data flow: aligned RGB crop > grey > the window that FER2013's framing shows > 48x48 > ExpressionNet
> embedding (stream `expression`, 256) and class probabilities (stream `expression.probs`, 7).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from features.cli import UserError
from features.encoders.expression_net import (
    EXPRESSIONS,
    FACE_SIZE,
    load_expression_net,
    scale_grey,
)
from features.encoders.protocol import weights_hash

WEIGHTS = Path(__file__).parent / "weights/expression.safetensors"

FRAMING = (0.085, 0.155, 0.915, 0.985)
"""The part of a close crop (left, top, right, bottom, as shares of its side) that FER2013 shows: in
it, ArcFace's eyes and mouth lie where MTCNN finds those of FER2013's pictures (medians)."""


@dataclass(frozen=True)
class ExpressionSettings:
    """Settings of the packaged expression encoder.

    Args:
        stream: Name of the embedding's stream; the probabilities' is NAME.probs.
    """

    stream: str = "expression"


class ExpressionEncoder:
    """Frozen ExpressionNet behind the encoder protocol.

    Args:
        settings: Names of the streams.
        margin: Share by which the crops show more than the close view.
        weights: safetensors file written by `experiments.train_expression`.

    Raises:
        UserError: If the weights are absent.
    """

    name = "expression"
    licence = "Apache-2.0 for the weights; FER2013's pictures: research use"
    trained_on = "FER2013 training part, without copies of test pictures"

    def __init__(
        self,
        settings: ExpressionSettings | None = None,
        *,
        margin: float = 0.0,
        weights: Path = WEIGHTS,
    ) -> None:
        if not weights.is_file():
            raise UserError(f"{weights}: weights are absent; install the package anew")
        stream = (settings or ExpressionSettings()).stream
        self._framing = [0.5 + (share - 0.5) / (1 + margin) for share in FRAMING]
        self.settings: dict[str, Any] = {"framing": self._framing}
        self.revision = weights_hash(weights)
        self._net = load_expression_net(weights).to(memory_format=torch.channels_last)
        dim = self._net.classify.in_features
        self._embedding, self._probs = stream, f"{stream}.probs"
        self.streams = {self._embedding: dim, self._probs: len(EXPRESSIONS)}

    @torch.inference_mode()
    def encode_faces(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Encodes RGB crops (N, H, W, 3) uint8, aligned to the ArcFace template.

        Returns:
            Embeddings (N, 256) and probabilities (N, 7), float32, by stream.
        """
        grey = np.stack([_reframed(crop, self._framing) for crop in crops])[:, None]
        embedding, logits = self._net(scale_grey(torch.from_numpy(grey)))
        return {
            self._embedding: embedding.numpy(),
            self._probs: logits.softmax(dim=1).numpy(),
        }


def _reframed(crop: np.ndarray, framing: Sequence[float]) -> np.ndarray:
    """The framed part of an RGB crop (H, W, 3) as a grey picture (48, 48) uint8."""
    side = np.array([crop.shape[1], crop.shape[0]] * 2)
    left, top, right, bottom = np.round(framing * side).astype(int)
    grey = cv2.cvtColor(crop[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_AREA)
