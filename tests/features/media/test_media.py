"""Frames arrive whole, upright, in order and at the container's times."""

import tracemalloc
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import UserError
from features.media import FrameBlock, MediaError, frame_times, frames_at, probe, read_frames
from features.media.container import MIN_STEP, rising
from features.media.pictures import decord_reader
from features.media.pictures import random_access as seek
from features.media.pictures import video as frames_module
from features.media.pictures.decord_reader import decord_blocks
from features.media.timeline import read_timeline
from tests.media import (
    brightness_index,
    plain_frames,
    write_video,
)
from tests.shared import shared_data

STEPS = [0.03, 0.05, 0.02, 0.1]
VARYING = np.cumsum(np.tile(STEPS, 5)) + 1.0


def read_all(path: Path, batch: int = 16) -> tuple[np.ndarray, np.ndarray]:
    blocks = list(read_frames(path, batch))
    return np.concatenate([b.images for b in blocks]), np.concatenate([b.times for b in blocks])


def test_every_frame_arrives_once_in_the_order_shown(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(37))
    blocks = list(read_frames(path, batch=16))
    assert [len(b.images) for b in blocks] == [16, 16, 5]
    assert [b.first for b in blocks] == [0, 16, 32]
    assert blocks[0].images.dtype == np.uint8
    images = np.concatenate([b.images for b in blocks])
    assert [brightness_index(image) for image in images] == list(range(37))


def test_times_are_the_containers_and_not_a_constant_rate(tmp_path: Path) -> None:
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
    tmp_path: Path, degrees: int, dark_side: str
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


def noise(count: int, height: int = 64, width: int = 96) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, height, width, 3), dtype=np.uint8)


def test_pictures_are_byte_for_byte_those_of_another_decoder(tmp_path: Path) -> None:
    decord = pytest.importorskip("decord")
    path = write_video(tmp_path / "v.mp4", noise(12), times=VARYING[:12])
    others = decord.VideoReader(str(path), num_threads=1)
    np.testing.assert_array_equal(read_all(path)[0], others.get_batch(range(12)).asnumpy())


def test_decord_serves_the_same_frames_where_it_is_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("decord")
    path = write_video(tmp_path / "v.mp4", noise(12), times=VARYING[:12])
    assert sum(len(times) for _, times in decord_blocks(path, 5)) == 12
    ours, theirs = read_frames(path, 5), read_frames(path, 5, reader="decord")
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine.images, other.images)
        np.testing.assert_array_equal(mine.times, other.times)
        assert mine.first == other.first


@pytest.mark.parametrize("after", [0, 1, 2])
def test_pyav_goes_on_where_decord_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    path = write_video(tmp_path / "v.mp4", noise(12))
    whole = list(read_frames(path, 5))
    served = [(block.images, block.times) for block in whole[:after]]
    monkeypatch.setattr(frames_module, "decord_blocks", lambda *_: iter(served))
    blocks = list(read_frames(path, 5, reader="decord"))
    np.testing.assert_array_equal(np.concatenate([b.images for b in blocks]), noise_of(whole))
    assert [block.first for block in blocks] == [0, 5, 10]
    np.testing.assert_array_equal(
        np.concatenate([b.times for b in blocks]), np.concatenate([b.times for b in whole])
    )


def noise_of(blocks: list[FrameBlock]) -> np.ndarray:
    return np.concatenate([block.images for block in blocks])


@pytest.mark.parametrize(
    "options", [{"rotation": 90}, {"options": {"x264-params": "interlaced=1"}}]
)
def test_decord_is_left_out_where_its_pictures_may_differ(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    pytest.importorskip("decord")
    path = write_video(tmp_path / "v.mp4", noise(6), **options)
    assert not list(decord_blocks(path, 5))
    ours, theirs = read_frames(path, 5), read_frames(path, 5, reader="decord")
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine.images, other.images)


def test_decord_gets_no_video_larger_than_its_share_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("decord")
    path = write_video(tmp_path / "v.mp4", noise(6))
    monkeypatch.setattr(decord_reader, "DECORD_BYTES", 6 * 64 * 96 * 3 - 1)
    assert not list(decord_blocks(path, 5))


def test_absent_decord_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "v.mp4", noise(2))
    monkeypatch.setattr(decord_reader, "decord", None)
    with pytest.raises(UserError, match="pip install decord"):
        list(read_frames(path, reader="decord"))


def test_pictures_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", noise(12))
    several = np.concatenate([block.images for block in read_frames(path, threads=2)])
    np.testing.assert_array_equal(several, read_all(path)[0])


def test_each_block_keeps_its_pictures_when_the_next_is_read(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(9))
    first, second, _ = read_frames(path, batch=4)
    assert brightness_index(first.images[3]) == 3
    assert brightness_index(second.images[0]) == 4


# Some frames -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"g": "8"}, {"x264-params": "open-gop=1:keyint=8:bframes=3"}])
def test_frames_at_gives_the_very_frames_of_a_whole_reading(
    tmp_path: Path, options: dict[str, str]
) -> None:
    path = write_video(
        tmp_path / "v.mp4", noise(40), times=np.cumsum(np.resize(STEPS, 40)), options=options
    )
    images, _ = read_all(path)
    found = dict(frames_at(path, [39, 3, 17, 18, 3, 16]))
    assert list(found) == [3, 16, 17, 18, 39]
    for row, image in found.items():
        np.testing.assert_array_equal(image, images[row])


def test_frames_at_decodes_from_the_nearest_keyframe_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(60), options={"g": "10"})
    decoded, real = [], seek._next
    monkeypatch.setattr(seek, "_next", lambda frames: decoded.append(1) or real(frames))
    assert [brightness_index(image) for _, image in frames_at(path, [55])] == [55]
    assert len(decoded) < 10
    assert list(frames_at(path, [])) == []


def test_frames_at_reads_on_where_seeking_does_not_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    avi = write_video(tmp_path / "v.avi", plain_frames(10), codec="mpeg4")
    mp4 = write_video(tmp_path / "v.mp4", plain_frames(10), rotation=90, options={"g": "2"})
    assert [brightness_index(image) for _, image in frames_at(avi, [2, 7])] == [2, 7]
    monkeypatch.setattr(seek, "_next", lambda frames: None)
    found = dict(frames_at(mp4, [2, 7]))
    assert [brightness_index(image) for image in found.values()] == [2, 7]
    assert found[2].shape == (96, 64, 3)


def test_frames_at_does_not_trust_packets_that_pictures_belie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(10))
    timeline = read_timeline(path)
    shifted = replace(timeline, ticks=timeline.ticks + 1)
    monkeypatch.setattr(seek, "read_timeline", lambda path: shifted)
    assert [brightness_index(image) for _, image in frames_at(path, [2, 7])] == [2, 7]


def test_frames_at_names_a_row_behind_the_end(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(5))
    with pytest.raises(MediaError, match=r"v\.mp4: has no frame 5"):
        list(frames_at(path, [1, 5]))


def test_other_containers_and_codecs(tmp_path: Path) -> None:
    for name, codec in (("v.avi", "mpeg4"), ("v.mkv", "libx264"), ("v.mov", "libx264")):
        path = write_video(tmp_path / name, plain_frames(10), codec=codec)
        images, times = read_all(path)
        assert [brightness_index(image) for image in images] == list(range(10)), name
        np.testing.assert_allclose(times, np.arange(10) / 25, atol=2e-3)


def test_frames_that_an_edit_list_cuts_off_are_not_shown(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(30), times=np.arange(30) / 25 - 1.0)
    images, times = read_all(path)
    assert [brightness_index(image) for image in images] == list(range(25, 30))
    np.testing.assert_array_equal(times, frame_times(path))


def test_single_frame_video_has_one_frame_at_zero(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(1))
    assert frame_times(path).tolist() == [0.0]
    assert probe(path).seconds > 0


def test_tiny_video_decodes(tmp_path: Path) -> None:
    images, _ = read_all(write_video(tmp_path / "v.mp4", plain_frames(5, 8, 8)))
    assert images.shape == (5, 8, 8, 3)


def test_memory_holds_a_block_and_not_the_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(100, 96, 96))
    picture = 96 * 96 * 3
    tracemalloc.start()
    for _ in read_frames(path, batch=4):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * 4 * picture < 100 * picture / 3


@settings(max_examples=30)
@given(st.lists(st.none() | st.floats(0, 100), max_size=30))
def test_mended_times_rise_and_good_ones_stay(times: list[float | None]) -> None:
    mended = list(rising(times, 0.04))
    assert len(mended) == len(times)
    assert all(b > a for a, b in pairwise(mended))
    good = np.unique([t for t in times if t is not None]).tolist()
    assert list(rising(good, 0.04)) == good


@given(st.lists(st.integers(-5, 30), min_size=1, max_size=30))
def test_no_more_times_are_moved_than_if_each_came_behind_the_one_before(ticks: list[int]) -> None:
    times = [tick / 4 for tick in ticks]
    mended = list(rising(times, 0.04))
    plain = [times[0]]
    for time in times[1:]:
        plain.append(time if time > plain[-1] else plain[-1] + MIN_STEP)
    assert len(mended) == len(times)
    assert (np.diff(mended) > 0).all()
    kept, least = (sum(a == b for a, b in zip(times, x, strict=True)) for x in (mended, plain))
    assert kept >= least


@pytest.mark.parametrize(
    ("times", "moved"),
    [
        ([0, 0.04, 100, 0.12, 0.16], [2]),
        ([100, 0, 0.04, 0.08], [0]),
        ([0, 0.04, 100, 100.04, 0.16, 0.2, 0.24], [2, 3]),
        ([-0.08, -0.04, 50, 0.0, 0.04], [2]),
        ([0, 0.04, 0.08, 0.02, 0.12], [3]),
        ([0, 10, 20, 30], []),
    ],
)
def test_one_wild_time_does_not_move_all_that_follow(times: list[float], moved: list[int]) -> None:
    mended = list(rising(times, 0.04))
    assert (np.diff(mended) > 0).all()
    assert [i for i, time in enumerate(times) if mended[i] != time] == moved


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_a_wild_time_in_a_file_moves_its_frame_alone(tmp_path: Path, codec: str) -> None:
    times = np.arange(12) / 25
    path = write_video(tmp_path / "v.mkv", plain_frames(12), codec=codec, options={"bf": "0"})
    data = path.read_bytes()
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    place = data.index(bytes(packets[4])[-40:]) - len(bytes(packets[4])) + 40
    head = data.rindex(b"\x81" + (160).to_bytes(2, "big"), 0, place)  # track and time of the block
    path.write_bytes(data[: head + 1] + (30_000).to_bytes(2, "big") + data[head + 3 :])
    found = np.concatenate([block.times for block in read_frames(path)])
    np.testing.assert_allclose(found, np.where(times == times[4], times[3] + MIN_STEP, times))
    np.testing.assert_array_equal(frame_times(path), found)


def test_duplicate_times_move_by_the_least_step() -> None:
    assert list(rising([0.0, 0.5, 0.5, 1.0], 0.04)) == [0.0, 0.5, 0.5 + MIN_STEP, 1.0]


def test_packets_of_all_real_clips_are_as_many_as_their_frames() -> None:
    for path in sorted((shared_data() / "clips").glob("*.mp4")):
        timeline = read_timeline(path)
        assert timeline.certain, path.name
        assert (np.diff(timeline.times) > 0).all()
