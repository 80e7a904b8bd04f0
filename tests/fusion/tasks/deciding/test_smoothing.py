"""Smoothing of one clip: what it weighs, what it leaves out, and frames without a face."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.tasks.deciding.smoothing import NONE, Smoothing, half_width, smooth

KINDS = ("box", "gaussian", "median", "savgol")
FPS = 10.0


def clip(frames: int = 40, seed: int = 0, absent: float = 0.3) -> tuple[np.ndarray, ...]:
    """Values (F, 3), times and face of a clip that has both frames with and without a face."""
    rng = np.random.default_rng(seed)
    face = rng.random(frames) >= absent
    face[frames // 2] = True
    return rng.normal(size=(frames, 3)), np.arange(frames) / FPS, face


def window(frame: int, half: int, face: np.ndarray) -> np.ndarray:
    """Frames with a face around a frame."""
    near = np.abs(np.arange(len(face)) - frame) <= half
    return np.flatnonzero(near & face)


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(("none", *KINDS)),
    interpolate=st.booleans(),
    seconds=st.sampled_from((0.3, 1.0, 9.0)),
    seed=st.integers(0, 99),
    value=st.sampled_from((1e9, -7.0, np.inf, np.nan)),
)
def test_the_value_of_a_frame_without_a_face_changes_no_other(
    kind: str, interpolate: bool, seconds: float, seed: int, value: float
) -> None:
    values, times, face = clip(seed=seed)
    how = Smoothing(kind, seconds, interpolate)  # type: ignore[arg-type]
    changed = values.copy()
    absent = np.flatnonzero(~face)
    changed[absent[seed % len(absent)]] = value
    others = np.ones(len(face), bool)
    others[absent[seed % len(absent)]] = interpolate
    before, after = smooth(values, times, face, how), smooth(changed, times, face, how)
    np.testing.assert_array_equal(before[others], after[others])


@pytest.mark.parametrize("half", [1, 4, 60])
def test_a_box_is_the_mean_of_the_frames_with_a_face(half: int) -> None:
    values, times, face = clip()
    out = smooth(values, times, face, Smoothing("box", (2 * half) / FPS))
    for frame in np.flatnonzero(face):
        expected = values[window(frame, half, face)].mean(axis=0)
        np.testing.assert_allclose(out[frame], expected, atol=1e-12)


def test_a_gaussian_weighs_by_distance_and_has_the_spread_of_the_box() -> None:
    values, times, face = clip()
    out = smooth(values, times, face, Smoothing("gaussian", 1.0))
    sigma = 11 / np.sqrt(12)
    for frame in np.flatnonzero(face):
        seen = window(frame, int(np.ceil(3 * sigma)), face)
        weight = np.exp(-0.5 * ((seen - frame) / sigma) ** 2)
        expected = (weight[:, None] * values[seen]).sum(axis=0) / weight.sum()
        np.testing.assert_allclose(out[frame], expected, atol=1e-12)


@pytest.mark.parametrize("half", [1, 4, 60])
def test_a_median_is_a_middle_value_of_the_frames_with_a_face(half: int) -> None:
    values, times, face = clip()
    out = smooth(values, times, face, Smoothing("median", (2 * half) / FPS))
    for frame in np.flatnonzero(face):
        ranked = np.sort(values[window(frame, half, face)], axis=0)
        low, high = ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]
        assert ((out[frame] == low) | (out[frame] == high)).all()


def test_savgol_is_the_parabola_through_the_frames_with_a_face() -> None:
    values, times, face = clip(absent=0.2)
    out = smooth(values, times, face, Smoothing("savgol", 1.0))
    for frame in np.flatnonzero(face):
        seen = window(frame, 5, face)
        expected = values[seen].mean(axis=0)
        if len(seen) >= 6:
            expected = np.polyfit(seen - frame, values[seen], 2)[-1]
        np.testing.assert_allclose(out[frame], expected, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_stays_one_up_to_the_ends(kind: str) -> None:
    _, times, face = clip()
    out = smooth(np.full((40, 2), 0.7), times, face, Smoothing(kind, 2.0))  # type: ignore[arg-type]
    np.testing.assert_allclose(out, 0.7, atol=1e-12)


def test_a_width_is_of_seconds_whatever_the_frame_rate() -> None:
    halves = {fps: half_width(np.arange(2000) / fps, 10 / 3) for fps in (30.0, 15.0, 10.0, 23.976)}
    assert halves == {30.0: 50, 15.0: 25, 10.0: 17, 23.976: 40}


def test_one_long_pause_between_frames_does_not_change_the_width() -> None:
    times = np.arange(100) / 30
    times[50:] += 60
    assert half_width(times, 1.0) == half_width(np.arange(100) / 30, 1.0)


def test_interpolation_is_linear_in_time_and_the_ends_are_the_nearest() -> None:
    times = np.array([0.0, 1.0, 2.0, 5.0, 6.0, 7.0])
    face = np.array([False, True, False, False, True, False])
    values = np.array([[9.0], [1.0], [9.0], [9.0], [2.0], [9.0]])
    out = smooth(values, times, face, Smoothing(interpolate=True))
    np.testing.assert_allclose(out[:, 0], [1.0, 1.0, 1.2, 1.8, 2.0, 2.0])


def test_without_interpolation_frames_without_a_face_keep_what_the_model_says() -> None:
    values, times, face = clip()
    out = smooth(values, times, face, Smoothing("box", 1.0))
    np.testing.assert_array_equal(out[~face], values[~face])
    assert not np.allclose(out[face], values[face])


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_without_any_face_keeps_its_own_values(kind: str) -> None:
    values, times, face = clip()
    how = Smoothing(kind, 1.0, interpolate=True)  # type: ignore[arg-type]
    np.testing.assert_array_equal(smooth(values, times, np.zeros_like(face), how), values)


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_clips_shorter_than_the_window_are_smoothed_too(kind: str, frames: int) -> None:
    values, times = np.random.default_rng(1).random((frames, 2)), np.arange(frames) / 30
    how = Smoothing(kind, 6.0, interpolate=True)  # type: ignore[arg-type]
    out = smooth(values, times, np.ones(frames, bool), how)
    assert out.shape == values.shape
    assert np.isfinite(out).all()


def test_the_values_that_went_in_are_not_touched() -> None:
    values, times, face = clip()
    before = values.copy()
    for how in (NONE, Smoothing("median", 1.0, interpolate=True)):
        smooth(values, times, face, how)
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize(("kind", "seconds"), [("mean", 1.0), ("box", 0.0), ("box", np.inf)])
def test_smoothing_that_makes_no_sense_is_refused(kind: str, seconds: float) -> None:
    with pytest.raises(ValueError, match="smoothing"):
        Smoothing(kind, seconds)  # type: ignore[arg-type]
