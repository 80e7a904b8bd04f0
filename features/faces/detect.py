"""Finds faces in frames. Data flow: frames (N, H, W, 3) > shrunk > MTCNN > boxes and landmarks.

Zhang et al. 2016, "Joint face detection and alignment using multitask cascaded convolutional
networks", as packaged (with weights) by facenet-pytorch. Its first net searches the whole picture
at many sizes and costs nearly all of the time; the second and the third only look at places that
the one before has found, and need not be found by it: `FaceDetector.refine`.

Letters: N frames, K faces of a frame, B boxes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from features.errors import UserError
from features.store.fingerprint import FACES, weights_hash

if TYPE_CHECKING:  # what only reads settings or boxes does without
    import torch

MIN_AFFINITY = 0.3
"""Least `affinity` of two views of one face: moved by about four fifths of its side."""


@dataclass(frozen=True)
class FaceSettings:
    """How faces are found, followed and cut out.

    Attributes:
        size: Side of the crops in pixels.
        margin: Share by which a crop shows more than ArcFace's close view; 0.3 adds 30 % in
            width and height.
        detect_side: Frames are shrunk so that their longer side is at most this many pixels
            before faces are looked for.
        min_face: Smallest face looked for, in pixels of the shrunk frame.
        threshold: Least probability of a face.
        max_gap: Seconds; while a face is lost for no longer, its box is interpolated.
        every: Every so many frames are searched in full, with tracking between (`sparse`); 1
            searches every frame.
        tolerance: How far a tracked box may lie from where it was expected, as 1 - overlap over
            union, before its neighbourhood in time is searched in full.
        batch: Frames, and crops, that are worked on at once.
        detector: Who searches frames: `mtcnn`, which is packaged, or `yunet` (yunet.py).
        weights: YuNet's file, `face_detection_yunet_*.onnx`.
    """

    size: int = 112
    margin: float = 0.0
    detect_side: int = 640
    min_face: int = 32
    threshold: float = 0.9
    max_gap: float = 0.4
    every: int = 12
    tolerance: float = 0.4
    batch: int = 16
    detector: Literal["mtcnn", "yunet"] = "mtcnn"
    weights: str = ""

    def check(self) -> None:
        """Raises UserError, naming the setting, for one that is out of range."""
        rules = {
            "size": (self.size >= 8, "at least 8"),
            "margin": (-0.5 <= self.margin <= 10, "from -0.5 to 10"),
            "detect_side": (self.detect_side >= 32, "at least 32"),
            "min_face": (self.min_face >= 12, "at least 12"),
            "threshold": (0 <= self.threshold <= 1, "from 0 to 1"),
            "max_gap": (0 <= self.max_gap < float("inf"), "at least 0"),
            "every": (self.every >= 1, "at least 1"),
            "tolerance": (0 <= self.tolerance <= 1, "from 0 to 1"),
            "batch": (self.batch >= 1, "at least 1"),
        }
        for name, (fine, rule) in rules.items():
            if not fine:
                raise UserError(f"--faces.{name} {getattr(self, name)} must be {rule}")
        if self.detector not in ("mtcnn", "yunet"):
            raise UserError(f"--faces.detector {self.detector} must be mtcnn or yunet")
        if self.weights and self.detector == "mtcnn":
            raise UserError("--faces.weights is YuNet's file; add --faces.detector yunet")

    def key(self) -> dict[str, Any]:
        """The settings that touch the result; of a file of weights, the content is in revisions."""
        own = {k: v for k, v in asdict(self).items() if k not in ("batch", "weights")}
        if self.detector == "mtcnn":  # as before there was another
            del own["detector"]
        return own | {"version": FACES}


@dataclass(frozen=True)
class Faces:
    """Faces in one frame, most probable first.

    Attributes:
        boxes: (K, 4) float32, x0 y0 x1 y1 in pixels of the frame.
        landmarks: (K, 5, 2) float32, x y of left eye, right eye, nose, left and right corner of
            the mouth, as seen in the picture.
        scores: (K,) float32, probabilities.
    """

    boxes: np.ndarray
    landmarks: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def sorted(self, chosen: np.ndarray) -> "Faces":
        """Some of the faces (indices), the most probable first."""
        chosen = chosen[np.argsort(-self.scores[chosen], kind="stable")]
        return Faces(self.boxes[chosen], self.landmarks[chosen], self.scores[chosen])


NO_FACES = Faces(
    np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32)
)


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Overlap over union of boxes (..., 4) and (..., 4), broadcast: (...) in [0, 1]."""
    shared = (np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])).clip(0)
    area_a, area_b = ((box[..., 2:] - box[..., :2]).prod(-1) for box in (a, b))
    return shared.prod(-1) / (area_a + area_b - shared.prod(-1))


def affinity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How well boxes (P, 4) and (K, 4) agree in place and size: (P, K) in [0, 2].

    (Overlap over union + 1 - distance of the centres in sides) x smaller over larger side.
    """
    a, b = a[:, None], b[None]
    sides_a, sides_b = (np.sqrt((box[..., 2:] - box[..., :2]).prod(-1)) for box in (a, b))
    distance = np.linalg.norm((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2, axis=-1)
    closeness = (1 - 2 * distance / (sides_a + sides_b)).clip(0)
    smaller, larger = np.minimum(sides_a, sides_b), np.maximum(sides_a, sides_b)
    return (overlap(a, b) + closeness) * smaller / larger


class FaceDetector:
    """MTCNN over blocks of frames.

    Args:
        settings: Size and threshold of the search.
        device: `cpu`, `cuda` or another device of torch.
    """

    def __init__(self, settings: FaceSettings, device: "torch.device | str" = "cpu") -> None:
        self._settings, self._device = settings, device

    @cached_property
    def revision(self) -> str:
        """Hash of all weights."""
        return weights_hash(*self._files())

    def _files(self) -> list[Path]:
        spec = find_spec("facenet_pytorch")
        assert spec is not None
        assert spec.origin is not None
        folder = Path(spec.origin).parent / "data"
        return [folder / f"{name}.pt" for name in ("pnet", "rnet", "onet")]

    @property
    def _mtcnn(self) -> Any:
        return _load_mtcnn(self._settings.min_face, str(self._device))

    def detect(self, images: np.ndarray) -> list[Faces]:
        """Faces of each of the pictures (N, H, W, 3) uint8 RGB, N entries."""
        height, width = images.shape[1:3]
        scale = min(1.0, self._settings.detect_side / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if min(size) < self._settings.min_face:  # MTCNN fails where not even one face fits
            return [NO_FACES] * len(images)
        if scale < 1:
            images = np.stack([cv2.resize(i, size, interpolation=cv2.INTER_AREA) for i in images])
        enlarge = np.array([width / size[0], height / size[1]], np.float32)
        return [self._sure(faces, enlarge) for faces in self._search(images)]

    def refine(self, images: Sequence[np.ndarray], boxes: np.ndarray) -> Faces:
        """The face at each place that is roughly known, by MTCNN's second and third net.

        Args:
            images: B pictures (H, W, 3) uint8 RGB, one for each box.
            boxes: (B, 4) pixels, where the face should be; up to a fifth of its side off.

        Returns:
            B faces in the order of `boxes`, improbable ones too.
        """
        square = _squares(boxes.astype(np.float32))
        moves, _ = self._run("rnet", _cut(images, square, 24))
        square = _squares(_moved(square, moves))
        moves, points, scores = self._run("onet", _cut(images, square, 48))
        sides = square[:, 2:] - square[:, :2] + 1  # MTCNN's pixels are counted from 1
        shares = points.reshape(-1, 2, 5).transpose(0, 2, 1)
        landmarks = shares * sides[:, None] + square[:, None, :2] - 1
        return Faces(_moved(square, moves), landmarks, scores[:, 1])

    def _run(self, net: str, crops: np.ndarray) -> list[np.ndarray]:
        """Outputs of one of MTCNN's nets on crops (B, side, side, 3) uint8."""
        import torch

        inputs = torch.from_numpy(crops).to(self._device).permute(0, 3, 1, 2)
        with torch.inference_mode():
            outputs = getattr(self._mtcnn, net)((inputs.float() - 127.5) * 0.0078125)
        return [output.cpu().numpy() for output in outputs]

    def _search(self, images: np.ndarray) -> list[Faces]:
        """Faces of each of the pictures, which are shrunk, improbable ones too."""
        found = zip(*self._mtcnn.detect(images, landmarks=True), strict=True)
        return [_faces(boxes, scores, points) for boxes, scores, points in found]

    def _sure(self, faces: Faces, enlarge: np.ndarray) -> Faces:
        """One picture's faces in full-size pixels, without the improbable ones."""
        corners = faces.boxes.reshape(-1, 2, 2) * enlarge
        sure = np.flatnonzero(faces.scores >= self._settings.threshold)
        full = Faces(corners.reshape(-1, 4), faces.landmarks * enlarge, faces.scores)
        return full.sorted(sure)


def _faces(boxes: Any, scores: Any, points: Any) -> Faces:
    """What MTCNN gives of one picture."""
    if boxes is None or boxes[0] is None:
        return NO_FACES
    landmarks = np.asarray(points, np.float32).reshape(-1, 5, 2)
    return Faces(np.asarray(boxes, np.float32), landmarks, np.asarray(scores, np.float32))


@cache
def _load_mtcnn(min_face: int, device: str) -> Any:
    """The three nets, loaded once for all videos."""
    import torch
    from facenet_pytorch import MTCNN  # takes seconds, and most commands look for no face

    mtcnn = MTCNN(min_face_size=min_face, keep_all=True, select_largest=False, device=device)
    for net in (mtcnn.rnet, mtcnn.onet):  # faster by a fifth on a CPU; the first net gains none
        net.to(memory_format=torch.channels_last)
    return mtcnn


def _squares(boxes: np.ndarray) -> np.ndarray:
    """Boxes (B, 4) widened to squares around their centres."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    halves = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.hstack([centres - halves, centres + halves])


def _moved(boxes: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Boxes (B, 4) with their borders moved by shares of their sides (B, 4)."""
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    return boxes + moves * np.hstack([sides, sides])


def _cut(images: Sequence[np.ndarray], boxes: np.ndarray, side: int) -> np.ndarray:
    """Crops (B, side, side, 3) of the parts of boxes that lie in the picture, as MTCNN does it."""
    crops = np.zeros((len(boxes), side, side, 3), np.uint8)
    for crop, image, (x0, y0, x1, y1) in zip(crops, images, boxes.astype(int), strict=True):
        part = image[max(y0 - 1, 0) : max(y1, 0), max(x0 - 1, 0) : max(x1, 0)]
        if part.size:
            crop[:] = cv2.resize(_halved(part, side), (side, side), interpolation=cv2.INTER_AREA)
    return crops


def _halved(image: np.ndarray, side: int) -> np.ndarray:
    """The picture at half its size as often as it stays larger than `side`: OpenCV averages whole
    pixels many times faster than parts of pixels.
    """
    while min(image.shape[:2]) >= 2 * side:
        height, width = image.shape[0] // 2, image.shape[1] // 2
        even = image[: 2 * height, : 2 * width]
        image = cv2.resize(even, (width, height), interpolation=cv2.INTER_AREA)
    return image
