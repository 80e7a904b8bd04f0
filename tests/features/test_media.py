"""Frames arrive whole, upright, in order and at the container's times."""

import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.media import frame_times, probe, read_frames
from features.media import frames as frames_module
from features.media.container import MIN_STEP, read_timeline, rising
from tests.media import (
    brightness_index,
    plain_frames,
    write_video,
)
from tests.shared import shared_data

VARYING = np.cumsum(np.tile([0.03, 0.05, 0.02, 0.1], 5)) + 1.0


def read_all(path: Path, batch: int = 16) -> tuple[np.ndarray, np.ndarray]:
    blocks = list(read_frames(path, batch))
    return np.concatenate([b.images for b in blocks]), np.concatenate([b.times for b in blocks])


def test_every_frame_arrives_once_in_the_order_shown(tmp_path: Path, decoder: str) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(37))
    blocks = list(read_frames(path, batch=16))
    assert [len(b.images) for b in blocks] == [16, 16, 5]
    assert [b.first for b in blocks] == [0, 16, 32]
    assert blocks[0].images.dtype == np.uint8
    images = np.concatenate([b.images for b in blocks])
    assert [brightness_index(image) for image in images] == list(range(37))


def test_times_are_the_containers_and_not_a_constant_rate(tmp_path: Path, decoder: str) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(20), times=VARYING)
    _, times = read_all(path, 7)
    np.testing.assert_allclose(times, VARYING - VARYING[0], atol=1e-4)
    np.testing.assert_array_equal(frame_times(path), times)
    info = probe(path)
    assert info.start == pytest.approx(VARYING[0], abs=1e-4)
    assert info.rate == pytest.approx(19 / (VARYING[-1] - VARYING[0]), rel=1e-3)


@pytest.mark.parametrize("fps", [7.5, 29.97, 50])
def test_odd_rates_are_kept(tmp_path: Path, fps: float) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(15), fps=fps)
    np.testing.assert_allclose(frame_times(path), np.arange(15) / fps, atol=1e-4)
    assert probe(path).seconds == pytest.approx(15 / fps, rel=1e-3)


@pytest.mark.parametrize(("degrees", "dark_side"), [(90, "right"), (180, "bottom"), (270, "left")])
def test_rotation_in_the_metadata_is_respected(
    tmp_path: Path, decoder: str, degrees: int, dark_side: str
) -> None:
    dark_top = np.full((64, 96, 3), 220, np.uint8)
    dark_top[:32] = 20
    path = write_video(tmp_path / "v.mp4", [dark_top] * 3, rotation=degrees)
    image = read_all(path)[0][0].astype(float)
    sides = {
        "right": image[:, -8:],
        "left": image[:, :8],
        "bottom": image[-8:],
        "top": image[:8],
    }
    assert min(sides, key=lambda side: sides[side].mean()) == dark_side
    info = probe(path)
    assert (info.height, info.width) == image.shape[:2]
    assert info.rotation == degrees


def test_both_decoders_give_the_same_pixels_and_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("decord")
    noise = np.random.default_rng(0).integers(0, 255, (12, 64, 96, 3), dtype=np.uint8)
    path = write_video(tmp_path / "v.mp4", noise, times=VARYING[:12])
    images, times = read_all(path)
    monkeypatch.setattr(frames_module, "decord", None)
    other_images, other_times = read_all(path)
    np.testing.assert_array_equal(times, other_times)
    assert np.abs(images.astype(int) - other_images).mean() < 1


def test_decord_is_really_used_where_it_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("decord")
    path = write_video(tmp_path / "v.mp4", plain_frames(5))
    monkeypatch.setattr(frames_module, "_pyav_frames", lambda *_: pytest.fail("PyAV was used"))
    assert len(read_all(path)[0]) == 5


class BrokenReader:
    """A decord reader that gives `good` frames of `claimed` and then fails."""

    def __init__(self, claimed: int, good: int) -> None:
        self._claimed, self._good = claimed, good

    def __len__(self) -> int:
        return self._claimed

    def next(self) -> "BrokenReader":
        if not self._good:
            raise frames_module.decord.DECORDError("broken")
        self._good -= 1
        return self

    def asnumpy(self) -> np.ndarray:
        return np.zeros((64, 96, 3), np.uint8)


@pytest.mark.parametrize(("claimed", "good"), [(8, 3), (8, 0), (9, 9)])
def test_pyav_takes_over_where_decord_stops_or_counts_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, claimed: int, good: int
) -> None:
    pytest.importorskip("decord")
    path = write_video(tmp_path / "v.mp4", plain_frames(8))
    monkeypatch.setattr(frames_module.decord, "VideoReader", lambda *_: BrokenReader(claimed, good))
    images, times = read_all(path)
    used = good if claimed == 8 else 0
    assert [brightness_index(image) for image in images[used:]] == list(range(used, 8))
    np.testing.assert_array_equal(times, frame_times(path))


def test_other_containers_and_codecs(tmp_path: Path, decoder: str) -> None:
    for name, codec in (("v.avi", "mpeg4"), ("v.mkv", "libx264"), ("v.mov", "libx264")):
        path = write_video(tmp_path / name, plain_frames(10), codec=codec)
        images, times = read_all(path)
        assert [brightness_index(image) for image in images] == list(range(10)), name
        np.testing.assert_allclose(times, np.arange(10) / 25, atol=2e-3)


def test_single_frame_video_has_one_frame_at_zero(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(1))
    assert frame_times(path).tolist() == [0.0]
    assert probe(path).seconds > 0


def test_tiny_video_decodes(tmp_path: Path, decoder: str) -> None:
    images, _ = read_all(write_video(tmp_path / "v.mp4", plain_frames(5, 8, 8)))
    assert images.shape == (5, 8, 8, 3)


def test_memory_holds_a_block_and_not_the_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames_module, "decord", None)  # PyAV's pictures are numpy's: traced
    path = write_video(tmp_path / "v.mp4", plain_frames(100, 96, 96))
    picture = 96 * 96 * 3
    tracemalloc.start()
    for _ in read_frames(path, batch=4):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * 4 * picture < 100 * picture / 3


def test_decord_gets_no_video_larger_than_its_share_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It decodes ahead of a slow reader without bound: all of the video, if it takes so long.
    pytest.importorskip("decord")
    path = write_video(tmp_path / "v.mp4", plain_frames(8))
    monkeypatch.setattr(frames_module.decord, "VideoReader", lambda *_: pytest.fail("decord used"))
    monkeypatch.setattr(frames_module, "DECORD_BYTES", 8 * 64 * 96 * 3 - 1)
    assert len(read_all(path)[0]) == 8


@settings(max_examples=50)
@given(st.lists(st.none() | st.floats(0, 100), max_size=30))
def test_mended_times_rise_and_good_ones_stay(times: list[float | None]) -> None:
    mended = list(rising(times, 0.04))
    assert len(mended) == len(times)
    assert all(b > a for a, b in pairwise(mended))
    good = np.unique([t for t in times if t is not None]).tolist()
    assert list(rising(good, 0.04)) == good


def test_duplicate_times_move_by_the_least_step() -> None:
    assert list(rising([0.0, 0.5, 0.5, 1.0], 0.04)) == [0.0, 0.5, 0.5 + MIN_STEP, 1.0]


def test_packets_of_all_real_clips_are_as_many_as_their_frames() -> None:
    for path in sorted((shared_data() / "clips").glob("*.mp4")):
        timeline = read_timeline(path)
        assert timeline.certain, path.name
        assert (np.diff(timeline.times) > 0).all()
