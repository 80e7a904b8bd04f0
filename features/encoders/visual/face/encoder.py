"""`face`: the packaged encoder that tells expressions, blendshapes, action units and more at once.

Data flow: aligned RGB crop > grey > the window that FER2013's framing shows > 48x48 > FaceModel,
one pass > embedding (stream `face`, 256), `face.expression` (8, as if all were equally frequent),
`face.votes` (8, as ten raters would vote), `face.blendshapes` (52), `face.units` (16), `face.smile`
(1), `face.pose` (3), `face.validity` (1).

What each is worth, on whom it was tested and where it falls short is in weights/face.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.encoders.base import READY, BaseEncoder, Description, Status, inference, revision_of
from features.encoders.visual.expression import framing, grey_faces

if TYPE_CHECKING:  # loaded when an encoder is built, not where it is only described
    from torch import Tensor

FACE_SIZE = 48
"""Side of the input picture in pixels."""
DIM = 256
"""Length of the embedding."""
HEADS = {"fer": 7, "votes": 8, "blendshapes": 52, "smile": 1, "pose": 3}
"""Heads of the network: FER2013's classes, FER+'s, the mesh teacher's shapes, GENKI-4K's labels."""
EXPRESSIONS = (
    *("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"),
    "Other",
)
"""ABAW's order. Other is FER+'s contempt: nothing else of ABAW's Other was in the training."""
UNIT_NAMES = {
    "AU1": "inner brow raiser",
    "AU2": "outer brow raiser",
    "AU4": "brow lowerer",
    "AU5": "upper lid raiser",
    "AU6": "cheek raiser",
    "AU7": "lid tightener",
    "AU9": "nose wrinkler",
    "AU12": "lip corner puller",
    "AU14": "dimpler",
    "AU15": "lip corner depressor",
    "AU17": "chin raiser",
    "AU20": "lip stretcher",
    "AU23": "lip tightener",
    "AU24": "lip pressor",
    "AU25": "lips part",
    "AU27": "mouth stretch",
}
"""Action units that were tested against human FACS codes, subjects apart, with their names in FACS
(Ekman and Friesen 1978)."""
UNITS = tuple(UNIT_NAMES)
POSE = ("yaw", "pitch", "roll")
"""Degrees, of the crop: alignment has taken most of the roll away. Signs as GENKI-4K's."""


def _sides(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}{side}" for name in names for side in ("Left", "Right"))


BLENDSHAPES = (
    *("_neutral", *_sides("browDown"), "browInnerUp", *_sides("browOuterUp"), "cheekPuff"),
    *_sides("cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp"),
    *_sides("eyeSquint", "eyeWide"),
    *("jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", *_sides("mouthDimple")),
    *(*_sides("mouthFrown"), "mouthFunnel", "mouthLeft", *_sides("mouthLowerDown", "mouthPress")),
    *("mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower"),
    *("mouthShrugUpper", *_sides("mouthSmile", "mouthStretch", "mouthUpperUp", "noseSneer")),
)
"""MediaPipe's order, 0 to 1 each."""
COLUMNS = {
    "": tuple(f"embedding_{n}" for n in range(DIM)),
    ".expression": EXPRESSIONS,
    ".votes": EXPRESSIONS,
    ".blendshapes": BLENDSHAPES,
    ".units": UNITS,
    ".smile": ("smile",),
    ".pose": POSE,
    ".validity": ("validity",),
}
"""Names of the values of each stream, by what follows the name of the embedding's stream."""

WEIGHTS = Path(__file__).parents[2] / "weights/face.safetensors"
BATCH = 64
"""Crops that the network sees at a time, so that memory does not grow with their number."""

_REMEDY = "install the package anew"


@dataclass(frozen=True)
class FaceEncoderSettings:
    """Settings of the packaged face encoder.

    Args:
        stream: Name of the embedding's stream; the others are NAME.expression, NAME.units, ...
    """

    stream: str = "face"


class FaceEncoder(BaseEncoder):
    """Frozen FaceModel behind the encoder protocol.

    Args:
        weights: safetensors file written by `experiments.pretraining.face.fit_face`.
    """

    name = "face"
    settings_type = FaceEncoderSettings
    input = f"face {FACE_SIZE}x{FACE_SIZE} grey"
    licence = "Apache-2.0 for the weights; the pictures they learnt from: research use"
    trained_on = (
        "FER2013 training part with FER+ votes, GENKI-4K, LFW, Yale, ORL; units: FACS codes of CK+;"
        " teachers: MediaPipe's blendshapes, `expression`"
    )
    weights = WEIGHTS

    def __init__(self, settings: Any = None, *, weights: Path = WEIGHTS, **where: Any) -> None:
        self.weights = weights
        super().__init__(settings, **where)
        self.revision = revision_of(weights, _REMEDY)

    def _open(self, settings: FaceEncoderSettings) -> None:
        import torch

        from features.encoders.visual.face.model import load_face_model

        model = load_face_model(self.weights, _REMEDY)
        self._model = model.to(self._device).to(memory_format=torch.channels_last)

    @classmethod
    def describe(cls, settings: FaceEncoderSettings, margin: float = 0.0) -> Description:
        """What it would be; UserError if the weights are absent."""
        columns = {settings.stream + end: names for end, names in COLUMNS.items()}
        return Description(
            name=cls.name,
            input=cls.input,
            revision=revision_of(WEIGHTS, _REMEDY),
            settings={"framing": framing(margin)},
            streams={name: len(names) for name, names in columns.items()},
            licence=cls.licence,
            trained_on=cls.trained_on,
            columns=columns,
        )

    @classmethod
    def status(cls, settings: FaceEncoderSettings) -> Status:
        """Ready if the package is whole."""
        return READY if WEIGHTS.is_file() else Status("needs weights", _REMEDY)

    def encode_faces(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Encodes RGB crops (N, H, W, 3) uint8, aligned to the ArcFace template.

        Returns:
            (N, D) float32 by stream; probabilities and validity in [0, 1], pose in degrees.
        """
        return self._encode(grey_faces(crops, self._margin))

    @inference
    def _encode(self, faces: "Tensor") -> dict[str, np.ndarray]:
        """Streams of scaled faces (N, 1, 48, 48); N may be 0."""
        import torch

        parts = [self._model(part.to(self._device)) for part in faces.split(BATCH)]
        joined = {end: torch.cat([part[end] for part in parts]).cpu().numpy() for end in COLUMNS}
        return dict(zip(self.streams, joined.values(), strict=True))
