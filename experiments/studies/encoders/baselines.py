"""Simple encoders that the others must beat, behind the same protocol.

Visual: faces > pixels and PCA; or mini XCEPTION; or local binary patterns and LDA (who it is).
Audio: blocks of sound > log-mel or MFCC.

Letters: N faces, D feature dimensions, T tokens.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torchaudio
from numpy.typing import DTypeLike
from skimage.feature import local_binary_pattern
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from torch import Tensor, nn
from torch.nn import functional

from experiments.studies.encoders.probe_data import FaceSet
from features.encoders.base import Tokens, settings_hash, weights_hash
from features.encoders.visual.expression import FRAMING
from features.encoders.visual.preprocessing import FaceInput
from features.encoders.weights_io import load_weights

XCEPTION_TO_ABAW = [6, 0, 1, 2, 3, 4, 5]
"""mini XCEPTION's index of each ABAW class: its own order is angry, disgust, fear, happy, sad,
surprise, neutral."""
RATE, HOP, WINDOW = 16000, 320, 512
"""Sampling rate in Hz; samples per token and per spectrum."""
CELLS = 7
"""Local binary patterns are counted in 7 x 7 cells (Ahonen et al. 2006)."""


class PixelPca:
    """Principal components of grey 48x48 pixels, each face at zero mean and unit deviation.

    Args:
        train: Framed faces; their labels are not used.
        dim: Components kept.
    """

    name = "pixels + PCA"

    def __init__(self, train: FaceSet, dim: int = 128) -> None:
        flat = _standard_pixels(train.faces)
        dim = min(dim, len(flat) - 1)
        pca = PCA(dim, svd_solver="randomized", random_state=0).fit(flat)
        self._project = nn.Linear(flat.shape[1], dim)
        self._project.weight.data = torch.from_numpy(pca.components_)
        self._project.bias.data = torch.from_numpy(-pca.components_ @ pca.mean_)
        self._input = FaceInput((48, 48), (0.0,), (1.0,), 1.0, FRAMING)
        self.input, self.settings = "face 48x48 grey", {"dim": dim}
        self.revision = settings_hash([train.key, dim])
        self.streams = {"pixels": dim}

    def encode_grey(self, faces: np.ndarray) -> dict[str, np.ndarray]:
        """(N, 48, 48) uint8 to (N, D)."""
        with torch.inference_mode():
            return {"pixels": self._project(torch.from_numpy(_standard_pixels(faces))).numpy()}

    def encode_faces(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """See `VisualEncoder`."""
        return self.encode_grey(self._input.batch(crops)[:, 0].numpy())


class MiniXception:
    """Arriaga et al. 2017's network for FER2013, from the weights in the shared data.

    Args:
        weights: safetensors file.
        device: Where to compute.
    """

    name = "mini XCEPTION"

    def __init__(self, weights: Path, device: torch.device | str = "cpu") -> None:
        self._net, self._device = XceptionNet(), torch.device(device)
        load_weights(self._net, weights, "give the folder of the shared data by --data DIR")
        self._net.eval().to(self._device)
        self._input = FaceInput((64, 64), (127.5,), (127.5,), 1.0, FRAMING)
        self.input, self.revision = "face 64x64 grey", weights_hash(weights)
        self.settings: dict[str, Any] = {}
        self.streams = {"xception": 128, "xception.probs": 7}

    def encode_grey(self, faces: np.ndarray) -> dict[str, np.ndarray]:
        """(N, H, W) uint8 to the mean of the last 128 maps and ABAW's probabilities."""
        sized = [cv2.resize(f, (64, 64), interpolation=cv2.INTER_LINEAR) for f in faces]
        grey = np.array(sized, np.float32).reshape(-1, 1, 64, 64)
        return self._run(torch.from_numpy(grey / 127.5 - 1))

    def encode_faces(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """See `VisualEncoder`."""
        return self._run(self._input.batch(crops))

    @torch.inference_mode()
    def _run(self, batch: Tensor) -> dict[str, np.ndarray]:
        maps, probs = self._net(batch.to(self._device))
        return {
            "xception": maps.mean(dim=(2, 3)).cpu().numpy(),
            "xception.probs": probs[:, XCEPTION_TO_ABAW].cpu().numpy(),
        }


class XceptionNet(nn.Module):
    """Stem, four blocks of separable convolutions, and a convolution to the seven classes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.ModuleDict(
            {
                "conv1": nn.Conv2d(1, 8, 3, bias=False),
                "bn1": _Norm(8),
                "conv2": nn.Conv2d(8, 8, 3, bias=False),
                "bn2": _Norm(8),
            }
        )
        for number, width in enumerate((8, 16, 32, 64), start=1):
            self.add_module(f"block{number}", _Block(width, 2 * width))
        self.head = nn.ModuleDict({"conv": nn.Conv2d(128, 7, 3, padding=1)})

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, 64, 64) in [-1, 1] to maps (N, 128, 4, 4) and probabilities (N, 7), own order."""
        x = self.stem["bn1"](self.stem["conv1"](x)).relu()
        x = self.stem["bn2"](self.stem["conv2"](x)).relu()
        for number in range(1, 5):
            x = self.get_submodule(f"block{number}")(x)
        return x, self.head["conv"](x).mean(dim=(2, 3)).softmax(1)


class _Block(nn.Module):
    """Two separable convolutions and a pool beside a 1x1 convolution; halves the sides."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.sep1, self.bn1 = _separable(width, out), _Norm(out)
        self.sep2, self.bn2 = _separable(out, out), _Norm(out)
        self.skip_conv, self.skip_bn = nn.Conv2d(width, out, 1, 2, bias=False), _Norm(out)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(_apply(self.sep1, x)).relu()
        y = self.bn2(_apply(self.sep2, y))
        return _same_pool(y) + self.skip_bn(self.skip_conv(x))


def _separable(width: int, out: int) -> nn.ModuleDict:
    deep = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
    return nn.ModuleDict({"depthwise": deep, "pointwise": nn.Conv2d(width, out, 1, bias=False)})


def _apply(layers: nn.ModuleDict, x: Tensor) -> Tensor:
    y: Tensor = layers["pointwise"](layers["depthwise"](x))
    return y


def _same_pool(x: Tensor) -> Tensor:
    """TensorFlow's "same" 3x3 max-pool of stride 2: the odd pixel of padding goes to the end."""
    total = [max((-(-n // 2) - 1) * 2 + 3 - n, 0) for n in x.shape[-2:]]
    (top, left), (bottom, right) = [t // 2 for t in total], [t - t // 2 for t in total]
    padded = functional.pad(x, (left, right, top, bottom), value=float("-inf"))
    return functional.max_pool2d(padded, 3, 2)


class _Norm(nn.Module):
    """Batch norm by given statistics; Keras counts no batches, so `BatchNorm2d` does not fit."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        mean, variance = self.get_buffer("running_mean"), self.get_buffer("running_var")
        return functional.batch_norm(x, mean, variance, self.weight, self.bias, eps=1e-3)


class PatternLda:
    """A face recogniser: local binary patterns, discriminant analysis on people.

    Histograms of uniform patterns of 8 neighbours at radius 2 in 7 x 7 cells, square roots (Ahonen
    et al. 2006), then PCA and LDA as in Fisherfaces (Belhumeur et al. 1997).

    Args:
        train: Aligned faces of people who are in no test.
        dim: Dimensions kept.
    """

    name = "LBP + LDA (identity)"

    def __init__(self, train: FaceSet, dim: int = 128) -> None:
        patterns = np.stack([_patterns(crop) for crop in train.faces])
        people = len(np.unique(train.people))
        pca = PCA(
            min(400, len(patterns) - people), whiten=True, svd_solver="randomized", random_state=0
        )
        dim = min(dim, people - 1, pca.n_components)
        lda = LinearDiscriminantAnalysis(n_components=dim, solver="eigen", shrinkage="auto")
        self._model = make_pipeline(pca, lda).fit(patterns, train.people)
        self.parameters = patterns.shape[1] * pca.n_components + pca.n_components * dim
        self.input, self.settings = "face 112x112 grey", {"dim": dim}
        self.revision = settings_hash([train.key, dim])
        self.streams = {"identity": dim}

    def encode_faces(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """See `VisualEncoder`."""
        if not len(crops):
            return {"identity": np.zeros((0, self.streams["identity"]), np.float32)}
        vectors = self._model.transform(np.stack([_patterns(crop) for crop in crops]))
        return {"identity": vectors.astype(np.float32)}


class Spectrum:
    """Log-mel power or MFCC as an `AudioEncoder`.

    Args:
        name: `log-mel` or `MFCC`.
    """

    rate, token_rate = RATE, RATE / HOP

    def __init__(self, name: str) -> None:
        mel = {"n_fft": WINDOW, "hop_length": HOP, "n_mels": 64, "center": False}
        self.name, self.input = name, "sound 16000 Hz"
        self._mfcc = name == "MFCC"
        self._transform: Any = (
            torchaudio.transforms.MFCC(RATE, 20, melkwargs=mel)
            if self._mfcc
            else torchaudio.transforms.MelSpectrogram(RATE, **mel)
        )
        self.revision, self.settings = "spectrum-1", {"name": name, **mel}
        self.streams = {name: 20 if self._mfcc else 64}

    def encode_sound(self, blocks: Iterable[np.ndarray], dtype: DTypeLike = np.float32) -> Tokens:
        """See `AudioEncoder`; the whole sound is held in memory."""
        sound = np.concatenate([np.zeros(0, np.float32), *blocks])
        if len(sound) < WINDOW:
            return Tokens(
                {self.name: np.zeros((0, self.streams[self.name]), np.float32)}, np.zeros(0)
            )
        values = self._transform(torch.from_numpy(sound)).numpy().T
        values = values if self._mfcc else np.log(values + 1e-6)
        return Tokens({self.name: values}, (np.arange(len(values)) * HOP + WINDOW / 2) / RATE)


def _standard_pixels(faces: np.ndarray) -> np.ndarray:
    """(N, 48, 48) to (N, 2304) float32 of zero mean and unit deviation."""
    flat = faces.reshape(len(faces), 48 * 48).astype(np.float32)
    flat = flat - flat.mean(1, keepdims=True)
    standard: np.ndarray = flat / np.maximum(flat.std(1, keepdims=True), 1.0)
    return standard


def _patterns(crop: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 to the roots of the cells' histograms, (49 * 59,) float32."""
    grey = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (112, 112))
    codes = local_binary_pattern(grey, 8, 2, "nri_uniform").astype(int)
    side = 112 // CELLS
    cells = codes.reshape(CELLS, side, CELLS, side).swapaxes(1, 2).reshape(CELLS**2, -1)
    counts = np.stack([np.bincount(cell, minlength=59) for cell in cells])
    return np.sqrt(counts / side**2).ravel().astype(np.float32)
