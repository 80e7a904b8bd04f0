"""Smoothing of what a model says of one person in one video, and of frames without a face.

Data flow: values (F, C) of ONE clip + times + face > filtered over the frames with a face > frames
without one keep their own values, or are interpolated in time between their neighbours with one.

Widths are seconds: affect unfolds in seconds, while 39 % of Aff-Wild2's training videos are off the
common frame rates (6 to 30 fps) and its validation is almost all 30. A clip's own median frame
interval turns the width into an odd number of frames. Published entries name +-50 frames: 10/3 s
at 30 fps.

A frame without a face has no weight in any mean, median or fit, and neither has what lies beyond
the clip's ends: the rest is normalised anew (normalised convolution, Knutsson and Westin, 1993).

Letters: F frames of a clip, C columns, H frames on each side of a window of N = 2 H + 1.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.ndimage import median_filter

Kind = Literal["none", "box", "gaussian", "median", "savgol"]
TRUNCATE = 3.0
"""Standard deviations at which the Gaussian ends."""


@dataclass(frozen=True)
class Smoothing:
    """How a task's values are smoothed.

    Attributes:
        kind: none; box, the mean; gaussian, of the same standard deviation as a box of that width;
            median; savgol, the centre of a parabola fitted by least squares (Savitzky and Golay,
            1964).
        seconds: Full width of the window.
        interpolate: Whether frames without a face are interpolated between the nearest frames with
            one (before the first and after the last: the nearest); else they keep the model's own
            values, for the sound is heard without a face.

    Raises:
        ValueError: If the kind is unknown or the width no positive number.
    """

    kind: Kind = "none"
    seconds: float = 0.0
    interpolate: bool = False

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"smoothing must be one of {', '.join(get_args(Kind))}: {self.kind}")
        if self.kind != "none" and not 0 < self.seconds < math.inf:
            raise ValueError(f"smoothing needs a width in seconds: {self.seconds}")

    def __str__(self) -> str:
        what = "no smoothing" if self.kind == "none" else f"{self.kind} {self.seconds:.2g} s"
        return f"{what}, no face: {'interpolated' if self.interpolate else 'as the model says'}"


NONE = Smoothing()
"""Values as the model says them."""


def smooth(
    values: np.ndarray, times: np.ndarray, face: np.ndarray, smoothing: Smoothing
) -> np.ndarray:
    """Smoothed values of one clip; a clip without any face keeps its own.

    Args:
        values: (F, C) of one person in one video, never of several.
        times: (F,) seconds, strictly rising.
        face: (F,) bool; other frames neither weigh in their neighbours' values nor are smoothed.
        smoothing: What to do.

    Returns:
        (F, C) float64.
    """
    filtered = filter_faces(values, times, face, smoothing)
    return interpolate_gaps(filtered, times, face) if smoothing.interpolate else filtered


def filter_faces(
    values: np.ndarray, times: np.ndarray, face: np.ndarray, smoothing: Smoothing
) -> np.ndarray:
    """The first half of `smooth`: (F, C) float64, frames without a face as they were."""
    out = values.astype(np.float64)
    half = half_width(times, smoothing.seconds)
    if smoothing.kind == "none" or half == 0 or not face.any():
        return out
    seen = np.where(face[:, None], out, 0.0)
    if smoothing.kind == "median":
        filtered = _median(seen, face, half)
    elif smoothing.kind == "savgol":
        filtered = _parabola(seen, face, half)
    else:
        filtered = _mean(seen, face, _kernel(smoothing.kind, half))
    out[face] = filtered[face]
    return out


def interpolate_gaps(values: np.ndarray, times: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Values (F, C) with frames without a face on the line, in time, between those with one."""
    out = values.copy()
    if face.any() and not face.all():
        for column in out.T:
            column[~face] = np.interp(times[~face], times[face], column[face])
    return out


def half_width(times: np.ndarray, seconds: float) -> int:
    """H of a window of so many seconds at the clip's median frame interval, below F."""
    if len(times) < 2:
        return 0
    interval = float(np.median(np.diff(times)))
    return min(round(seconds / interval / 2), len(times) - 1)


def _kernel(kind: Kind, half: int) -> np.ndarray:
    """Weights of a box or a Gaussian, centre in the middle, not normalised."""
    if kind == "box":
        return np.ones(2 * half + 1)
    sigma = (2 * half + 1) / math.sqrt(12)
    offsets = np.arange(-math.ceil(TRUNCATE * sigma), math.ceil(TRUNCATE * sigma) + 1)
    return np.exp(-0.5 * (offsets / sigma) ** 2)


def _sums(rows: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Around each row, the sum of (F, C) rows times the kernel's weight at their offset."""
    from scipy.signal import fftconvolve  # half a second that help and checks do without

    reach = len(kernel) // 2
    flipped = kernel[::-1, None]  # convolution turns it round again
    return fftconvolve(rows, flipped, mode="full", axes=0)[reach : reach + len(rows)]


def _mean(seen: np.ndarray, face: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Weighted mean of the frames with a face; means something only where there is a face."""
    weight = _sums(face[:, None].astype(np.float64), kernel)
    return _sums(seen, kernel) / np.maximum(weight, kernel.min())


def _parabola(seen: np.ndarray, face: np.ndarray, half: int) -> np.ndarray:
    """Centre of the least-squares parabola through the frames with a face.

    With s_p the sum of offset^p over them and t_p that of offset^p times value, Cramer's rule on
    the normal equations. Where half of the window or more is absent, the mean: a parabola would
    follow the noise.
    """
    offsets = np.arange(-half, half + 1) / half
    mask = face[:, None].astype(np.float64)
    s0, s1, s2, s3, s4 = (_sums(mask, offsets**p) for p in range(5))
    t0, t1, t2 = (_sums(seen, offsets**p) for p in range(3))
    c0, c1, c2 = s2 * s4 - s3**2, s2 * s3 - s1 * s4, s1 * s3 - s2**2
    determinant = s0 * c0 + s1 * c1 + s2 * c2
    enough = np.rint(s0) >= max(half + 1, 3)
    fitted = (c0 * t0 + c1 * t1 + c2 * t2) / np.where(enough, determinant, 1.0)
    return np.where(enough, fitted, t0 / np.maximum(s0, 1.0))


def _median(seen: np.ndarray, face: np.ndarray, half: int) -> np.ndarray:
    """Median of the frames with a face; of an even number of them one of the middle two.

    The others become plus and minus infinity in turn, which leaves the middle where it was.
    """
    inside = np.zeros((len(face) + 2 * half, 1), bool)
    inside[half : half + len(face), 0] = face
    rows = np.pad(seen, ((half, half), (0, 0)))
    rows = np.where(inside, rows, np.where(np.cumsum(~inside) % 2, np.inf, -np.inf)[:, None])
    columns = [median_filter(column, 2 * half + 1, mode="nearest") for column in rows.T]
    return np.stack(columns, axis=1)[half : half + len(face)]
