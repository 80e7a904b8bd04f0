"""Face crops as the batch that a network wants.

Data flow: aligned RGB crops (N, H, W, 3) uint8 > the part that is to be seen > the network's size
> grey if it has one channel > scaled > normalised > (N, C, h, w) float32.

Letters: N crops, C channels (3 RGB or 1 grey), D feature dimensions.
"""

import json
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from features.encoders.base import BaseEncoder, inference
from features.errors import UserError

if TYPE_CHECKING:  # loaded when an encoder is built, not where it is only described
    from torch import Tensor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of RGB in [0, 1], over ImageNet's training pictures."""

WHOLE = (0.0, 0.0, 1.0, 1.0)
"""The framing that shows a close crop as it is."""

BATCH = 32
"""Crops that a network sees at a time, so that memory does not grow with their number."""


@dataclass(frozen=True)
class FaceInput:
    """How a network wants its faces: (bytes * scale - mean) / std.

    Attributes:
        size: Height and width in pixels.
        mean: One value a channel; one channel means grey.
        std: As `mean`.
        scale: Factor that is applied to bytes first.
        framing: The part of a close crop that is seen: left, top, right, bottom as shares of its
            side.
    """

    size: tuple[int, int]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    scale: float = 1 / 255
    framing: tuple[float, ...] = WHOLE

    @property
    def words(self) -> str:
        """In words, e.g. `face 224x224 RGB`."""
        return f"face {self.size[1]}x{self.size[0]} {'grey' if len(self.mean) == 1 else 'RGB'}"

    @property
    def settings(self) -> dict[str, Any]:
        """What of it changes the features."""
        plain = {"size": self.size, "mean": self.mean, "std": self.std, "framing": self.framing}
        return {name: list(value) for name, value in plain.items()} | {"scale": self.scale}

    def batch(self, crops: np.ndarray, margin: float = 0.0) -> "Tensor":
        """Crops (N, H, W, 3) uint8, which show `margin` more than the close view, as (N, C, h, w).

        N may be 0.
        """
        import torch

        grey = len(self.mean) == 1
        faces = np.empty((len(crops), *self.size, len(self.mean)), np.float32)
        for face, crop in zip(faces, crops, strict=True):
            picture = self._resized(crop, margin)
            face[:] = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None] if grey else picture
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        faces = (faces * np.float32(self.scale) - mean) / std
        return torch.from_numpy(faces).permute(0, 3, 1, 2).contiguous()

    def _resized(self, crop: np.ndarray, margin: float) -> np.ndarray:
        """The framed part of a crop at the network's size."""
        height, width = crop.shape[:2]
        shares = [0.5 + (share - 0.5) / (1 + margin) for share in self.framing]
        left, top, right, bottom = np.round(
            np.multiply(shares, [width, height, width, height])
        ).astype(int)
        seen = crop[top:bottom, left:right]
        shrinks = seen.shape[0] > self.size[0]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(seen, self.size[::-1], interpolation=how))


def in_batches(run: "Callable[[Tensor], Tensor]", faces: "Tensor", dim: int) -> np.ndarray:
    """Runs a network over (N, C, h, w) a few at a time; returns (N, dim) float32.

    N may be 0.
    """
    parts = [run(part).float().cpu().numpy() for part in faces.split(BATCH) if len(part)]
    return np.concatenate(parts) if parts else np.zeros((0, dim), np.float32)


class FaceNetwork(BaseEncoder):
    """A `VisualEncoder` that is one network: crops > `_input` > `_run` > one vector a stream."""

    _input: FaceInput

    def encode_faces(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Encodes RGB crops (N, H, W, 3) uint8 into (N, D) float32 by stream; N may be 0."""
        dims = list(self.streams.values())
        joined = in_batches(self._on_device, self._batch(crops), sum(dims))
        parts = np.split(joined, np.cumsum(dims)[:-1], axis=1)
        return dict(zip(self.streams, map(np.ascontiguousarray, parts), strict=True))

    @inference
    def _on_device(self, faces: "Tensor") -> "Tensor":
        return self._run(faces.to(self._device))

    def _batch(self, crops: np.ndarray) -> "Tensor":
        """The network's input (N, C, h, w)."""
        return self._input.batch(crops, self._margin)

    @abstractmethod
    def _run(self, faces: "Tensor") -> "Tensor":
        """(N, C, h, w) on the device to (N, D), the streams side by side."""


def checkpoint_input(folder: Path, config: Any, option: str) -> FaceInput:
    """What a checkpoint of transformers wants, by its `preprocessor_config.json`.

    Faces are resized straight to the network's size: pictures are not cut to their centre, since
    crops are close already. A checkpoint without that file gets its config's `image_size` (else
    224) and ImageNet's mean and standard deviation, or .5 and .5 where it is grey. A key
    `face_framing`, for a checkpoint of faces framed otherwise, is `FaceInput.framing`.

    Args:
        folder: Of the checkpoint.
        config: The model's configuration.
        option: The option that names the model, for messages.

    Raises:
        UserError: If the file cannot be understood.
    """
    path = folder / "preprocessor_config.json"
    channels = int(getattr(config, "num_channels", 3))
    grey = channels == 1
    try:
        given = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        scale = given.get("rescale_factor", 1 / 255) if given.get("do_rescale", True) else 1.0
        mean = given.get("image_mean") or ((0.5,) if grey else IMAGENET_MEAN)
        std = given.get("image_std") or ((0.5,) if grey else IMAGENET_STD)
        if not given.get("do_normalize", True):
            mean, std = [0.0] * channels, [1.0] * channels
        return FaceInput(
            size=_fixed_size(config) or _size(given.get("crop_size") or given.get("size") or 224),
            mean=_per_channel(mean, channels),
            std=_per_channel(std, channels),
            scale=float(scale),
            framing=tuple(float(share) for share in given.get("face_framing", WHOLE)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        cause = " ".join(str(error).split())[:120]
        raise UserError(
            f"{path}: cannot be understood ({cause}); give a whole checkpoint by {option} DIR"
        ) from error


def _fixed_size(config: Any) -> tuple[int, int] | None:
    """The size that a model's positions are made for, if its configuration states one."""
    size = getattr(config, "image_size", None)
    return _size(size) if size else None


def _size(size: Any) -> tuple[int, int]:
    """Height and width from the ways in which transformers writes them."""
    if isinstance(size, dict):
        size = size.get("shortest_edge") or (size["height"], size["width"])
    height, width = (size, size) if isinstance(size, int) else size
    return int(height), int(width)


def _per_channel(values: Any, channels: int) -> tuple[float, ...]:
    """One value a channel; a single one, or one of each of equal channels, stands for all."""
    values = [values] if isinstance(values, int | float) else list(values)
    if len(values) != channels and len(set(values)) != 1:
        raise ValueError(f"{len(values)} means or deviations for {channels} channels")
    return tuple(float(value) for value in (values * channels)[:channels])
