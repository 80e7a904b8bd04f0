"""YuNet searches frames in MTCNN's place, for who has its file.

Data flow: frames > shrunk > cv2.FaceDetectorYN, which also reads the network's outputs > faces >
box and landmarks as MTCNN's late stages give them in all other frames, where they know the face.

Wu et al. 2023, "YuNet: a tiny millisecond-level face detector"; the file is
`face_detection_yunet_*.onnx` of OpenCV's model zoo. Tests run a small graph with YuNet's outputs
through OpenCV: the real weights were never run, and neither speed nor boxes are measured.
"""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from features.errors import UserError
from features.faces.detect import FaceDetector, Faces, FaceSettings, overlap

if TYPE_CHECKING:
    import torch

_REMEDY = "give YuNet's face_detection_yunet_*.onnx by --faces.weights FILE"
_LANDMARKS, _SCORE = slice(4, 14), 14
"""Columns of cv2.FaceDetectorYN after x, y, width and height of the box."""


def face_detector(settings: FaceSettings, device: "torch.device | str" = "cpu") -> FaceDetector:
    """The detector that the settings name.

    Raises:
        UserError: If its weights are absent.
    """
    kind = YunetDetector if settings.detector == "yunet" else FaceDetector
    return kind(settings, device)


class YunetDetector(FaceDetector):
    """YuNet over blocks of frames, on the CPU; MTCNN's late stages follow what it finds.

    Args:
        settings: Size and threshold of the search, and the file of the weights.
        device: Where the late stages compute.

    Raises:
        UserError: If the file is absent; when a picture is searched, if it is of another kind.
    """

    def __init__(self, settings: FaceSettings, device: "torch.device | str" = "cpu") -> None:
        super().__init__(settings, device)
        self._path = Path(settings.weights).expanduser()
        if not settings.weights or not self._path.is_file():
            lack = f"no such file: {settings.weights}; " if settings.weights else ""
            raise UserError(f"--faces.detector yunet: {lack}{_REMEDY}")

    def detect(self, images: np.ndarray) -> list[Faces]:
        """Faces of each of the pictures (N, H, W, 3) uint8 RGB, N entries."""
        found = super().detect(images)
        return [self._placed(image, faces) for image, faces in zip(images, found, strict=True)]

    def _files(self) -> list[Path]:
        return [*super()._files(), self._path]

    @cached_property
    def _net(self) -> Any:
        return cv2.FaceDetectorYN.create(str(self._path), "", (32, 32), self._settings.threshold)

    def _search(self, images: np.ndarray) -> list[Faces]:
        try:
            self._net.setInputSize(images.shape[2:0:-1])
            found = [self._net.detect(cv2.cvtColor(i, cv2.COLOR_RGB2BGR))[1] for i in images]
        except cv2.error as error:
            cause = " ".join(str(error.err or error).split())[:120]
            raise UserError(f"{self._path}: does not run as YuNet ({cause}); {_REMEDY}") from error
        return [self._large(rows) for rows in found]

    def _large(self, rows: np.ndarray | None) -> Faces:
        """What OpenCV tells of one picture, (K, 15) or None, without faces that are too small."""
        rows = np.zeros((0, 15), np.float32) if rows is None else rows
        rows = rows[rows[:, 2:4].max(axis=1, initial=0) >= self._settings.min_face]
        boxes = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]])
        # Its eyes and corners of the mouth are the person's right first: left in the picture.
        return Faces(boxes, rows[:, _LANDMARKS].reshape(-1, 5, 2), rows[:, _SCORE])

    def _placed(self, image: np.ndarray, faces: Faces) -> Faces:
        """The faces as `refine` gives them, so that key frames do not differ from others; those
        that it does not know, as YuNet gives them.
        """
        if not len(faces):
            return faces
        near = self.refine([image] * len(faces), faces.boxes)
        known = near.scores >= self._settings.threshold
        known &= overlap(near.boxes, faces.boxes) >= 1 - self._settings.tolerance
        parts = ((near.boxes, faces.boxes), (near.landmarks, faces.landmarks))
        boxes, landmarks = (_where(known, ours, theirs) for ours, theirs in parts)
        scores = _where(known, near.scores, faces.scores)
        return Faces(boxes, landmarks, scores).sorted(np.arange(len(faces)))


def _where(known: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Rows of `ours` where known (K,), else of `theirs`; both (K, ...)."""
    return np.where(known.reshape(-1, *(1,) * (ours.ndim - 1)), ours, theirs)
