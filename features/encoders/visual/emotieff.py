"""`emotieff`: the ONNX models of EmotiEffLib / HSEmotion (Savchenko 2022-2024).

Data flow: aligned RGB crop > 224x224 (b0) or 260x260 (b2), ImageNet's mean and deviation > ONNX
graph, whose classifier's input becomes an output > features (stream `emotieff`) and class
probabilities (stream `emotieff.probs`).

Needs onnx and onnxruntime: `pip install 'affuse[emotieff]'`. Nothing is downloaded, and the models
in `.pt` files, which are pickled whole, are refused.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from features.cli.wording import counted
from features.encoders.base import (
    READY,
    BaseEncoder,
    Description,
    Status,
    description_of,
    weights_hash,
)
from features.encoders.visual.expression import EXPRESSIONS
from features.encoders.visual.onnx_features import open_with_features
from features.encoders.visual.preprocessing import BATCH, FaceInput
from features.errors import UserError

_DEFAULT = "enet_b0_8_best_vgaf"
_FOLDERS = (".emotiefflib", ".hsemotion")
"""Where EmotiEffLib, and hsemotion-onnx before it, keep their models in the home folder."""
_SEVEN = (4, 0, 1, 2, 3, 5, 6)
"""ABAW's order (Neutral, Anger, Disgust, Fear, Happiness, Sadness, Surprise) out of the models'
alphabetical one."""
_EIGHT = (5, 0, 2, 3, 4, 6, 7, 1)
"""The same of models that know Contempt too, which comes last."""
_ORDERS = {7: _SEVEN, 8: _EIGHT, 10: _EIGHT}
"""By the number of outputs; the last two of ten are valence and arousal (`*_va_mtl`)."""
_REMEDY = "give an ONNX model of EmotiEffLib by --emotieff.model FILE"


@dataclass(frozen=True)
class EmotieffSettings:
    """Settings of the EmotiEffLib encoder.

    Args:
        model: ONNX file, or the name of a model in ~/.emotiefflib, e.g. `enet_b2_8`.
        stream: Name of the features' stream; the probabilities' is NAME.probs.
    """

    model: str = _DEFAULT
    stream: str = "emotieff"


class EmotieffEncoder(BaseEncoder):
    """A `VisualEncoder`.

    The probabilities are in ABAW's order: Neutral, Anger, Disgust, Fear, Happiness, Sadness,
    Surprise and, if the model knows it, Contempt.
    `cuda` needs onnxruntime-gpu and falls back to the CPU.
    """

    name = "emotieff"
    settings_type = EmotieffSettings

    def __init__(
        self, settings: EmotieffSettings | None = None, *, margin: float = 0.0, device: Any = "cpu"
    ) -> None:
        settings = settings or EmotieffSettings()
        if lacking := _lacking():
            raise UserError(lacking)
        path = _find(settings.model)
        self._net = open_with_features(path, str(device).partition(":")[0], _REMEDY)
        self._faces, self._margin = _face_input(path.stem, self._net.size), margin
        features, scores = (part.shape[1] for part in self._net.run(self._batch(_black())))
        if scores not in _ORDERS:
            raise UserError(
                f"{path}: gives {counted(scores, 'number')}, not 7 or 8 expressions; {_REMEDY}"
            )
        self._order = _ORDERS[scores]
        self._stream, self._probs = settings.stream, f"{settings.stream}.probs"
        known = path.stem.startswith(("enet_", "mbf_", "mobilevit_"))
        origin = f"see the origin of {path.name}"
        about = Description(
            name=self.name,
            input=self._faces.words,
            revision=weights_hash(path),
            settings=self._faces.settings | {"margin": margin},
            streams={self._stream: features, self._probs: len(self._order)},
            licence="Apache-2.0" if known else origin,
            trained_on=_trained_on(path.stem) if known else origin,
            columns={self._probs: (*EXPRESSIONS, "Contempt")[: len(self._order)]},
        )
        self._is(about)

    @classmethod
    def describe(cls, settings: EmotieffSettings, margin: float = 0.0) -> Description:
        """What it would be; its graph and weights are one file, which is opened.

        Raises:
            UserError: If onnx or onnxruntime is absent, or the model is not there, cannot be read
                or is not a classifier of expressions.
        """
        return description_of(cls(settings, margin=margin))

    @classmethod
    def status(cls, settings: EmotieffSettings) -> Status:
        """Whether onnxruntime and the model are on this disk; loads neither."""
        if lacking := _lacking():
            return Status("needs extra", lacking)
        try:
            _find(settings.model)
        except UserError as error:
            return Status("needs weights", str(error))
        return READY

    def encode_faces(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Encodes RGB crops (N, H, W, 3) uint8 into features (N, D) and probabilities (N, 7 or 8).

        N may be 0; see `VisualEncoder`.
        """
        features = [np.zeros((0, self.streams[self._stream]), np.float32)]
        probs = [np.zeros((0, len(self._order)), np.float32)]
        step = self._net.batch or BATCH
        for start in range(0, len(crops), step):
            part, scores = self._net.run(self._batch(crops[start : start + step]))
            features.append(part)
            probs.append(_softmax(scores[:, self._order]))
        return {self._stream: np.concatenate(features), self._probs: np.concatenate(probs)}

    def _batch(self, crops: np.ndarray) -> np.ndarray:
        return self._faces.batch(crops, self._margin).numpy()


def _lacking() -> str:
    """What to install, in one line; empty if all is there."""
    for package in ("onnxruntime", "onnx"):
        if importlib.util.find_spec(package) is None:
            return f"emotieff needs {package}: pip install 'affuse[emotieff]'"
    return ""


def _find(model: str) -> Path:
    """The ONNX file of a path or a name; UserError if it is absent or of another kind."""
    path = Path(model).expanduser()
    if path.suffix in (".pt", ".pth"):
        raise UserError(
            f"{path}: is a whole pickled model, which can hold code and is not opened;"
            f" give {path.stem}.onnx by --emotieff.model FILE"
        )
    named = [Path.home() / folder / f"{model}.onnx" for folder in _FOLDERS]
    for candidate in (path, *named):
        if candidate.is_file():
            return candidate
    if path.suffix == ".onnx" or len(path.parts) > 1:
        raise UserError(f"{path}: no such file; {_REMEDY}")
    raise UserError(f"no {model}.onnx in {named[0].parent}; {_REMEDY}")


def _face_input(stem: str, size: tuple[int, int] | None) -> FaceInput:
    """What a model wants; where its graph leaves the size open, by its name as EmotiEffLib does."""
    if stem.startswith("mbf_"):
        return FaceInput(size or (112, 112), mean=(0.5,) * 3, std=(0.5,) * 3)
    side = 260 if "_b2_" in stem else 224
    return FaceInput(size or (side, side))


def _trained_on(stem: str) -> str:
    chosen = {"best_vgaf": ", chosen on VGAF", "best_afew": ", chosen on AFEW"}
    extra = next((text for ending, text in chosen.items() if stem.endswith(ending)), "")
    return f"face recognition on VGGFace2, then AffectNet{extra}"


def _black() -> np.ndarray:
    return np.zeros((1, 112, 112, 3), np.uint8)


def _softmax(scores: np.ndarray) -> np.ndarray:
    """Over the last axis of (N, K)."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)
