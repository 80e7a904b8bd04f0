"""`blendshapes`: MediaPipe's own 52, for who has its `face_landmarker.task`.

Data flow: aligned RGB crop > padded by its border > 256x256 > face mesh (478 points) > the square
of 1.5 mesh boxes, eyes level > face mesh again > 146 of its points > blendshape model >
`blendshapes` (N, 52) and, how sure the mesh is that this is a face, `blendshapes.presence` (N, 1).

Values of a face whose presence is low mean nothing. A close crop is padded by its own border, where
`--faces.margin 0.5` shows what is really there. Needs ai-edge-litert:
`pip install 'affuse[blendshapes]'`. Nothing is downloaded. The packaged encoder `face` gives an
estimate of the same 52 without either.
"""

import importlib.util
import zipfile
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from features.encoders.base import READY, BaseEncoder, Description, Status, weights_hash
from features.encoders.visual.face.encoder import BLENDSHAPES
from features.errors import UserError

PARTS = ("face_landmarks_detector.tflite", "face_blendshapes.tflite")
"""What is used of the file."""
SIDE, POINTS = 256, 478
"""Side of the mesh's picture in pixels, and its points."""
SHOWN = 1.5
"""Side of what the first look shows, in sides of a close crop, and that of the second, in those of
the mesh's box, which is MediaPipe's."""
LEAST = 0.3
"""Presence at the first look below which there is no second: what it shows is hardly a face."""
EYES = [33, 263]
"""Outer corners of the eyes among the points, the one on the left of the picture first."""
_RANGES = (
    "0-1 4-8 10 13-14 17 21 33 37 39-40 46 52-55 58 61 63 65-67 70 78 80-82 84 87-88 91 93 95 103"
    " 105 107 109 127 132-133 136 144-146 148-150 152-155 157-163 168 172-173 176 178 181 185 191"
    " 195 197 234 246 249 251 263 267 269-270 276 282-285 288 291 293 295-297 300 308 310-312 314"
    " 317-318 321 323-324 332 334 336 338 356 361-362 365 373-375 377-382 384-390 397-398 400 402"
    " 405 409 415 454 466 468-477"
)
_SPANS = [[int(end) for end in span.split("-")] for span in _RANGES.split()]
SUBSET = list(chain.from_iterable(range(span[0], span[-1] + 1) for span in _SPANS))
"""Points that the blendshape model takes, in MediaPipe's order."""
_REMEDY = "give MediaPipe's face_landmarker.task by --blendshapes.model FILE"


@dataclass(frozen=True)
class BlendshapesSettings:
    """Settings of MediaPipe's blendshapes.

    Args:
        model: MediaPipe's `face_landmarker.task`.
        stream: Name of the blendshapes' stream; the mesh's presence is NAME.presence.
    """

    model: str = ""
    stream: str = "blendshapes"


class BlendshapesEncoder(BaseEncoder):
    """A `VisualEncoder`; it computes on the CPU, on one thread."""

    name = "blendshapes"
    settings_type = BlendshapesSettings

    def _open(self, settings: BlendshapesSettings) -> None:
        self._mesh, self._shapes = _interpreters(Path(settings.model).expanduser())

    @classmethod
    def describe(cls, settings: BlendshapesSettings, margin: float = 0.0) -> Description:
        """What it would be; UserError if the extra or the file is absent."""
        if (status := cls.status(settings)) != READY:
            raise UserError(f"blendshapes: {status.remedy}")
        presence = f"{settings.stream}.presence"
        return Description(
            name=cls.name,
            input=f"face {SIDE}x{SIDE} RGB",
            revision=weights_hash(Path(settings.model).expanduser()),
            settings={"shown": SHOWN, "margin": margin},
            streams={settings.stream: len(BLENDSHAPES), presence: 1},
            licence="Apache-2.0, by MediaPipe's model card",
            trained_on="see the model cards of MediaPipe's face mesh and blendshapes",
            columns={settings.stream: BLENDSHAPES, presence: ("presence",)},
        )

    @classmethod
    def status(cls, settings: BlendshapesSettings) -> Status:
        """Whether ai-edge-litert and the file are on this disk; loads neither."""
        if importlib.util.find_spec("ai_edge_litert") is None:
            return Status("needs extra", "needs ai-edge-litert: pip install 'affuse[blendshapes]'")
        if not settings.model or not Path(settings.model).expanduser().is_file():
            lack = f"no such file: {settings.model}; " if settings.model else ""
            return Status("needs weights", lack + _REMEDY)
        return READY

    def encode_faces(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Encodes RGB crops (N, H, W, 3) uint8, aligned to the ArcFace template; N may be 0.

        Returns:
            Blendshapes (N, 52) and presence (N, 1), float32 in [0, 1], by stream.
        """
        shapes = np.zeros((len(crops), len(BLENDSHAPES)), np.float32)
        presence = np.zeros((len(crops), 1), np.float32)
        for row, crop in enumerate(crops):
            shapes[row], presence[row] = self._look(reframed(crop, self._margin))
        return dict(zip(self.streams, (shapes, presence), strict=True))

    def _look(self, picture: np.ndarray) -> tuple[np.ndarray, float]:
        """(52,) blendshapes of the face in a picture (H, W, 3) uint8, and its presence."""
        shrinks = min(picture.shape[:2]) > SIDE
        way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        points, presence = self._points(cv2.resize(picture, (SIDE, SIDE), interpolation=way))
        if presence >= LEAST:
            scale = np.array(picture.shape[1::-1]) / SIDE
            # Pixel centres: point p of the small picture is (p + 1/2) scale - 1/2 of the large.
            close = upright(picture, (points + 0.5) * scale - 0.5)
            points, presence = self._points(close)
        (shapes,) = _run(self._shapes, points[SUBSET])
        return shapes.clip(0, 1), presence

    def _points(self, picture: np.ndarray) -> tuple[np.ndarray, float]:
        """Mesh (478, 2) of a picture (256, 256, 3) uint8 in its pixels, and the presence."""
        points, logit, *_ = _run(self._mesh, picture.astype(np.float32) / 255)
        presence = 1 / (1 + np.exp(-np.clip(logit.item(), -50, 50)))
        return points.reshape(POINTS, 3)[:, :2], float(presence)


def reframed(crop: np.ndarray, margin: float) -> np.ndarray:
    """An RGB crop that shows `margin` more than the close view, as one that shows `SHOWN` of it:
    padded by its border, or cut if it shows more.
    """
    height, width = crop.shape[:2]
    add = (SHOWN / (1 + margin) - 1) / 2
    rows, columns = round(height * add), round(width * add)
    cut_rows, cut_columns = max(0, -rows), max(0, -columns)
    part = crop[cut_rows : height - cut_rows, cut_columns : width - cut_columns]
    sides = (max(0, rows),) * 2 + (max(0, columns),) * 2
    return np.asarray(cv2.copyMakeBorder(part, *sides, cv2.BORDER_REPLICATE))


def upright(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The square of `SHOWN` boxes of a mesh (478, 2), its eyes level, as (256, 256, 3)."""
    low, high = points.min(axis=0), points.max(axis=0)
    across = points[EYES[1]] - points[EYES[0]]
    # Points that coincide, of a picture without a face, must not divide by nothing.
    length, side = max(float(np.hypot(*across)), 1e-6), max(float((high - low).max()), 1.0)
    cosine, sine = across / length
    turn = np.array([[cosine, sine], [-sine, cosine]]) * SIDE / (SHOWN * side)
    shift = (SIDE - 1) / 2 - turn @ ((low + high) / 2)
    return np.asarray(
        cv2.warpAffine(
            picture,
            np.column_stack([turn, shift]),
            (SIDE, SIDE),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def _interpreters(path: Path) -> list[Any]:
    """Mesh and blendshape model, ready to run; UserError if the file does not hold them."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        with zipfile.ZipFile(path) as task:
            models = [task.read(part) for part in PARTS]
        opened = [Interpreter(model_content=model, num_threads=1) for model in models]
        for model in opened:
            model.allocate_tensors()
    except (zipfile.BadZipFile, KeyError, ValueError, RuntimeError, OSError) as error:
        cause = " ".join(str(error).split())[:120]
        raise UserError(f"{path}: cannot read the models ({cause}); {_REMEDY}") from error
    given = [[int(d["shape"].prod()) for d in m.get_input_details()] for m in opened]
    made = [[int(d["shape"].prod()) for d in m.get_output_details()] for m in opened]
    want = [[SIDE * SIDE * 3], [len(SUBSET) * 2]]
    if given != want or made[0][:2] != [POINTS * 3, 1] or made[1] != [len(BLENDSHAPES)]:
        raise UserError(f"{path}: its models are of another kind; {_REMEDY}")
    return opened


def _run(model: Any, given: np.ndarray) -> list[np.ndarray]:
    """Outputs of a model on one input, whatever the ones by which its shape begins."""
    entry = model.get_input_details()[0]
    model.set_tensor(entry["index"], given.astype(np.float32).reshape(entry["shape"]))
    model.invoke()
    return [model.get_tensor(end["index"]) for end in model.get_output_details()]
