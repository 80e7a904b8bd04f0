"""Scenes with several people, put together from clips of one person each.

Data flow: clips > head of each person on a square tile > tiles moved over a canvas > pictures, and
who is where. What lies in front hides what lies behind.

Letters: N frames of a scene.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from features.media import FrameBlock, read_frames

WIDTH, HEIGHT, FPS = 640, 360, 25.0
TILE = 240
"""Side of a tile in pixels."""
VIEW = 2.4
"""Side of the part of a clip that is shown, in sides of the face."""
LEFT, MIDDLE, RIGHT = 130, 320, 510
"""Where people stand."""
MOST = 120
"""Frames that are taken of a clip; longer scenes run them to and fro."""


@dataclass(frozen=True)
class Shown:
    """One person in one frame: number, middle of the tile, and its side."""

    who: int
    x: float
    y: float = HEIGHT / 2
    side: float = 200


Script = list[list[Shown]]
"""Who is shown in each frame; the last lies in front."""


def still(*people: Shown, frames: int) -> Script:
    """Nobody moves."""
    return [list(people)] * frames


def side_by_side() -> Script:
    """Two people, and nothing happens."""
    return still(Shown(0, LEFT), Shown(1, RIGHT), frames=80)


def swap() -> Script:
    """Two people change places by a cut, three times."""
    here = still(Shown(0, LEFT), Shown(1, RIGHT), frames=30)
    there = still(Shown(0, RIGHT), Shown(1, LEFT), frames=30)
    return here + there + here + there


def crossing() -> Script:
    """Two people slide past each other and back, the first in front."""
    ways = [np.linspace(LEFT, RIGHT, 60), np.linspace(RIGHT, LEFT, 60)]
    return [
        [Shown(1, WIDTH - x, HEIGHT / 2 - 15), Shown(0, x, HEIGHT / 2 + 15)]
        for x in np.concatenate(ways)
    ]


def coming_back() -> Script:
    """One leaves for 5 s and comes back, smaller, at the other side; the second takes the place."""
    second = Shown(1, MIDDLE)
    return (
        still(Shown(0, LEFT), second, frames=30)
        + still(second, frames=60)
        + still(Shown(1, LEFT), frames=65)
        + still(Shown(1, LEFT), Shown(0, RIGHT, side=150), frames=40)
    )


def three() -> Script:
    """Three people; the outer two change places by a cut, then all move on by one place."""
    places = (110, 320, 530)
    orders = ((0, 1, 2), (2, 1, 0), (1, 0, 2))
    return [
        frame
        for order in orders
        for frame in still(
            *(Shown(who, x, side=190) for who, x in zip(order, places, strict=True)), frames=30
        )
    ]


def cuts() -> Script:
    """Full-screen shots of two people in turns, at one place."""
    return [
        frame for who in (0, 1, 0, 1, 0) for frame in still(Shown(who, MIDDLE, side=340), frames=25)
    ]


SCENES: dict[str, Callable[[], Script]] = {
    "side by side": side_by_side,
    "swap": swap,
    "crossing": crossing,
    "coming back": coming_back,
    "three": three,
    "cuts": cuts,
}


def read_tiles(path: Path, box: np.ndarray) -> np.ndarray:
    """(N, TILE, TILE, 3) of a clip around a face's box (4,), black where the picture ends."""
    side = VIEW * np.sqrt((box[2:] - box[:2]).prod())
    corner = (box[:2] + box[2:]) / 2 - side / 2
    matrix = np.array([[side / TILE, 0, corner[0]], [0, side / TILE, corner[1]]])
    flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
    tiles: list[np.ndarray] = []
    for block in read_frames(path, 16):
        tiles += [cv2.warpAffine(i, matrix, (TILE, TILE), flags=flags) for i in block.images]
        if len(tiles) >= MOST:
            break
    return np.stack(tiles[:MOST])


def in_one_light(tiles: np.ndarray) -> np.ndarray:
    """Tiles in which the face has the mean and contrast of each colour that all are given."""
    inner = slice(round(TILE * (0.5 - 0.4 / VIEW)), round(TILE * (0.5 + 0.4 / VIEW)))
    face = tiles[:, inner, inner].reshape(-1, 3)
    mean, deviation = face.mean(axis=0), face.std(axis=0)
    levelled: np.ndarray = (tiles - mean) / deviation * 45 + 120
    return np.clip(levelled, 0, 255).astype(np.uint8)


def play(script: Script, actors: list[np.ndarray]) -> Iterator[FrameBlock]:
    """The pictures of a scene, in blocks; actors are tiles (N, TILE, TILE, 3)."""
    for first in range(0, len(script), 16):
        rows = range(first, min(first + 16, len(script)))
        images = np.stack([_picture(script[row], row, actors) for row in rows])
        yield FrameBlock(images, np.array(rows) / FPS, first)


def truth(frame: list[Shown], boxes: np.ndarray) -> np.ndarray:
    """(K,) who is at the middle of each box (K, 4); -1 where nobody is."""
    whose = np.full(len(boxes), -1)
    for one in frame:
        offsets = np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - (one.x, one.y))
        whose[(offsets <= one.side / 2).all(axis=1)] = one.who
    return whose


def _picture(frame: list[Shown], row: int, actors: list[np.ndarray]) -> np.ndarray:
    """One picture (HEIGHT, WIDTH, 3)."""
    image = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    for one in frame:
        tiles, scale = actors[one.who], one.side / TILE
        last = len(tiles) - 1
        tile = tiles[last - abs(row % (2 * last) - last)]
        matrix = np.array([[scale, 0, one.x - one.side / 2], [0, scale, one.y - one.side / 2]])
        border = cv2.BORDER_TRANSPARENT
        cv2.warpAffine(tile, matrix, (WIDTH, HEIGHT), image, cv2.INTER_LINEAR, border)
    return image
