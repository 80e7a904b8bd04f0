"""Streams with clocks of their own, brought onto the clock of the video frames.

Data flow: FeatureTrack (tokens) + frame times > window mean, else the nearest token > one row a
frame.

Letters: T tokens, F frames, D feature dimensions.
"""

import numpy as np

from features.store.feature_track import FeatureTrack, TrackInfo

CLIP_LEVEL = "clip-level"
"""`TrackInfo.notes` of a track whose only token speaks for the whole clip."""
SAME_CLOCK = 1e-3
"""Seconds: times that differ by no more are the same (OpenFace writes them with three decimals)."""
EDGE = 1e-6
"""Seconds by which a window is widened, so that rounding drops no token on its edge."""
BLOCK = 256
"""Frames that are summed at once; bounds the memory, has no influence on the result."""


def align(
    track: FeatureTrack, times: np.ndarray, window: float, reach: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """One row of features for every frame.

    A frame gets the mean of the valid tokens no further than `window / 2` from it; where there is
    none, the nearest valid token, if that is within `reach`; otherwise nothing (valid = False).
    Two kinds of track need no window: one on the frames' own clock is passed on as it is, and the
    only token of a clip-level track holds for every frame.

    Args:
        track: T tokens.
        times: (F,) float64, the frames' times in seconds, rising.
        window: Width of the window in seconds.
        reach: How far the nearest token may be, in seconds. None: half a window and one step of
            the track (the median distance of its tokens), so that the frames just before the
            first and just after the last token still get one.

    Returns:
        (F, D) float32, rows that are not valid are zero; and (F,) bool.
    """
    if is_clip_level(track.info):
        rows = np.zeros(len(times), np.int64) if len(track) else np.empty(0, np.int64)
        return _rows(track, rows, len(times))
    if same_clock(track.times, times):
        return _rows(track, np.arange(len(times)), len(times))
    if reach is None:
        reach = window / 2 + (float(np.median(np.diff(track.times))) if len(track) > 1 else 0.0)
    return _window_mean(
        track.values[track.valid], track.times[track.valid], times, window / 2 + EDGE, reach + EDGE
    )


def is_clip_level(info: TrackInfo) -> bool:
    """Whether the track's only token speaks for the whole clip."""
    return info.notes == CLIP_LEVEL


def same_clock(tokens: np.ndarray, times: np.ndarray) -> bool:
    """Whether there is one token for each frame, at the frame's time."""
    return len(tokens) == len(times) and bool((np.abs(tokens - times) <= SAME_CLOCK).all())


def _rows(track: FeatureTrack, rows: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of the given numbers, one a frame; nothing at all if there are no rows."""
    values, valid = np.zeros((frames, track.dim), np.float32), np.zeros(frames, bool)
    if len(rows):
        valid[:] = track.valid[rows]
        values[valid] = track.values[rows[valid]]
    return values, valid


def _window_mean(
    values: np.ndarray, tokens: np.ndarray, times: np.ndarray, half: float, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """As `align`; here every token (`values` (T, D), `tokens` (T,)) is valid."""
    first = np.searchsorted(tokens, times - half, side="left")
    last = np.searchsorted(tokens, times + half, side="right")
    out = np.zeros((len(times), values.shape[1]), np.float32)
    for start in range(0, len(times), BLOCK):
        block = slice(start, start + BLOCK)
        out[block] = _means(values, first[block], last[block])
    valid = last > first
    if not valid.all() and len(tokens):
        near = _nearest(tokens, times)
        fallback = ~valid & (np.abs(tokens[near] - times) <= reach)
        out[fallback] = values[near[fallback]]
        valid |= fallback
    return out, valid


def _means(values: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Means (F, D) of values[first[i]:last[i]] for rising bounds; zero where that is empty.

    Differences of one cumulative sum in float64, so the cost is O(F + T) whatever the window.
    """
    begin = first[0]
    part = values[begin : last[-1]]
    sums = np.zeros((len(part) + 1, values.shape[1]))
    np.cumsum(part, axis=0, dtype=np.float64, out=sums[1:])
    count = np.maximum(last - first, 1)
    return (sums[last - begin] - sums[first - begin]) / count[:, None]


def _nearest(tokens: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Number (F,) of the token nearest to each time; the earlier of two equally near ones."""
    after = np.searchsorted(tokens, times).clip(1, max(len(tokens) - 1, 1))
    before = after - 1
    after = after.clip(max=len(tokens) - 1)
    return np.where(times - tokens[before] <= tokens[after] - times, before, after)
