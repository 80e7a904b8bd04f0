"""A row is the same picture for every reader and in every container, wherever a file begins."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.media import Reader, frame_times, frames_at, probe, read_frames, read_sound
from features.media.pictures import decord_reader
from features.media.timeline import _in_order, _Mark, read_timeline
from tests.media import plain_frames, write_video
from tests.streams import RATE, Coded, code, put

CONTAINERS = {
    "libx264": (".mp4", ".mov", ".mkv", ".ts", ".flv", ".mpg", ".avi"),
    "libx265": (".mp4", ".mkv", ".ts", ".mpg"),
    "mpeg2video": (".mp4", ".mkv", ".ts", ".mpg", ".vob", ".avi"),
}
UNTIMED = (".mpg", ".vob", ".avi")
"""Not every packet there tells when it is shown; what ffmpeg reckons may be two frames off."""

coded = cache(code)


def read(path: Path, reader: Reader = "pyav") -> tuple[np.ndarray, np.ndarray]:
    blocks = list(read_frames(path, reader=reader))
    return np.concatenate([b.images for b in blocks]), np.concatenate([b.times for b in blocks])


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    codec=st.sampled_from(sorted(CONTAINERS)),
    group=st.integers(4, 14),
    between=st.integers(0, 3),
    open_groups=st.booleans(),
    start=st.sampled_from(["beginning", "at a key", "behind a key"]),
)
@example(codec="libx264", group=12, between=3, open_groups=True, start="at a key")
@example(codec="libx265", group=12, between=3, open_groups=True, start="at a key")
@example(codec="mpeg2video", group=12, between=2, open_groups=True, start="at a key")
@example(codec="libx264", group=9, between=2, open_groups=False, start="behind a key")
def test_a_row_is_the_same_picture_for_every_reader_and_in_every_container(
    codec: str, group: int, between: int, open_groups: bool, start: str
) -> None:
    stream = coded(codec, 36, group, between, open_groups)
    key = stream.keys[1]
    first = {"beginning": 0, "at a key": key, "behind a key": key + 1}[start]
    known: np.ndarray | None = None
    with TemporaryDirectory() as folder:
        for suffix in CONTAINERS[codec]:
            path = put(Path(folder, f"v{suffix}"), stream, first)
            images, times = read(path)
            known = images if known is None else known
            assert np.array_equal(images, known), suffix
            assert np.array_equal(frame_times(path), times), suffix
            if decord_reader.decord is not None:
                assert np.array_equal(read(path, "decord")[0], images), suffix
            np.testing.assert_allclose(
                times, np.arange(len(times)) / RATE, atol=0.081 if suffix in UNTIMED else 0.0021
            )
            for rows in (range(len(images)), [len(images) - 1], [len(images) // 2]):
                found = dict(frames_at(path, rows))
                assert list(found) == list(rows), suffix
                assert all(np.array_equal(found[row], images[row]) for row in rows), suffix
            timeline = read_timeline(path)
            assert not timeline.certain or len(timeline.times) == len(images), suffix
            assert timeline.certain or suffix in UNTIMED, suffix


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mpg"])
@pytest.mark.parametrize("start", [0, 1])
def test_sound_keeps_its_place_where_leading_pictures_are_dropped(
    tmp_path: Path, suffix: str, start: int
) -> None:
    stream = coded("libx264", 36, 12, 3, True)
    first = stream.keys[1] + start
    path = put(tmp_path / f"v{suffix}", stream, first, sound=True)
    images, _ = read(path)
    shown_first = 36 - len(images)  # of all pictures; the sound begins with the first of them
    sound = read_sound(path, 16_000)
    assert sound is not None
    assert sound.offset == pytest.approx(-shown_first / RATE, abs=0.03)


def test_a_long_beginning_without_a_key_is_left_out(tmp_path: Path) -> None:
    stream = coded("libx264", 60, 40, 2, False)
    path = put(tmp_path / "v.mkv", stream, 3)  # 37 of 57 packets cannot be decoded
    images, times = read(path)
    assert len(images) == len(times) == len(frame_times(path)) == probe(path).frames == 20


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9", "mpeg4"])
def test_any_codec_may_begin_between_keys(tmp_path: Path, codec: str) -> None:
    options = {"g": "10"} | ({"bf": "2", "sc_threshold": "1000000000"} if codec == "mpeg4" else {})
    whole = write_video(tmp_path / "v.mkv", moving(40), codec=codec, options=options)
    path = put(tmp_path / "cut.mkv", packets_of(whole, codec, options), 2)
    images, times = read(path)
    assert 30 <= len(images) <= 38
    np.testing.assert_array_equal(frame_times(path), times)
    for row in (0, 9, 25):
        np.testing.assert_array_equal(dict(frames_at(path, [row]))[row], images[row])
    np.testing.assert_array_equal(images[-20:], read(whole)[0][-20:])


@pytest.mark.parametrize("suffix", [".ts", ".mpg", ".mkv", ".mp4"])
def test_rows_are_sought_and_not_read_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    codec = "mpeg2video" if suffix == ".mpg" else "libx264"
    path = put(tmp_path / f"v{suffix}", coded(codec, 60, 10, 2, True), 0)
    monkeypatch.setattr(
        "features.media.pictures.random_access._read", lambda path, wanted: iter(())
    )
    assert [row for row, _ in frames_at(path, [5, 25, 44])] == [5, 25, 44]


def test_streams_that_are_refreshed_bit_by_bit_are_read_from_the_beginning(tmp_path: Path) -> None:
    options = {"x264-params": "intra-refresh=1:keyint=10:bframes=0:threads=1"}
    path = write_video(tmp_path / "v.mkv", moving(40), options=options)
    images, _ = read(path)
    for row in (15, 33):
        np.testing.assert_array_equal(dict(frames_at(path, [row]))[row], images[row])


def test_frames_that_are_never_shown_have_no_row(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mkv", plain_frames(12), codec="libvpx")
    stream = packets_of(path, "libvpx", {})
    hidden = {4, 5, 9}
    packets = tuple(
        (bytes([data[0] & ~0x10]) + data[1:] if number in hidden else data, *rest)
        for number, (data, *rest) in enumerate(stream.packets)
    )
    path = put(tmp_path / "hidden.mkv", Coded("libvpx", {}, packets))
    images, times = read(path)
    assert len(images) == 9
    np.testing.assert_array_equal(frame_times(path), times)
    assert read_timeline(path).certain
    for row in (4, 8):
        np.testing.assert_array_equal(dict(frames_at(path, [row]))[row], images[row])


def test_times_that_jump_back_are_not_taken_for_an_order(tmp_path: Path) -> None:
    stream = coded("libx264", 36, 12, 2, False)
    key = stream.keys[1]
    again = tuple((d, pts - key, dts - key, k) for d, pts, dts, k in stream.packets[key:])
    one = put(tmp_path / "one.ts", Coded("libx264", stream.options, stream.packets[:key]))
    two = put(tmp_path / "two.ts", Coded("libx264", stream.options, again))
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    images, times = read(both)
    assert len(images) == 36
    assert (np.diff(times) > 0).all()
    np.testing.assert_array_equal(frame_times(both), times)
    found = dict(frames_at(both, range(36)))
    assert all(np.array_equal(found[row], images[row]) for row in range(36))


def moving(count: int) -> list[np.ndarray]:
    texture = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    return [np.roll(texture, 2 * number, axis=1) for number in range(count)]


def packets_of(path: Path, codec: str, options: dict[str, str]) -> Coded:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        step = 1 / (RATE * float(stream.time_base or 1))
        packets = [p for p in container.demux(stream) if p.size]
        return Coded(codec, options, tuple(
            (bytes(p), round((p.pts or 0) / step), round((p.dts or 0) / step), p.is_keyframe)
            for p in packets
        ))  # fmt: skip


def test_packets_in_an_order_that_times_belie_are_not_trusted() -> None:
    def marks(*ticks: int, keys: tuple[int, ...] = (0,)) -> list[_Mark]:
        return [_Mark(tick, None, row in keys, True, False) for row, tick in enumerate(ticks)]

    assert _in_order(marks(0, 8, 4, 12), reorders=True)
    assert not _in_order(marks(0, 8, 4, 12), reorders=False)
    assert not _in_order(marks(0, 8, 4, 6, keys=(0, 3)), reorders=True)
    assert not _in_order([*marks(0, 4), _Mark(8, None, False, True, damaged=True)], reorders=True)
