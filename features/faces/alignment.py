"""Cuts faces out, upright and at one size. Data flow: frames + landmarks > similarity > crops."""

from collections.abc import Sequence

import cv2
import numpy as np

from features.faces.detect import FaceSettings

TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655],
     [70.7299, 92.2041]]
)  # fmt: skip
"""Eyes, nose and corners of the mouth in ArcFace's crop of 112 x 112 pixels (Deng et al. 2019)."""
TEMPLATE_SIDE = 112
NO_ALIASING = 1.25
"""Pixels of a picture that may come to one of a crop before they are averaged."""


def crop_faces(
    images: Sequence[np.ndarray] | np.ndarray, landmarks: np.ndarray, settings: FaceSettings
) -> np.ndarray:
    """Turns, scales and moves each face so that its landmarks fit the template best.

    Args:
        images: N pictures (H, W, 3) uint8.
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
    """The crop, without aliasing: large faces are averaged before and after they are turned.

    Cells of the picture come first, since that costs least; what is then left, a factor of 1 to
    4, is warped to a multiple of the size.
    """
    cell = max(1, int(_scale(matrix) / 2))
    if cell > 1:
        image, matrix = _shrink(image, matrix, size, cell)
        if not image.size:
            return np.zeros((size, size, 3), np.uint8)
    left = _scale(matrix)
    finer = max(2, int(left)) if left > NO_ALIASING else 1
    # Pixel centres: point p of the crop is point (p + 1/2) finer - 1/2 of the finer one.
    enlarged = matrix * finer
    enlarged[:, 2] += (finer - 1) / 2
    fine = cv2.warpAffine(image, enlarged, (size * finer, size * finer), flags=cv2.INTER_LINEAR)
    return cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)


def _scale(matrix: np.ndarray) -> float:
    """Pixels of the picture that come to one of the crop, on a side."""
    return float(1 / np.hypot(*matrix[:, 0]))


def _shrink(
    image: np.ndarray, matrix: np.ndarray, size: int, cell: int
) -> tuple[np.ndarray, np.ndarray]:
    """The part of a picture that the crop shows, as means of cells, and the matrix for it."""
    corners = np.array([[x, y] for x in (-1, size) for y in (-1, size)])
    seen = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    bounds = image.shape[1::-1]
    first = np.clip(np.floor(seen.min(axis=0)).astype(int) - cell, 0, bounds)
    last = np.clip(np.ceil(seen.max(axis=0)).astype(int) + cell + 1, first, bounds)
    part = image[first[1] : last[1], first[0] : last[0]]
    if not part.size:
        return part, matrix
    right, below = -(last - first) % cell  # black, as is all that lies beyond the picture
    part = cv2.copyMakeBorder(part, 0, int(below), 0, int(right), cv2.BORDER_CONSTANT)
    cells = part.shape[1] // cell, part.shape[0] // cell
    turn = matrix[:, :2] * cell
    # Pixel centres: point p of the cells is point first + (p + 1/2) cell - 1/2 of the picture.
    shift = matrix[:, 2] + matrix[:, :2] @ (first + (cell - 1) / 2)
    return cv2.resize(part, cells, interpolation=cv2.INTER_AREA), np.column_stack([turn, shift])
