"""The demo's faces: a person's photograph, moved by action units.

Data flow: action units + lids + speech > displacement of the photograph around its landmarks
> head pose > one `cv2.remap` > person's background > RGB frame.

Lengths are in face space (see `demo_looks`).

Letters: H, W height and width, K displacement bumps.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from experiments.demo.looks import (
    BOTTOM,
    BROWS,
    CENTRE,
    CORNER,
    LEFT,
    RIGHT,
    TOP,
    WINDOW,
    Look,
    identity,
    person_layers,
    wall,
)
from fusion.tasks.au import UNITS

EYES = ((203.0, 101.5), (246.5, 103.5))
CHEEKS = ((194.0, 124.0), (254.0, 126.0))
MOUTH, HALF_MOUTH = (224.3, 144.5), 21.0
"""Middle of the closed lips, and half of the mouth's width in the photograph (a smile)."""


@dataclass(frozen=True)
class Face:
    """One frame's face.

    Attributes:
        units: (12,) intensities of the action units in ABAW's order, 0 to 1.
        lids: Opening of the eyes beyond the units: -1 shut, 0 as usual, 1 wide.
        speech: Opening of the mouth by speech, 0 to 1.
        turn: (2,) turn of the head to the right and downwards, about -1 to 1.
        roll: Turn in the picture plane, degrees.
        offset: (2,) place of the head against its usual one, picture pixels.
        zoom: Relative size against the person's usual one.
    """

    units: np.ndarray
    lids: float
    speech: float
    turn: np.ndarray
    roll: float
    offset: np.ndarray
    zoom: float


class Painter:
    """Paints one person into pictures of one size.

    Args:
        look: The person.
        height: Height of the picture in pixels.
        width: Width of the picture in pixels.
        rng: For the grain of the picture.
    """

    def __init__(self, look: Look, height: int, width: int, rng: np.random.Generator) -> None:
        self.look, self.height, self.width = look, height, width
        self._layers = person_layers(look)
        self._canvas = self._layers[0].copy()
        self._wall = wall(look, height, width)
        self._grain = rng.normal(0, 1.8, (2 * height, 2 * width, 1)).astype(np.float32)
        self._rng = rng
        bumps = _bumps()
        static = look.shifts.T @ bumps[: len(look.shifts)].reshape(len(look.shifts), -1)
        self._static = static.reshape(2, *bumps.shape[1:]).astype(np.float32)

    def paint(self, face: Face) -> np.ndarray:
        """The picture (H, W, 3), uint8 RGB."""
        maps = self._face_maps(face)
        pose = self._pose(face)
        size = (self.width, self.height)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        inverse = cv2.invertAffineTransform(pose)
        maps = cv2.warpAffine(maps, inverse, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        texture = self._texture(face.units)
        head = cv2.remap(texture, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR)
        behind = self._wall + self._noise()
        picture = head[..., :3] * (1 - maps[..., 2:])
        picture -= behind
        picture *= head[..., 3:]
        picture += behind
        return np.clip(picture, 0, 255).astype(np.uint8)

    def _face_maps(self, face: Face) -> np.ndarray:
        """(SIDE, SIDE, 3): source x and y within the square, and the mouth's darkness."""
        maps = identity().copy()
        x, y = _window_grid()
        moved = self._static + _linear_shift(face)
        mouth, dark = _mouth(face, self.look.mouth)
        dx = mouth[0] - moved[0]
        dy = mouth[1] - moved[1] + _eyes(face)
        maps[(*WINDOW, 0)] = x + dx - CORNER[0]
        maps[(*WINDOW, 1)] = y + dy - CORNER[1]
        maps[(*WINDOW, 2)] = dark
        return maps

    def _pose(self, face: Face) -> np.ndarray:
        """(2, 3) affine from the square to the picture."""
        scale = self.look.scale * face.zoom
        sx, sy = self.look.stretch * scale
        angle = np.deg2rad(face.roll)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = turn @ np.diag([-sx if self.look.mirrored else sx, sy])
        middle = np.array([self.width / 2, self.height * 0.5]) + face.offset
        origin = np.array(CENTRE) - CORNER
        return np.column_stack([linear, middle - linear @ origin])

    def _texture(self, units: np.ndarray) -> np.ndarray:
        """(SIDE, SIDE, 4): the smooth face with the folds that the units make, and its alpha."""
        au = dict(zip(UNITS, units, strict=True))
        smooth, folds, frown = self._layers
        depth = min(1.0, 0.9 * au["AU12"] + 0.3 * au["AU6"] + 0.7 * au["AU10"])
        face = smooth[WINDOW][..., :3] + depth * folds
        self._canvas[WINDOW][..., :3] = face * (1 - 0.6 * au["AU4"] * frown)
        return self._canvas

    def _noise(self) -> np.ndarray:
        """Grain of one frame: a random cut of a fixed field."""
        top, left = self._rng.integers(0, self.height), self._rng.integers(0, self.width)
        return self._grain[top : top + self.height, left : left + self.width]


def cover(picture: np.ndarray, centre: tuple[float, float], colour: np.ndarray) -> None:
    """Puts a panel that hides the face into a picture, centred at (x, y) in pixels."""
    height, width = picture.shape[:2]
    half_w, half_h = int(width * 0.34), int(height * 0.46)
    x, y = int(centre[0]), int(centre[1])
    picture[max(0, y - half_h) : y + half_h, max(0, x - half_w) : max(0, x + half_w)] = colour


def _linear_shift(face: Face) -> np.ndarray:
    """(2, rows, columns): how far the face's parts move right and down."""
    au = dict(zip(UNITS, face.units, strict=True))
    inner = -5.0 * au["AU1"] + 5.0 * au["AU4"]
    middle = -1.5 * au["AU1"] - 2.5 * au["AU2"] + 3.0 * au["AU4"]
    outer = -5.0 * au["AU2"] + 1.0 * au["AU4"]
    pinch = 3.5 * au["AU4"]
    cheek = -5.0 * au["AU6"] - 1.5 * au["AU12"]
    nose = -3.5 * au["AU10"]
    jaw = 7.5 * au["AU26"] + 1.5 * face.speech
    down = np.array([inner, middle, outer, inner, middle, outer, cheek, cheek, nose, jaw, 0.0])
    right = np.array([pinch, 0.0, 0, -pinch, 0, 0, 0, 0, 0, 0, 0])
    right[-1], down[-1] = 4.0 * face.turn
    bumps = _bumps()
    shift = np.stack([right, down]).astype(np.float32) @ bumps.reshape(len(bumps), -1)
    return shift.reshape(2, *bumps.shape[1:])


def _eyes(face: Face) -> np.ndarray:
    """(rows, columns): source offset downwards that opens or narrows the eyes."""
    au = dict(zip(UNITS, face.units, strict=True))
    lids = (0.15 if face.lids > 0 else 0.55) * face.lids
    opening = 1 + lids - 0.3 * au["AU6"] - 0.45 * au["AU7"]
    stretch = 1 / max(0.3, opening) - 1
    return stretch * _eye_field()


def _mouth(face: Face, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Source offset (2, rows, columns) that shapes the lips, and darkness between them.

    In every column the four borders of the two lips have a place in the photograph and a place in
    the picture; source rows run linearly between them, and die away outside.
    """
    au = dict(zip(UNITS, face.units, strict=True))
    x, y = _window_grid()
    pressed = 0.8 * au["AU24"] + 0.5 * au["AU23"]
    half = 16.5 * width + 5.0 * au["AU12"] - 3.5 * au["AU23"] - 2.0 * au["AU26"] + au["AU15"]
    gap = (4.5 * au["AU25"] + 10.0 * au["AU26"] + 5.0 * face.speech) * (1 - 0.8 * au["AU24"])
    corner = -0.7 + 6.5 * au["AU12"] - 7.0 * au["AU15"]
    across = (x[0] - MOUTH[0]) / half
    s = np.clip(across, -1, 1)
    bow = 1 - s**2
    line = MOUTH[1] - corner * s**2 - 3.5 * au["AU10"] * bow + 1.0 * au["AU12"]
    upper, lower = line - 0.3 * gap * bow, line + 0.7 * gap * bow + 0.02
    thick = max(0.3, 1 - 0.6 * pressed)
    targets = (upper - 3.4 * thick * bow - 0.4, upper, lower, lower + 6.0 * thick * bow + 0.5)
    sources = _photo_lips(s)
    dy = _knots_shift(y, targets, sources)
    side = np.exp(-((np.clip(np.abs(across) - 1, 0, None) / 0.45) ** 2))
    near = np.exp(-(((y - MOUTH[1]) / 17.0) ** 2))
    squeeze = (HALF_MOUTH / half - 1) * half * s * side * near
    inside = np.clip((y - upper) + 0.5, 0, 1) * np.clip((lower - y) + 0.5, 0, 1)
    teeth = 2.0 + 4.5 * au["AU12"] * (1 - au["AU26"]) + 2.0 * au["AU10"]
    deep = np.clip((y - upper - teeth) / 2.0 + 0.5, 0, 1)
    seam = np.exp(-(((y - (upper + lower) / 2) / 1.1) ** 2)) * np.exp(-gap)
    open_dark = inside * np.clip(gap - 0.5, 0, 1) * (0.12 + 0.75 * deep)
    dark = np.maximum(open_dark, 0.4 * seam) * (np.abs(across) < 1)
    return np.stack([squeeze, dy * side]), dark


def _photo_lips(s: np.ndarray) -> tuple[np.ndarray, ...]:
    """Rows of the lips' four borders in the photograph, at s = -1 (left corner) to 1."""
    bow = 1 - s**2
    corner = 139.8 + 0.6 * s
    return corner - 1.3 * bow - 0.4, corner + 1.9 * bow, corner + 9.6 * bow, corner + 15.2 * bow + 1


def _knots_shift(
    y: np.ndarray, targets: tuple[np.ndarray, ...], sources: tuple[np.ndarray, ...]
) -> np.ndarray:
    """Source row minus `y`, piecewise linear through target > source, dying away outside."""
    above = (sources[0] - targets[0]) * np.exp(-((np.clip(targets[0] - y, 0, None) / 11.0) ** 2))
    below = (sources[3] - targets[3]) * np.exp(-((np.clip(y - targets[3], 0, None) / 22.0) ** 2))
    shift = np.where(y < targets[0], above, below)
    for i in range(3):
        span = np.maximum(targets[i + 1] - targets[i], 0.02)
        part = (y - targets[i]) / span
        inside = (part >= 0) & (part < 1)
        row = sources[i] + part * (sources[i + 1] - sources[i])
        shift = np.where(inside, row - y, shift)
    return shift


@cache
def _window_grid() -> tuple[np.ndarray, np.ndarray]:
    """Columns x and rows y of the window's pixels in face space, each (rows, columns) float32."""
    y, x = np.mgrid[TOP:BOTTOM, LEFT:RIGHT].astype(np.float32)
    return x, y


def _bump(centre: tuple[float, float], sigma_x: float, sigma_y: float) -> np.ndarray:
    x, y = _window_grid()
    square = ((x - centre[0]) / sigma_x) ** 2 + ((y - centre[1]) / sigma_y) ** 2
    return np.exp(-square / 2) * _border()


@cache
def _border() -> np.ndarray:
    """1 inside the window, falling to 0 at its edges, so that no displacement tears there."""
    x, y = _window_grid()
    edge = np.minimum(np.minimum(x - LEFT, RIGHT - 1 - x), np.minimum(y - TOP, BOTTOM - 1 - y))
    return np.clip(edge / 8.0, 0, 1)


@cache
def _bumps() -> np.ndarray:
    """(K, rows, columns): brows, cheeks, nose, jaw, and the middle of the face."""
    bumps = [_bump(point, 6.0, 6.0) for point in BROWS]
    bumps += [_bump(point, 14.0, 10.0) for point in CHEEKS]
    bumps += [_bump((224.0, 129.0), 11.0, 8.0), _bump((225.0, 176.0), 30.0, 14.0)]
    bumps += [_bump((224.0, 122.0), 26.0, 32.0)]
    return np.stack(bumps).astype(np.float32)


@cache
def _eye_field() -> np.ndarray:
    """(rows, columns): distance below the eye's centre line, near an eye."""
    _, y = _window_grid()
    return sum((y - eye[1]) * _bump(eye, 10.0, 5.5) for eye in EYES)
