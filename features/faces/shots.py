"""Shots of a video: what the camera shows without a cut. Data flow: frames > thumbnails > shots.

A cut is a change of the whole picture from one frame to the next that is large beside the
picture's own contrast. Fades and dissolves are none.
"""

import cv2
import numpy as np

SIDE, STRIDE_SIDE = 16, 64
"""Side of the thumbnails; about so many pixels a side of a frame are looked at."""
CUT = 0.5
"""Mean difference of two thumbnails, in mean standard deviations of both, from which on there is a
cut. Pictures that have nothing in common differ by about 1.1, consecutive ones by up to 0.3."""
FAINT = 6.0
"""Mean difference, of 255, below which there is none: noise, or a lamp that flickers."""


class Shots:
    """Counts the shots of a video, frame by frame."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._number = 0

    def add(self, image: np.ndarray) -> int:
        """Takes the next frame (H, W, 3) uint8; returns the number of its shot, from 0."""
        thumbnail = _thumbnail(image)
        if self._last is not None and _is_cut(self._last, thumbnail):
            self._number += 1
        self._last = thumbnail
        return self._number


def _thumbnail(image: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE, 3) float32."""
    rows, columns = (max(1, side // STRIDE_SIDE) for side in image.shape[:2])
    few = np.ascontiguousarray(image[::rows, ::columns])
    return cv2.resize(few, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)


def _is_cut(before: np.ndarray, after: np.ndarray) -> bool:
    difference = float(np.abs(after - before).mean())
    contrast = float(before.std() + after.std()) / 2
    return difference > max(FAINT, CUT * contrast)
