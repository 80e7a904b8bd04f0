"""Finds faces in frames. Data flow: frames (N, H, W, 3) > shrunk > MTCNN > boxes and landmarks.

Zhang et al. 2016, "Joint face detection and alignment using multitask cascaded convolutional
networks", as packaged (with weights) by facenet-pytorch.
"""

from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from features.hashing import weights_hash


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
        batch: Frames that are worked on at once; does not change the result.
        device: `cpu`, `cuda` or another device of torch.
    """

    size: int = 112
    margin: float = 0.0
    detect_side: int = 640
    min_face: int = 32
    threshold: float = 0.9
    max_gap: float = 0.4
    batch: int = 16
    device: str = "cpu"

    def key(self) -> dict[str, Any]:
        """The settings that touch the result."""
        return {k: v for k, v in asdict(self).items() if k not in ("batch", "device")}


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


NO_FACES = Faces(
    np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32)
)


class FaceDetector:
    """MTCNN over blocks of frames.

    Args:
        settings: Size, threshold and device of the search.
    """

    def __init__(self, settings: FaceSettings) -> None:
        self._settings = settings

    @cached_property
    def revision(self) -> str:
        """Hash of MTCNN's weights."""
        spec = find_spec("facenet_pytorch")
        assert spec is not None
        assert spec.origin is not None
        folder = Path(spec.origin).parent / "data"
        return weights_hash(*(folder / f"{name}.pt" for name in ("pnet", "rnet", "onet")))

    @cached_property
    def _mtcnn(self) -> Any:
        from facenet_pytorch import MTCNN  # takes seconds, and most commands look for no face

        return MTCNN(
            min_face_size=self._settings.min_face,
            keep_all=True,
            select_largest=False,
            device=self._settings.device,
        )

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
        found = zip(*self._mtcnn.detect(images, landmarks=True), strict=True)
        return [self._faces(boxes, scores, points, enlarge) for boxes, scores, points in found]

    def _faces(self, boxes: Any, scores: Any, points: Any, enlarge: np.ndarray) -> Faces:
        """One picture's faces in full-size pixels, without the improbable ones."""
        if boxes is None or boxes[0] is None:
            return NO_FACES
        scores = np.asarray(scores, np.float32)
        sure = np.flatnonzero(scores >= self._settings.threshold)
        sure = sure[np.argsort(-scores[sure], kind="stable")]
        corners = np.asarray(boxes, np.float32).reshape(-1, 2, 2) * enlarge
        landmarks = np.asarray(points, np.float32).reshape(-1, 5, 2) * enlarge
        return Faces(corners.reshape(-1, 4)[sure], landmarks[sure], scores[sure])
