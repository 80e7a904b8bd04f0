"""Cutting covers every frame; stitching gives back what was cut."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.data.windowing import WindowPool, cut, stitch


@st.composite
def cuts(draw):
    length = draw(st.integers(1, 40))
    return draw(st.integers(1, 200)), length, draw(st.integers(1, length))


@settings(max_examples=200)
@given(cuts())
def test_every_frame_is_covered_and_the_last_window_ends_with_the_clip(shape):
    frames, length, stride = shape
    starts = cut(frames, length, stride)
    seen = np.zeros(frames, int)
    for start in starts:
        seen[start : start + length] += 1
    assert seen.min() >= 1
    assert starts == sorted(set(starts))
    assert all(b - a <= stride for a, b in pairwise(starts))
    assert starts[-1] == max(frames - length, 0)


def test_known_cuts():
    assert cut(1000) == [0, 200, 400, 600, 700]
    assert cut(700) == [0, 200, 400]
    assert cut(300) == cut(299) == cut(1) == [0]
    assert cut(301) == [0, 1]
    assert cut(0) == []


@pytest.mark.parametrize("stride", [0, -1, 301])
def test_a_stride_that_skips_frames_is_refused(stride):
    with pytest.raises(ValueError, match="stride"):
        cut(1000, 300, stride)


@settings(max_examples=100)
@given(cuts(), st.floats(-1, 1, width=32))
def test_a_constant_is_reproduced(shape, value):
    frames, length, stride = shape
    starts = cut(frames, length, stride)
    windows = [np.full((length, 2), value, np.float32) for _ in starts]
    out = stitch(windows, starts, frames)
    assert out.shape == (frames, 2)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, value, rtol=1e-6)


@settings(max_examples=100)
@given(cuts(), st.integers(0, 2**32))
def test_a_track_cut_and_stitched_is_the_track_and_padding_is_dropped(shape, seed):
    frames, length, stride = shape
    starts = cut(frames, length, stride)
    track = np.random.default_rng(seed).normal(size=(frames, 3))
    padded = np.r_[track, np.full((length, 3), np.nan)]
    out = stitch([padded[s : s + length] for s in starts], starts, frames)
    np.testing.assert_allclose(out, track, rtol=1e-12)


def test_the_middle_of_a_window_counts_more_than_its_border():
    out = stitch([np.zeros(10), np.ones(10)], [0, 5], 15)
    assert out[:5].max() == 0
    assert out[10:].min() == 1
    assert (np.diff(out[4:11]) > 0).all()


def test_a_frame_that_no_window_saw_is_an_error():
    with pytest.raises(ValueError, match="frame 10 of 20"):
        stitch([np.zeros(10)], [0], 20)
    with pytest.raises(ValueError, match="no windows"):
        stitch([], [], 0)


def test_the_pool_counts_a_repeated_window_once_and_keeps_clips_apart():
    rng = np.random.default_rng(0)
    lengths = [25, 8, 17]
    tracks = [rng.normal(size=(frames, 2)) for frames in lengths]
    rows = [(clip, start) for clip in (0, 2) for start in cut(lengths[clip], 10, 7)]
    pool = WindowPool()
    for clip, start in [*rows, rows[0], rows[0]]:
        window = np.zeros((1, 10, 2))
        part = tracks[clip][start : start + 10]
        window[0, : len(part)] = part
        pool.add([clip], [start], window)
    out = pool.stitched(lengths)
    assert list(out) == [0, 2]
    for clip, scores in out.items():
        np.testing.assert_allclose(scores, tracks[clip], rtol=1e-12)


def test_a_repeated_window_weighs_no_more_than_another():
    pool = WindowPool()
    once, twice = np.zeros((1, 10)), np.ones((1, 10))
    for start, window in [(0, once), (5, twice), (5, twice)]:
        pool.add([0], [start], window)
    np.testing.assert_allclose(pool.stitched([15])[0], stitch([once[0], twice[0]], [0, 5], 15))
