"""Cuts faces out, upright and at one size. Data flow: frames + landmarks > similarity > crops."""

import cv2
import numpy as np

from features.faces.detect import FaceSettings

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
     [70.7299, 92.2041]]
)  # fmt: skip
"""Eyes, nose and corners of the mouth in ArcFace's crop of 112 x 112 pixels (Deng et al. 2019)."""
TEMPLATE_SIDE = 112


def crop_faces(images: np.ndarray, landmarks: np.ndarray, settings: FaceSettings) -> np.ndarray:
    """Turns, scales and moves each face so that its landmarks fit the template best.

    Args:
        images: (N, H, W, 3) uint8.
        landmarks: (N, 5, 2) pixels, one face a picture.
        settings: Size and margin of the crops.

    Returns:
        (N, size, size, 3) uint8, black where the picture ends.
    """
    crops = np.zeros((len(images), settings.size, settings.size, 3), np.uint8)
    goal = template(settings.size, settings.margin)
    for crop, image, points in zip(crops, images, landmarks, strict=True):
        crop[:] = _warp(image, similarity(points.astype(np.float64), goal), settings.size)
    return crops


def template(size: int, margin: float) -> np.ndarray:
    """Where the landmarks lie (5, 2) in a crop of `size` pixels that shows `margin` more."""
    middle = TEMPLATE_SIDE / 2
    return ((TEMPLATE - middle) / (1 + margin) + middle) * size / TEMPLATE_SIDE


def similarity(points: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Similarity (2, 3) that takes (L, 2) points nearest to `goal`, by least squares.

    Umeyama 1991, "Least-squares estimation of transformation parameters between two point
    patterns"; without mirroring, in the plane, it is one complex factor: goal = factor x + shift.
    """
    x, y = points @ (1, 1j), goal @ (1, 1j)
    centred = x - x.mean()
    factor = np.vdot(centred, y - y.mean()) / np.vdot(centred, centred)
    shift = y.mean() - factor * x.mean()
    return np.array(
        [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    )


def _warp(image: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """The crop; large faces are warped to a multiple of the size and averaged: no aliasing."""
    finer = max(1, int(1 / np.hypot(*matrix[:, 0])))
    # Pixel centres: point p of the crop is point (p + 1/2) finer - 1/2 of the finer one.
    enlarged = matrix * finer
    enlarged[:, 2] += (finer - 1) / 2
    fine = cv2.warpAffine(image, enlarged, (size * finer, size * finer), flags=cv2.INTER_LINEAR)
    return cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)
