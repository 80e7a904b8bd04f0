"""Clips made longer or shorter by their packets."""

from pathlib import Path

import numpy as np
import pytest

from experiments.benchmarks.looped_clips import kind_of, loop_clip, videos_of
from features.errors import UserError
from features.media import read_frames, read_sound
from tests.media import brightness_index, plain_frames, tone, write_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    return write_video(path, plain_frames(10), fps=10, sound=tone(1.0))


def decoded(path: Path) -> tuple[np.ndarray, list[int]]:
    blocks = list(read_frames(path))
    times = np.concatenate([block.times for block in blocks])
    return times, [brightness_index(image) for block in blocks for image in block.images]


def test_a_loop_shows_the_clip_again_and_again_at_its_rate(clip: Path, tmp_path: Path) -> None:
    looped = loop_clip(clip, tmp_path / "new" / "b.mp4", 3.0)
    times, pictures = decoded(looped)
    assert pictures[:20] == 2 * list(range(10))
    assert 2.8 <= times[-1] <= 3.1
    assert np.diff(times).min() > 0.09
    assert np.diff(times).max() < 0.2
    sound = read_sound(looped, 16_000)
    assert sound is not None
    assert sum(map(len, sound.blocks)) / 16_000 == pytest.approx(3.0, abs=0.1)


def test_a_cut_shows_the_beginning(clip: Path, tmp_path: Path) -> None:
    _, pictures = decoded(loop_clip(clip, tmp_path / "b.mp4", 0.5))
    assert pictures[:4] == [0, 1, 2, 3]
    assert len(pictures) <= 6


def test_a_killed_loop_leaves_no_file_of_its_name(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.benchmarks.looped_clips._append", fail)
    with pytest.raises(KeyboardInterrupt):
        loop_clip(clip, tmp_path / "b.mp4", 1.0)
    assert not (tmp_path / "b.mp4").exists()


def test_videos_of_one_kind_are_known_whichever_way_they_are_held(tmp_path: Path) -> None:
    wide = write_video(tmp_path / "w.mp4", plain_frames(5, 64, 96), fps=10)
    tall = write_video(tmp_path / "t.mp4", plain_frames(5, 96, 64), fps=10)
    assert kind_of(wide) == kind_of(tall) == "96x64, 10 fps"
    assert videos_of([tmp_path]) == [tall, wide]


def test_a_folder_without_a_video_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no"):
        videos_of([tmp_path])
