"""Files that are no media, or damaged, give one line that names them and the remedy."""

import sys
from pathlib import Path

import numpy as np
import pytest

from features.media import MediaError, read_frames, read_sound
from tests.media import (
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
