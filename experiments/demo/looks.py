"""The demo's looks: one photograph made into many people.

Data flow: photograph > masks of head, hair, brows, folds > tint and light of a person > layers.

The photograph is scikit-image's `astronaut` (NASA, public domain), which comes in the wheel. All
lengths are pixels of that photograph ("face space"). MTCNN gave the eye centres, nose tip and
mouth corners (facenet-pytorch 2.5.3, p > .9999); the other points were read off by eye.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from skimage import data

LEFT, TOP, RIGHT, BOTTOM = 164, 68, 288, 212
"""Window of the photograph that expressions move."""
SIDE = 300
"""Side of the square of the photograph, from `CORNER` on, that may come into the picture."""
CORNER = (74, 0)
WINDOW = np.s_[TOP - CORNER[1] : BOTTOM - CORNER[1], LEFT - CORNER[0] : RIGHT - CORNER[0]]
"""The window's place in the square."""
CENTRE = (225.0, 112.0)
"""What the head turns about, and what stands in the middle of its half of the picture."""
BROWS = ((213.0, 92.0), (202.0, 89.0), (190.0, 91.0), (239.0, 93.0), (250.0, 91.0), (262.0, 94.0))
"""Inner, middle, outer; first the brow on the left of the photograph."""
FOLDS = (
    ((194, 138), (199, 132), (206, 127), (210, 121)),
    ((252, 143), (249, 136), (244, 130), (240, 123)),
)
"""Lines from the nose to the corners of the smiling mouth."""
FROWN = (((220, 86), (220, 97)), ((230, 87), (230, 98)))
HEAD = (
    *((60, 260), (104, 225), (115, 205), (118, 185), (130, 165), (145, 152), (165, 147)),
    *((180, 148), (184, 140), (182, 131), (174, 125), (169, 117), (158, 102), (154, 85)),
    *((153, 70), (158, 55), (172, 42), (190, 37), (200, 24), (215, 17), (232, 15), (252, 20)),
    *((275, 30), (290, 45), (299, 65), (301, 85), (297, 105), (285, 122), (272, 134)),
    *((266, 136), (258, 158), (255, 172), (270, 184), (290, 205), (300, 225), (340, 252)),
    *((356, 300), (420, 400), (0, 400)),
)
"""Outline of head and shoulders."""


@dataclass(frozen=True)
class Look:
    """What makes a person.

    Attributes:
        mirrored: Whether the photograph is flipped.
        stretch: Width and height of the head, relative.
        shifts: (10, 2) static displacement of brows, cheeks, nose and jaw in pixels.
        mouth: Width of the closed mouth, relative.
        tone: (3,) gain of red, green, blue.
        gamma: Exponent of the skin's brightness.
        hair: Brightness of hair, relative.
        brows: Darkness of the brows, 0 to 1.
        light: (2,) change of brightness to the right and downwards, across the head.
        walls: (2, 3) colours of the upper and lower background.
        scale: Size of the head, picture pixels per pixel of the photograph.
    """

    mirrored: bool
    stretch: np.ndarray
    shifts: np.ndarray
    mouth: float
    tone: np.ndarray
    gamma: float
    hair: float
    brows: float
    light: np.ndarray
    walls: np.ndarray
    scale: float


def draw_look(rng: np.random.Generator) -> Look:
    """A random person."""
    return Look(
        mirrored=bool(rng.random() < 0.5),
        stretch=rng.uniform(0.93, 1.07, 2),
        shifts=rng.normal(0, (1.2, 1.2), (10, 2)),
        mouth=rng.uniform(0.88, 1.12),
        tone=rng.uniform(0.75, 1.0) * rng.uniform(0.94, 1.06, 3),
        gamma=rng.uniform(0.9, 1.5),
        hair=rng.uniform(0.35, 1.15),
        brows=rng.uniform(0.35, 0.65),
        light=rng.uniform(-0.2, 0.2, 2),
        walls=rng.uniform(50, 205, (2, 1)) + rng.uniform(-30, 30, (2, 3)),
        scale=rng.uniform(1.05, 1.35),
    )


@cache
def identity() -> np.ndarray:
    """(SIDE, SIDE, 3) float32 maps that change nothing."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    return np.dstack([x, y, np.zeros_like(x)])


def person_layers(look: Look) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The smooth face with alpha, what folds add to its window, and the frown's darkness."""
    photo, smooth, alpha, hair, frown, brow = _photo_layers()
    shade = 1 - (1 - look.hair) * hair
    shade = shade * (1 - look.brows * brow) * _light(look)

    def tinted(picture: np.ndarray) -> np.ndarray:
        return 255 * (picture / 255) ** look.gamma * look.tone * shade[..., None]

    base = tinted(smooth)
    folds = (tinted(photo) - base)[WINDOW]
    layers = np.dstack([base, alpha]).astype(np.float32)
    return layers, folds.astype(np.float32), frown[WINDOW][..., None].astype(np.float32)


def _light(look: Look) -> np.ndarray:
    """(SIDE, SIDE): brightness over the head."""
    x, y = identity()[..., 0], identity()[..., 1]
    slope = (x - CENTRE[0] + CORNER[0]) * look.light[0] + (y - CENTRE[1]) * look.light[1]
    return 1 + np.clip(slope / 60.0, -0.4, 0.3)


@cache
def _photo_layers() -> tuple[np.ndarray, ...]:
    """Photograph, the same without smile folds, and masks of head, hair, frown and brows."""
    cut = np.s_[CORNER[1] : CORNER[1] + SIDE, CORNER[0] : CORNER[0] + SIDE]
    photo = data.astronaut()[cut]
    lines = _strokes(FOLDS, 6)
    smooth = cv2.inpaint(photo, (lines * 255).astype(np.uint8), 5, cv2.INPAINT_TELEA)
    head = np.zeros((SIDE, SIDE), np.float32)
    cv2.fillPoly(head, [np.array(HEAD, np.int32) - CORNER], 1.0)
    x, y = identity()[..., 0] + CORNER[0], identity()[..., 1] + CORNER[1]
    skin = ((x - 224) / 45) ** 2 + ((y - 128) / 53) ** 2 < 1
    hair = head * (~skin) * (y < 138)
    brows = (BROWS[2::-1], BROWS[3:])
    masks = (head, hair, _strokes(FROWN, 2), _strokes(brows, 3))
    soft = [cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.3) for mask in masks]
    return photo.astype(np.float32), smooth.astype(np.float32), *soft


def _strokes(lines: tuple[tuple[tuple[float, float], ...], ...], thickness: int) -> np.ndarray:
    """(SIDE, SIDE) float32 mask of polylines in face space."""
    mask = np.zeros((SIDE, SIDE), np.float32)
    points = [np.round(np.array(line) - CORNER).astype(np.int32) for line in lines]
    cv2.polylines(mask, points, False, 1.0, thickness)
    return mask


def wall(look: Look, height: int, width: int) -> np.ndarray:
    """(H, W, 3): a blurred room behind the person."""
    down = np.linspace(0, 1, height)[:, None, None]
    room = look.walls[0] * (1 - down) + look.walls[1] * down
    stripes = 18 * np.sin(np.linspace(0, 5 * look.scale * np.pi, width))[None, :, None]
    return (room + stripes).astype(np.float32)
