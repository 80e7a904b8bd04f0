"""Frames and sound arrive whole, upright, in order and on one clock; bad files give one line."""

import sys
import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.media import MediaError, NoVideo, frame_times, probe, read_frames, read_sound
from features.media import frames as frames_module
from features.media.container import MIN_STEP, read_timeline, rising
from tests.media import (
    brightness_index,
    click,
    plain_frames,
    tone,
    write_sound,
    write_video,
)
from tests.shared import shared_data

VARYING = np.cumsum(np.tile([0.03, 0.05, 0.02, 0.1], 5)) + 1.0


@pytest.fixture(params=["decord", "pyav"])
def decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Runs a test with each decoder; without decord's wheel there is only PyAV."""
    if request.param == "decord":
        pytest.importorskip("decord")
    else:
        monkeypatch.setattr(frames_module, "decord", None)
    return request.param


def read_all(path: Path, batch: int = 16) -> tuple[np.ndarray, np.ndarray]:
    blocks = list(read_frames(path, batch))
    return np.concatenate([b.images for b in blocks]), np.concatenate([b.times for b in blocks])


def read_samples(path: Path, rate: int) -> np.ndarray:
    sound = read_sound(path, rate)
    assert sound is not None
    assert sound.rate == rate
    return np.concatenate(list(sound.blocks))


def starts_at(samples: np.ndarray, rate: int) -> float:
    """Seconds of the first loud sample."""
    return float(np.flatnonzero(np.abs(samples) > 0.2)[0]) / rate


# Frames ------------------------------------------------------------------------------------------


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


# Sound -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [44_100, 16_000, 8_000])
def test_sound_keeps_its_place_at_any_rate(tmp_path: Path, rate: int) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(50), sound=click(2.0, at=1.0))
    sound = read_sound(path, rate)
    assert sound is not None
    samples = np.concatenate(list(sound.blocks))
    assert samples.dtype == np.float32
    assert sound.offset + starts_at(samples, rate) == pytest.approx(1.0, abs=0.003)
    assert len(samples) / rate == pytest.approx(2.0, abs=0.05)


def test_late_sound_has_its_true_offset(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "v.mp4", plain_frames(50), sound=click(1.5, at=0.5), sound_start=0.5
    )
    sound = read_sound(path, 16_000)
    assert sound is not None
    assert sound.offset == pytest.approx(0.5, abs=0.03)
    start = starts_at(np.concatenate(list(sound.blocks)), 16_000)
    assert sound.offset + start == pytest.approx(1.0, abs=0.003)


def test_sound_that_starts_before_the_picture_has_a_negative_offset(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "v.mp4", plain_frames(20), times=0.5 + np.arange(20) / 25, sound=tone(1.2)
    )
    sound = read_sound(path, 16_000)
    assert sound is not None
    assert sound.offset == pytest.approx(-0.5, abs=0.03)


def test_channels_are_averaged_and_loud_sound_is_not_clipped(tmp_path: Path) -> None:
    left, right = tone(0.5, peak=3.0), tone(0.5, peak=1.0)
    path = write_sound(tmp_path / "s.wav", np.stack([left, right]), 44_100, "pcm_f32le")
    samples = read_samples(path, 44_100)
    np.testing.assert_allclose(samples, (left + right) / 2, atol=1e-6)
    assert read_samples(path, 16_000).max() > 1.9


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f64le"])
def test_every_sample_format_is_scaled_to_one(tmp_path: Path, codec: str) -> None:
    expected = tone(0.3, peak=0.5)
    samples = read_samples(write_sound(tmp_path / "s.wav", expected, 44_100, codec), 44_100)
    np.testing.assert_allclose(samples, expected, atol=0.01)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("s.wav", "pcm_s16le", 44_100),
        ("s.flac", "flac", 44_100),
        ("s.m4a", "aac", 44_100),
        ("s.mp3", "libmp3lame", 44_100),
        ("s.ogg", "libopus", 48_000),
    ],
)
def test_sound_files_need_no_video(tmp_path: Path, name: str, codec: str, rate: int) -> None:
    path = write_sound(tmp_path / name, click(1.0, at=0.5, rate=rate), rate, codec)
    sound = read_sound(path, 16_000)
    assert sound is not None
    assert sound.offset == 0.0
    samples = np.concatenate(list(sound.blocks))
    assert starts_at(samples, 16_000) == pytest.approx(0.5, abs=0.003)
    with pytest.raises(NoVideo, match=r"s\.\w+: no video in it"):
        probe(path)


def test_video_without_sound_gives_none(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(5))
    assert read_sound(path, 16_000) is None
    assert not probe(path).has_sound


def test_gap_in_the_sound_is_silent_and_what_follows_keeps_its_time(tmp_path: Path) -> None:
    path = tmp_path / "v.mkv"
    write_video(path, plain_frames(50), sound=tone(2.0), sound_gap=(0.5, 1.0))
    sound = read_sound(path, 16_000)
    assert sound is not None
    samples = np.concatenate(list(sound.blocks))
    assert len(samples) / 16_000 == pytest.approx(2.0, abs=0.06)
    assert np.abs(samples[int(0.6 * 16_000) : int(0.9 * 16_000)]).max() < 0.01
    assert np.abs(samples[int(1.1 * 16_000) : int(1.4 * 16_000)]).max() > 0.4


def test_long_sound_comes_in_short_blocks(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "s.wav", tone(20.0, 8_000), 8_000, "pcm_s16le")
    sound = read_sound(path, 16_000)
    assert sound is not None
    lengths = [len(block) for block in sound.blocks]
    assert max(lengths) < 3 * 16_000
    assert sum(lengths) == pytest.approx(20 * 16_000, abs=10)


def test_blocks_join_without_a_seam(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "s.wav", tone(5.0), 44_100, "pcm_f32le")
    samples = read_samples(path, 16_000)
    assert len(samples) == pytest.approx(5 * 16_000, abs=2)
    np.testing.assert_allclose(samples[500:79_500], tone(5.0, 16_000)[500:79_500], atol=1e-3)


# Bad files ---------------------------------------------------------------------------------------


def one_line(path: Path) -> str:
    """The complaint about a file when its frames are read."""
    with pytest.raises(MediaError) as caught:
        read_all(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_missing_path_and_folder_are_named(tmp_path: Path) -> None:
    assert "no such file" in one_line(tmp_path / "absent.mp4")
    assert "not a file" in one_line(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello\n" * 200, bytes(5000)])
def test_file_that_is_no_video_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "text.mp4"
    path.write_bytes(content)
    assert "not a video or sound file" in one_line(path)
    with pytest.raises(MediaError):
        read_sound(path, 16_000)


def test_truncated_mp4_is_refused_for_frames_and_sound(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(50), sound=tone(2.0))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    one_line(path)
    with pytest.raises(MediaError):
        read_sound(path, 16_000)


def test_sound_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(50), sound=tone(2.0), fast_start=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    sound = read_sound(path, 16_000)
    assert sound is not None
    with pytest.raises(MediaError, match=r"v\.mp4: the sound breaks off at \d"):
        list(sound.blocks)


def test_video_without_frames_is_refused(tmp_path: Path) -> None:
    for name, codec in (("v.mp4", "libx264"), ("v.avi", "mpeg4"), ("v.mkv", "libx264")):
        one_line(write_video(tmp_path / name, [], codec=codec))


@pytest.fixture
def noise_video(tmp_path: Path) -> Path:
    """60 frames that compress badly, the index in front of the pictures."""
    noise = np.random.default_rng(0).integers(0, 255, (60, 64, 96, 3), dtype=np.uint8)
    return write_video(tmp_path / "v.mp4", noise, fast_start=True)


def test_mp4_that_ends_early_names_the_last_good_frame(noise_video: Path, decoder: str) -> None:
    data = noise_video.read_bytes()
    noise_video.write_bytes(data[: len(data) // 2])
    message = one_line(noise_video)
    assert "breaks off after frame 2" in message
    assert "truncated or damaged" in message


def test_damage_in_the_middle_names_the_last_good_frame(noise_video: Path, decoder: str) -> None:
    data = bytearray(noise_video.read_bytes())
    middle = (data.index(b"mdat") + len(data)) // 2
    data[middle : middle + 30_000] = bytes(30_000)
    noise_video.write_bytes(data)
    message = one_line(noise_video)
    assert "breaks off after frame 2" in message
    assert "of 60" in message


def test_frames_before_the_damage_are_given(noise_video: Path) -> None:
    data = noise_video.read_bytes()
    noise_video.write_bytes(data[: len(data) // 2])
    blocks = read_frames(noise_video, batch=4)
    assert [next(blocks).first for _ in range(4)] == [0, 4, 8, 12]


def test_nothing_but_our_line_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "text.mp4"
    path.write_bytes(b"hello\n" * 200)
    one_line(path)
    assert capfd.readouterr() == ("", "")


def test_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "win32":
        pytest.skip("file names hold no colon there")
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "plain.mp4", plain_frames(3)).rename("data:x.mp4")
    assert len(read_all(Path("data:x.mp4"))[0]) == 3


# Real files --------------------------------------------------------------------------------------


def test_real_clip_with_varying_times_and_a_late_first_frame() -> None:
    path = shared_data() / "clips" / "video_retalking_1.mp4"
    info, sound = probe(path), read_sound(path, 16_000)
    assert info.start == pytest.approx(0.033, abs=0.001)
    assert sound is not None
    assert sound.offset == pytest.approx(-0.033, abs=0.001)
    times = frame_times(path)
    assert len(times) == 135
    assert np.diff(times).std() > 1e-3


def test_packets_of_all_real_clips_are_as_many_as_their_frames() -> None:
    for path in sorted((shared_data() / "clips").glob("*.mp4")):
        timeline = read_timeline(path)
        assert timeline.certain, path.name
        assert (np.diff(timeline.times) > 0).all()
