"""What a face looks like, in numbers that are cheap to make. Data flow: aligned crops > looks.

Structure: histograms of uniform local binary patterns in 3 x 3 cells (Ahonen, Hadid, Pietikäinen
2006, "Face description with local binary patterns"), which light hardly touches. Colour: joint
histograms of hue and saturation in the same cells. Square roots make the product of two looks the
mean of two Bhattacharyya coefficients. Nothing is trained;
experiments/results/follow-people.md has
how well looks tell people apart, and where the thresholds come from.

Letters: K faces, L length of looks, V views.
"""

import cv2
import numpy as np

SAME = 0.85
"""Similarity from which on two faces are taken for one person, wherever they are."""
CUT = 0.84
"""Similarity below which the face at a path's last place is somebody else."""
VIEWS = 8
"""Most views that are kept of a path."""
DISTINCT = 0.92
"""Similarity to all views below which a look is a view of its own."""
RATE = 0.1
"""Share of a new look in the running mean of the view that it belongs to."""
INNER = slice(12, 108)
"""Rows and columns of a crop that are looked at: little but the face."""
CELLS, PATTERN_SIDE, COLOUR_SIDE = 3, 36, 48
"""Cells along a side, and pixels to which the face is shrunk for patterns and for colours."""
HUES, SATURATIONS = 8, 4
"""Bins of colour."""


def _uniform_patterns() -> np.ndarray:
    """(256,) bin of each pattern of 8 neighbours: 58 with two changes at most, one for the rest."""
    bits = np.arange(256)[:, None] >> np.arange(8) & 1
    uniform = (bits != np.roll(bits, 1, axis=1)).sum(axis=1) <= 2
    return np.where(uniform, np.cumsum(uniform) - 1, uniform.sum())


def _cells(side: int, bins: int) -> np.ndarray:
    """(side, side) number of each pixel's cell, times the bins that a cell has."""
    cell = np.arange(side) * CELLS // side
    return (cell[:, None] * CELLS + cell) * bins


_PATTERN = _uniform_patterns()
_PATTERNS, _COLOURS = int(_PATTERN.max()) + 1, HUES * SATURATIONS
_PATTERN_CELL = _cells(PATTERN_SIDE, _PATTERNS)
_COLOUR_CELL = _cells(COLOUR_SIDE, _COLOURS)
_HUE = np.arange(180) * HUES // 180 * SATURATIONS
_SATURATION = np.arange(256) * SATURATIONS // 256
_NEIGHBOURS = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
LENGTH = CELLS**2 * (_PATTERNS + _COLOURS)
"""L."""


def looks_of(crops: np.ndarray) -> np.ndarray:
    """Describes faces.

    Args:
        crops: (K, 112, 112, 3) uint8 RGB, aligned, without margin; see `crop_faces`.

    Returns:
        (K, L) float32 of length 1, none negative; the product of two is their similarity.
    """
    looks = np.empty((len(crops), LENGTH), np.float32)
    for look, crop in zip(looks, crops, strict=True):
        face = crop[INNER, INNER]
        look[:] = np.concatenate([_structure(face), _colour(face)]) / np.sqrt(2)
    return looks


def _structure(face: np.ndarray) -> np.ndarray:
    """Square roots of the shares of patterns, cell by cell, of length 1."""
    side = PATTERN_SIDE
    grey = _shrunk(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), side + 2)
    around = np.stack([grey[y : y + side, x : x + side] for y, x in _NEIGHBOURS])
    patterns = _PATTERN[np.packbits(around >= grey[1:-1, 1:-1], axis=0)[0]]
    counts = np.bincount((_PATTERN_CELL + patterns).ravel(), minlength=CELLS**2 * _PATTERNS)
    return np.sqrt(counts / side**2)


def _colour(face: np.ndarray) -> np.ndarray:
    """Square roots of the shares of hue and saturation, cell by cell, of length 1."""
    colours = cv2.cvtColor(_shrunk(face, COLOUR_SIDE), cv2.COLOR_RGB2HSV)
    bins = _COLOUR_CELL + _HUE[colours[..., 0]] + _SATURATION[colours[..., 1]]
    counts = np.bincount(bins.ravel(), minlength=CELLS**2 * _COLOURS)
    return np.sqrt(counts / COLOUR_SIDE**2)


def _shrunk(face: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)


class Views:
    """What was seen of one path: its last look, and running means of looks that are distinct.

    Args:
        look: (L,) its first look.
    """

    def __init__(self, look: np.ndarray) -> None:
        self._table = np.zeros((1 + VIEWS, len(look)), np.float32)  # the last look comes first
        self._table[:2] = look
        self._counts = np.zeros(VIEWS)
        self._views = 1

    @property
    def means(self) -> np.ndarray:
        """(V, L) the views."""
        return self._table[1 : 1 + self._views]

    def add(self, look: np.ndarray, clear: bool) -> None:
        """Takes the next look; only clear ones, with nobody in front, make or change views."""
        self._table[0] = look
        if not clear:
            return
        alike = self.means @ look
        nearest = int(alike.argmax())
        if alike[nearest] < DISTINCT and self._views < VIEWS:
            self._counts[self._views] = 1
            self._views += 1
            self._table[self._views] = look
            return
        self._counts[nearest] += 1
        mean = (1 - RATE) * self.means[nearest] + RATE * look
        self.means[nearest] = mean / max(float(np.linalg.norm(mean)), 1e-6)

    def similarity(self, looks: np.ndarray, with_last: bool) -> np.ndarray:
        """(K,) similarity of looks (K, L) to the nearest view, or to the last look if wanted."""
        known = self._table[0 if with_last else 1 : 1 + self._views]
        nearest: np.ndarray = (looks @ known.T).max(axis=1)
        return nearest

    def likeness(self, other: "Views") -> float:
        """Mean over the looks of these views of the similarity to the nearest view of the other."""
        nearest = (self.means @ other.means.T).max(axis=1)
        shares = self._counts[: self._views] + (self._counts.sum() == 0)
        return float(np.average(nearest, weights=shares))
