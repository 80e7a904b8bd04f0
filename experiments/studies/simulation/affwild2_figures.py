"""Pooled figures of Aff-Wild2's valence-arousal files, from which imitations are made.

They are counts, quantiles and histograms of the label files of the fifth to eighth challenge; no
label of a person is in them. Quantiles are min, 5, 10, 25, 50, 75, 90, 95 %, max.
"""

from dataclasses import dataclass

import numpy as np

QUANTILES = (0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1)


@dataclass(frozen=True)
class SplitFigures:
    """Figures of one split.

    Attributes:
        name: Name in settings and tables.
        folder: Name of its folder of annotations.
        files, rows: Annotated people and their label rows, one a frame.
        lengths: Frames of a file at `QUANTILES`.
        rates: How many videos have 30, 29.97, 25, 24, 23.976 and any other frame rate.
        pairs: Videos with a `_left` and a `_right` file.
        beside: Suffixes of files that have the bare name beside them.
        segments: Files named `videoN_N`, parts of one long video.
        invalid: Files with unlabelled rows: share of its rows, then (place, frames) of each run.
    """

    name: str
    folder: str
    files: int
    rows: int
    lengths: tuple[int, ...]
    rates: tuple[int, ...]
    pairs: int
    beside: tuple[str, ...]
    segments: int
    invalid: tuple[tuple[float, tuple[tuple[str, int], ...]], ...] = ()

    @property
    def videos(self) -> int:
        """Distinct videos."""
        return self.files - self.pairs - len(self.beside)

    @property
    def invalid_rows(self) -> int:
        """Rows with -5."""
        return sum(frames for _, runs in self.invalid for _, frames in runs)


@dataclass(frozen=True)
class LabelFigures:
    """How the labels of one split are distributed and move.

    Attributes:
        histogram: (10, 10) per cent of the valid rows; columns valence from -1 to 1, rows arousal
            from 1 down to -1.
        mean, std: Of valence and arousal, pooled.
        between: Share of the variance that lies between videos.
        zeros, ends: Shares of rows that are exactly 0, and exactly -1 or 1.
        held: Shares of steps in which the value stays; the third is of both together.
        lag30: Autocorrelation at a lag of 30 frames with each video's own mean removed.
        step: Standard deviation of the first difference.
        off_grid: Share of files with values that are not multiples of .001.
    """

    histogram: np.ndarray
    mean: tuple[float, float]
    std: tuple[float, float]
    between: tuple[float, float]
    zeros: tuple[float, float]
    ends: tuple[float, float]
    held: tuple[float, float, float]
    lag30: tuple[float, float]
    step: tuple[float, float]
    off_grid: float


def _histogram(text: str) -> np.ndarray:
    return np.array([line.split() for line in text.strip().splitlines()], float)


TRAIN = SplitFigures(
    name="train",
    folder="Train_Set",
    files=356,
    rows=1_682_057,
    lengths=(263, 1220, 1796, 2640, 3899, 5405, 7968, 10528, 47435),
    rates=(123, 66, 7, 4, 13, 138),
    pairs=4,
    beside=("_right",),
    segments=0,
    invalid=(
        (0.71, (("start", 461), ("inside", 743), ("end", 390))),
        (0.098, (("inside", 148), ("inside", 151))),
        (0.03, (("inside", 153), ("inside", 154))),
    ),
)
VALIDATION = SplitFigures(
    name="validation",
    folder="Validation_Set",
    files=76,
    rows=383_814,
    lengths=(73, 296, 431, 1810, 4089, 8093, 10514, 11370, 18189),
    rates=(63, 8, 2, 0, 0, 0),
    pairs=2,
    beside=("_right",),
    segments=3,
    invalid=(
        (0.23, (("start", 1530),)),
        (0.062, (("inside", 147), ("end", 116))),
    ),
)
TEST = SplitFigures(
    name="test",
    folder="Test_Set",
    files=162,
    rows=927_210,
    lengths=(128, 786, 1113, 2682, 4230, 7758, 11011, 16357, 26618),
    rates=(100, 16, 4, 1, 2, 31),
    pairs=7,
    beside=("_left",),
    segments=7,
)

TRAIN_LABELS = LabelFigures(
    histogram=_histogram("""
1.81 0.99 0.29 0.07 0.03 0.04 0.11 0.32 0.88 1.88
0.64 1.80 1.02 0.35 0.11 0.27 0.72 1.58 1.89 1.15
0.24 1.14 2.04 1.34 0.58 1.29 3.30 3.51 1.63 0.40
0.06 0.76 1.93 3.44 2.34 6.80 8.57 2.96 0.65 0.09
0.03 0.19 0.67 1.89 4.69 20.08 4.81 0.59 0.08 0.02
0.01 0.01 0.02 0.11 0.93 3.31 0.18 0.01 0.00 0.00
0.01 0.01 0.01 0.03 0.28 1.40 0.06 0.00 0.00 0.00
0.01 0.01 0.02 0.02 0.12 0.49 0.01 0.00 0.00 0.00
0.00 0.01 0.01 0.02 0.09 0.22 0.01 0.00 0.00 0.00
0.01 0.00 0.01 0.01 0.17 0.32 0.00 0.00 0.00 0.00
"""),
    mean=(0.0743, 0.2973),
    std=(0.4023, 0.2984),
    between=(0.511, 0.366),
    zeros=(0.0507, 0.0260),
    ends=(0.0221, 0.0223),
    held=(0.652, 0.619, 0.457),
    lag30=(0.8193, 0.7864),
    step=(0.01617, 0.01604),
    off_grid=117 / 356,
)
VALIDATION_LABELS = LabelFigures(
    histogram=_histogram("""
1.48 1.77 0.31 0.12 0.05 0.08 0.17 0.77 1.10 2.59
0.53 1.29 0.78 0.37 0.19 0.43 1.04 2.20 2.53 1.34
0.23 0.76 0.91 0.68 0.37 1.77 3.98 4.25 1.87 0.47
0.09 0.50 1.01 0.97 0.69 8.68 10.25 4.00 0.83 0.12
0.05 0.32 0.57 0.82 1.46 23.75 8.44 1.23 0.21 0.07
0.01 0.06 0.06 0.13 0.12 0.79 0.03 0.02 0.01 0.00
0.00 0.02 0.01 0.04 0.00 0.03 0.01 0.02 0.00 0.00
0.00 0.01 0.01 0.00 0.00 0.01 0.04 0.01 0.02 0.00
0.00 0.01 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00
0.00 0.01 0.00 0.00 0.00 0.00 0.00 0.00 0.00 0.00
"""),
    mean=(0.1715, 0.3441),
    std=(0.3921, 0.2690),
    between=(0.535, 0.378),
    zeros=(0.0433, 0.0274),
    ends=(0.0175, 0.0212),
    held=(0.697, 0.654, 0.508),
    lag30=(0.7472, 0.6686),
    step=(0.01670, 0.01650),
    off_grid=0.0,
)

RATES = (30.0, 29.97, 25.0, 24.0, 23.976)
OTHER_RATES = (
    (6, 10, 5),
    (10, 15, 5),
    (15, 18, 6),
    (18, 20, 7),
    (20, 21, 21),
    (21, 22, 16),
    (22, 23, 20),
    (23, 24, 15),
    (24, 25, 17),
    (25, 26, 13),
    (26, 27, 4),
    (27, 28, 11),
    (28, 29, 13),
    (29, 29.97, 17),
)
"""Frame rates that are none of `RATES`: from, below, and how many videos."""
UNUSED_NUMBERS = (*range(451, 461), *range(471, 476), *range(481, 486))
"""Numbers of the 20 videos that are in the table of frame rates and in no split."""
UNUSED_RATES = (6, 11, 2, 0, 0, 1)
SCIENTIFIC_ROWS = 52
"""Rows of the training files with a number such as `9.9e-9`."""
