"""A file whose end is missing is used as far as it goes, and that is said."""

import logging
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from features.media import NoVideo, frame_times, read_frames, read_sound
from features.media.notices import gathered_notices
from features.media.pictures.decord_reader import decord_blocks
from tests.media import tone, write_sound, write_video
from tests.streams import code, put

KINDS: dict[str, dict[str, Any]] = {
    "v.mkv": {},
    "v.webm": {"codec": "libvpx", "sound_codec": "libopus", "sound_rate": 48_000},
    "recorder.webm": {
        "codec": "libvpx",
        "sound_codec": "libopus",
        "sound_rate": 48_000,
        "layout": {"live": "1"},
    },
    "v.flv": {"codec": "flv"},
    "h.flv": {},
    "v.avi": {"codec": "mpeg4", "sound_codec": "pcm_s16le"},
    "b.avi": {"sound_codec": "libmp3lame"},
    "v.wmv": {"codec": "wmv2", "sound_codec": "libmp3lame"},
    "v.ts": {},
    "v.ogv": {"codec": "libvpx", "sound_codec": "libopus", "sound_rate": 48_000},
    "fragments.mp4": {"layout": {"movflags": "frag_keyframe+empty_moov"}},
    "indexed.mp4": {
        "layout": {"movflags": "frag_keyframe+empty_moov+default_base_moof+global_sidx"}
    },
    "half.mp4": {"layout": {"movflags": "frag_keyframe"}},
}
FRAMES = 50


def moving(count: int) -> list[np.ndarray]:
    texture = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    return [np.roll(texture, 2 * number, axis=1) for number in range(count)]


def write(path: Path, layout: dict[str, str] | None = None, **how: Any) -> Path:
    """A video with sound, packets by turns, as they must lie for a cut to take of both."""
    options = {} if how.get("codec") in ("flv", "wmv2") else {"g": "10"}
    sound = tone(FRAMES / 25, how.get("sound_rate", 44_100))
    whole = path.with_suffix(".nut")
    write_video(whole, moving(FRAMES), sound=sound, options=options, **how)
    with av.open(str(whole)) as given, av.open(str(path), "w", options=layout or {}) as out:
        copies = {s.index: out.add_stream_from_template(s) for s in given.streams}
        packets = [packet for packet in given.demux() if packet.size]
        for packet in sorted(packets, key=lambda p: float((p.dts or 0) * p.time_base)):
            packet.stream = copies[packet.stream.index]
            out.mux(packet)
    return path


def look_into(path: Path) -> tuple[int, float, list[str]]:
    """Frames, seconds of sound, what was said."""
    with gathered_notices() as said:
        try:
            times = np.concatenate([block.times for block in read_frames(path)])
            np.testing.assert_array_equal(times, frame_times(path))
        except NoVideo:
            times = np.zeros(0)
        sound = read_sound(path, 16_000)
        seconds = sum(map(len, sound.blocks)) / 16_000 if sound else 0.0
    return len(times), seconds, list(said)


@pytest.mark.parametrize("name", KINDS)
def test_a_video_that_is_cut_off_is_used_and_the_loss_said(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, **KINDS[name])
    frames, seconds, said = look_into(path)
    assert (frames, seconds, said) == (FRAMES, pytest.approx(FRAMES / 25, abs=0.15), [])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10 + 1])
    frames, seconds, said = look_into(path)
    assert 0.3 * FRAMES < frames < 0.75 * FRAMES
    assert 0.3 * FRAMES / 25 < seconds < 0.75 * FRAMES / 25
    about_end = [line for line in said if "what is there is used" in line]
    assert len(about_end) == 1
    assert str(path) in about_end[0]


def test_the_loss_is_said_by_every_reader(tmp_path: Path) -> None:
    pytest.importorskip("decord")
    path = write(tmp_path / "v.mkv")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    assert list(decord_blocks(path, 8))
    with gathered_notices() as said:
        list(read_frames(path, reader="decord"))
    assert len(said) == 1
    assert "what is there is used" in said[0]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("s.mka", "aac"), ("s.flac", "flac"), ("s.wav", "pcm_s16le"), ("s.opus", "libopus")],
)
def test_sound_that_is_cut_off_is_used_and_the_loss_said(
    tmp_path: Path, name: str, codec: str
) -> None:
    rate = 48_000 if codec == "libopus" else 44_100
    path = write_sound(tmp_path / name, tone(3.0, rate), rate, codec)
    assert look_into(path) == (0, pytest.approx(3.0, abs=0.05), [])
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    _, seconds, said = look_into(path)
    assert 0.9 < seconds < 2
    assert any("what is there is used" in line for line in said)


def test_sound_of_unknown_length_is_not_cut_off(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "s.wav", tone(1.0), 44_100, "pcm_s16le")
    data = bytearray(path.read_bytes())
    data[4:8] = data[data.index(b"data") + 4 : data.index(b"data") + 8] = b"\xff" * 4
    path.write_bytes(data)  # as programs write it into a pipe
    assert look_into(path) == (0, pytest.approx(1.0, abs=0.01), [])


@pytest.mark.parametrize("longer", [3.0, 1.0])
def test_pictures_and_sound_of_unequal_length_are_whole(tmp_path: Path, longer: float) -> None:
    path = write_video(tmp_path / "v.mkv", moving(FRAMES), sound=tone(longer))
    assert look_into(path)[2] == []


def test_a_long_beginning_that_cannot_be_decoded_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = put(tmp_path / "v.ts", code("libx264", 60, 40, 2, False), 3)
    with caplog.at_level(logging.WARNING):
        list(read_frames(path))
    assert f"{path}: its first 1.52 s of pictures cannot be decoded" in caplog.text


def test_an_open_group_at_the_beginning_is_no_loss(tmp_path: Path) -> None:
    stream = code("libx264", 36, 12, 3, True)
    path = put(tmp_path / "v.mkv", stream, stream.keys[1])
    assert look_into(path)[2] == []
