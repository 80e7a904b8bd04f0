"""Files that are no media, or damaged, give one line that names them and the remedy."""

import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from features.media import MediaError, frame_times, frames_at, read_frames, read_sound
from features.media.container import open_media
from features.media.pictures import video_decoder as decode
from tests.media import (
    brightness_index,
    click,
    plain_frames,
    tone,
    write_video,
)


def read_all(path: Path, batch: int = 16) -> tuple[np.ndarray, np.ndarray]:
    blocks = list(read_frames(path, batch))
    return np.concatenate([b.images for b in blocks]), np.concatenate([b.times for b in blocks])


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


def test_mp4_that_ends_early_names_the_last_good_frame(noise_video: Path) -> None:
    data = noise_video.read_bytes()
    noise_video.write_bytes(data[: len(data) // 2])
    message = one_line(noise_video)
    assert "breaks off after frame 2" in message
    assert "truncated or damaged" in message


def damage(path: Path, first: int, count: int = 1, stream: str = "video") -> None:
    """Overwrites packets, in decoding order, with what no decoder takes."""
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [p for p in container.demux() if p.size and p.stream.type == stream]
    for packet in packets[first : first + count]:
        assert packet.pos is not None
        data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(data)


def test_sound_of_samples_that_ends_early_is_refused(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "v.mov",
        plain_frames(50),
        sound=tone(2.0),
        sound_codec="pcm_s16le",
        fast_start=True,
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match="breaks off"):
        read_samples(path)


def test_damage_that_lasts_names_the_last_good_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(60), options={"g": "1"})
    damage(path, 20, 30)
    assert "breaks off after frame 20 of 60" in one_line(path)


@pytest.mark.parametrize("threads", [1, 2])
def test_frame_that_cannot_be_decoded_is_marked_and_the_one_before_stands_in(
    tmp_path: Path, threads: int
) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(20), options={"g": "1"})
    damage(path, 7, 2)
    blocks = list(read_frames(path, 4, threads))
    assert [row for block in blocks for row in block.lost] == [7, 8]
    seen = [brightness_index(image) for block in blocks for image in block.images]
    assert seen == [*range(7), 6, 6, *range(9, 20)]
    times = np.concatenate([block.times for block in blocks])
    np.testing.assert_array_equal(times, frame_times(path))
    assert [(row, brightness_index(image)) for row, image in frames_at(path, [5, 8, 11])] == [
        (5, 5),
        (8, 6),
        (11, 11),
    ]


@pytest.mark.parametrize("first", [0, 19])
def test_first_or_last_frame_that_cannot_be_decoded_is_a_fault(tmp_path: Path, first: int) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(20), options={"g": "1"})
    damage(path, first)
    assert f"breaks off after frame {first} of 20" in one_line(path)


def test_most_frames_must_come_out(noise_video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = decode._Decoding._decode

    def forgetful(self: decode._Decoding) -> Iterator[av.VideoFrame]:
        return (frame for number, frame in enumerate(real(self)) if number % 3 == 0)

    monkeypatch.setattr(decode._Decoding, "_decode", forgetful)
    with pytest.raises(MediaError, match="breaks off after frame 20 of 60"):
        list(read_frames(noise_video))


def test_sound_that_cannot_be_decoded_is_silent_and_what_follows_keeps_its_place(
    tmp_path: Path,
) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(50), sound=click(2.0, at=1.5))
    before = read_samples(path)
    damage(path, 20, 1, "audio")
    after = read_samples(path)
    assert len(after) == len(before)
    assert abs(int(np.abs(after).argmax()) - int(np.abs(before).argmax())) <= 1


@pytest.mark.parametrize(("first", "count"), [(0, 60), (10, 60), (30, 100), (0, 100)])
def test_sound_that_cannot_be_decoded_for_long_is_a_fault(
    tmp_path: Path, first: int, count: int
) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(50), sound=tone(2.0))
    damage(path, first, count, "audio")
    with pytest.raises(MediaError, match=r"v\.mp4: the sound breaks off at \d"):
        read_samples(path)


def read_samples(path: Path) -> np.ndarray:
    sound = read_sound(path, 44_100)
    assert sound is not None
    return np.concatenate(list(sound.blocks))


def test_fault_of_a_decoder_is_not_taken_for_lost_rights(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(2))
    with pytest.raises(MediaError, match="damaged"), open_media(path):
        raise av.error.PermissionError(1, "Operation not permitted")


def test_unknown_kind_of_pictures_or_sound_is_named(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(5), sound=tone(0.5))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"avc1\0\0\0", b"zzzz\0\0\0"))
    assert "no decoder for its video" in one_line(path)
    path.write_bytes(whole.replace(b"mp4a\0\0\0", b"zzzz\0\0\0").replace(b"esds", b"zzzz"))
    with pytest.raises(MediaError, match="no decoder for its audio"):
        read_sound(path, 16_000)


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
