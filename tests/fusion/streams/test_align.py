"""Alignment against a slow loop that is plainly right, and the promises of the docstring."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.store.feature_track import MAIN, SOUND, FeatureTrack, TrackInfo
from fusion.streams import alignment as module
from fusion.streams.alignment import CLIP_LEVEL, EDGE, align


def track(values, times, valid=None, person=SOUND, notes=""):
    values = np.asarray(values, np.float32).reshape(len(times), -1)
    valid = np.ones(len(times), bool) if valid is None else np.asarray(valid, bool)
    info = TrackInfo("1", person, "s", "e", "r", "s", "x", notes=notes)
    return FeatureTrack(values, np.asarray(times, np.float64), valid, info)


def naive(track, times, window, reach):
    """One frame after the other, as the docstring says it."""
    out, ok = np.zeros((len(times), track.dim), np.float32), np.zeros(len(times), bool)
    tokens = np.flatnonzero(track.valid)
    for frame, time in enumerate(times):
        distance = np.abs(track.times[tokens] - time)
        inside = tokens[distance <= window / 2 + EDGE]
        if len(inside):
            out[frame], ok[frame] = track.values[inside].mean(0, dtype=np.float64), True
        elif len(tokens) and distance.min() <= reach + EDGE:
            out[frame], ok[frame] = track.values[tokens[distance.argmin()]], True
    return out, ok


@st.composite
def situations(draw):
    """A track with gaps, an offset and invalid tokens; frames of varying steps; a window."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    tokens, frames = draw(st.integers(1, 60)), draw(st.integers(1, 40))
    steps = rng.choice([0.02, 0.02, 0.1, 1.0], tokens) + rng.uniform(0, 0.003, tokens)
    times = draw(st.floats(-1, 3)) + np.cumsum(steps)
    clock = np.cumsum(rng.uniform(0.01, 0.2, frames))
    valid = rng.random(tokens) < draw(st.sampled_from([0.2, 0.7, 1.0]))
    scale = 10.0 ** draw(st.integers(-4, 4))
    values = scale * rng.normal(1, 1, (tokens, 3))
    return track(values, times, valid), clock, draw(st.floats(0, 1)), draw(st.floats(0, 1.5))


@settings(max_examples=150, deadline=None)
@given(situations(), st.sampled_from([1, 7, 256]))
def test_equals_the_naive_loop(situation, block):
    made, clock, window, reach = situation
    before, module.BLOCK = module.BLOCK, block
    try:
        values, valid = align(made, clock, window, reach)
    finally:
        module.BLOCK = before
    expected, expected_valid = naive(made, clock, window, reach)
    assert np.array_equal(valid, expected_valid)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5 * np.abs(made.values).max())


@settings(max_examples=60, deadline=None)
@given(situations())
def test_invalid_tokens_never_contribute(situation):
    made, clock, window, reach = situation
    poisoned = np.where(made.valid[:, None], made.values, np.float32(np.nan))
    other = FeatureTrack(poisoned, made.times, made.valid, made.info)
    values, valid = align(made, clock, window, reach)
    poisoned_values, poisoned_valid = align(other, clock, window, reach)
    assert np.array_equal(valid, poisoned_valid)
    assert np.array_equal(values, poisoned_values)


@settings(max_examples=60, deadline=None)
@given(situations(), st.sampled_from([-2.0, 0.5, 1024.0]))
def test_a_shift_of_both_clocks_changes_nothing(situation, shift):
    made, clock, window, reach = situation
    moved = FeatureTrack(made.values, made.times + shift, made.valid, made.info)
    values, valid = align(made, clock, window, reach)
    moved_values, moved_valid = align(moved, clock + shift, window, reach)
    assert np.array_equal(valid, moved_valid)
    assert np.array_equal(values, moved_values)


def test_the_mean_of_a_line_is_the_line():
    tokens = np.arange(500) * 0.02 + 0.01
    clock = np.arange(30, 240) / 30
    values, valid = align(track(tokens, tokens), clock, window=0.2)
    assert valid.all()
    assert np.abs(values[:, 0] - clock).max() < 0.011  # half a token: the window's own rounding


def test_a_constant_offset_of_the_sound_moves_the_features_by_as_much():
    tokens = np.arange(500) * 0.02
    late = track(tokens, tokens + 0.5)
    values, valid = align(late, np.arange(150) / 30, window=0.2)
    assert not valid[:11].any()  # nothing is heard before .5 - .12 s
    assert valid[12:].all()
    assert abs(values[60, 0] - 1.5) < 0.011


def test_small_features_keep_their_digits_behind_large_ones():
    values = np.r_[np.full(5000, 1e6), np.full(5000, 1e-3)]
    tokens = np.arange(10000) * 0.02
    aligned, _ = align(track(values, tokens), np.array([50.0, 150.0]), window=0.2)
    np.testing.assert_allclose(aligned[:, 0], [1e6, 1e-3], rtol=1e-3)


def test_tokens_on_the_edge_count_whatever_the_rounding():
    tokens = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    values, _ = align(track([1, 2, 3, 4, 5], tokens), np.array([0.1 * 3]), window=0.4)
    assert values[0, 0] == 3


def test_the_same_clock_is_passed_on_unaveraged_with_its_gaps():
    clock = np.arange(5) / 30
    made = track([1, 2, 3, 4, 5], np.round(clock, 3), [1, 0, 1, 1, 0], person=MAIN)
    values, valid = align(made, clock, window=10)
    assert values[:, 0].tolist() == [1, 0, 3, 4, 0]
    assert valid.tolist() == [True, False, True, True, False]
    assert values.dtype == np.float32


def test_a_gap_wider_than_the_reach_stays_invalid():
    tokens = np.arange(100) * 0.02
    valid = (tokens < 0.5) | (tokens > 1.5)
    _, seen = align(track(tokens, tokens, valid), np.array([0.4, 0.55, 1.0, 1.45]), window=0.2)
    assert seen.tolist() == [True, True, False, True]


def test_the_default_reach_is_half_a_window_and_a_step():
    made = track([1, 2], [0.0, 1.0])
    _, valid = align(made, np.array([1.0, 2.09, 2.11]), window=0.2)
    assert valid.tolist() == [True, True, False]


def test_of_two_equally_near_tokens_the_earlier_is_taken():
    values, _ = align(track([1, 2], [0.0, 1.0]), np.array([0.5]), window=0.2)
    assert values[0, 0] == 1


def test_a_clip_level_token_holds_for_every_frame():
    values, valid = align(track([[7, 8]], [0.0], notes=CLIP_LEVEL), np.arange(9) * 60.0, 0.2)
    assert valid.all()
    assert (values == [7, 8]).all()
    _, unknown = align(track([[7, 8]], [0.0], [False], notes=CLIP_LEVEL), np.arange(9.0), 0.2)
    assert not unknown.any()


def test_a_track_without_tokens_leaves_every_frame_invalid():
    for notes in ("", CLIP_LEVEL):
        info = TrackInfo("1", SOUND, "s", "e", "r", "s", "x", notes=notes)
        empty = FeatureTrack(np.zeros((0, 4), np.float16), np.zeros(0), np.zeros(0, bool), info)
        values, valid = align(empty, np.arange(3.0), 0.2)
        assert values.shape == (3, 4)
        assert not valid.any()
        assert not values.any()
