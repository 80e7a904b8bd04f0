"""extract_speed: its arithmetic, its page, and each part on a small video."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.benchmarks import extract_speed
from experiments.benchmarks.extract_parts import PARTS, with_faces
from experiments.benchmarks.extract_speed import ExtractSpeedSettings, command, speeds_of
from features.errors import UserError
from features.media import FrameBlock
from tests.media import face_frame, plain_frames, tone, write_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = [face_frame(192, 160, [(90 + i, 80)], size=110) for i in range(12)]
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    return write_video(path, frames, fps=10, sound=tone(1.2))


def took(amount: float, processor: float, seconds: float | None = None) -> dict[str, float]:
    seconds = processor if seconds is None else seconds
    return {"amount": amount, "processor": processor, "seconds": seconds, "together": 800.0}


def results(**changes: Any) -> dict[str, dict[str, float]]:
    """Two long videos of 300 frames and 10 s; samples of 30 frames and 1 s."""
    return {
        "decode": took(60, 0.2),
        "find faces": took(60, 0.4),
        "crop and encode": took(30, 0.3),
        "sound": took(2, 0.1),
        "loop": took(60, 18.0, 10.0),
        "command": took(600, 12.0, 10.0),
        "tiny": took(30, 3.0, 2.5),
    } | changes


def speeds(**changes: Any) -> extract_speed.Speeds:
    return speeds_of(results(**changes), videos=2, seconds=10.0)


def test_the_bound_is_the_work_over_the_cores_or_the_longest_stage() -> None:
    one = speeds()
    per_video = {name: spent * 300 for name, spent in one.stages.items()}
    assert per_video == pytest.approx(
        {"decode": 1.0, "find faces": 2.0, "crop and encode": 3.0, "sound": 0.5}
    )
    assert one.bound(2) == pytest.approx(600 / 6.5)
    assert one.bound(64) == pytest.approx(600 / 3.0)  # encoding one video keeps to one core


def test_decoding_does_not_bound_by_itself_since_it_can_be_split() -> None:
    assert speeds(decode=took(60, 10.0)).bound(64) == pytest.approx(600 / 3.0)


def test_clips_without_sound_have_no_work_with_it() -> None:
    assert speeds(sound=took(0, 0.0)).stages["sound"] == 0.0


def test_starting_does_not_count_in_rates() -> None:
    assert speeds().rate == pytest.approx((600 - 30) / (10.0 - 2.5))


def test_every_part_times_a_video(clip: Path) -> None:
    for name, part in PARTS.items():
        timing = part([clip, clip])
        assert timing.processor > 0, name
        assert timing.amount == (pytest.approx(2.4, abs=0.2) if name == "sound" else 24), name


def test_faces_belong_to_their_pictures(clip: Path) -> None:
    empty = np.stack(plain_frames(3, 160, 192))
    full = np.stack([face_frame(192, 160, [(x, 80)], size=110) for x in (70, 120)])
    blocks = [FrameBlock(empty, np.arange(3.0), 0), FrameBlock(full, np.arange(3.0, 5.0), 3)]
    ((images, landmarks),) = with_faces(blocks)
    np.testing.assert_array_equal(images, full)
    np.testing.assert_allclose(landmarks[:, 2, 0], [70, 120], atol=12)  # the nose
    with pytest.raises(UserError, match="no face"):
        list(with_faces(blocks[:1]))


def test_the_study_measures_each_round_once_and_writes_medians(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, str]] = []

    def measurements(settings: ExtractSpeedSettings, sets: dict[str, list[Path]]) -> Any:
        for number in range(settings.rounds):
            for name, found in results().items():
                slow = {**found, "seconds": 1000.0} if (number, name) == (0, "command") else found
                yield (number, *sets, name,
                       lambda n=number, w=name, f=slow: calls.append((n, w)) or f)  # fmt: skip

    monkeypatch.setattr(extract_speed, "measurements", measurements)
    settings = ExtractSpeedSettings([clip], 3, 2.0, 1.0, work=tmp_path, out=tmp_path / "page.md")
    assert command(settings) == command(settings) == 0
    assert calls == [(number, name) for number in range(3) for name in results()]
    text = settings.out.read_text()
    row = next(line for line in text.splitlines() if line.startswith("| 1 of 192x160, 10 fps"))
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[1:6] == ["600", "10.0", "2.5", "76.0", "2.53"]
    assert cells[7] == "12.7"  # 76 frames a second over 6
    assert str(tmp_path) not in text


def test_the_literal_command_and_a_stage_are_run_on_looped_clips(
    clip: Path, tmp_path: Path
) -> None:
    options = ["--encoders", "[prosody]", "--workers", "0"]
    settings = ExtractSpeedSettings([clip], 1, 2.0, 1.0, options, tmp_path, tmp_path / "page.md")
    todo = {n: m for _, _, n, m in extract_speed.measurements(settings, {"a kind": [clip]})}
    assert todo["command"]()["amount"] == pytest.approx(20, abs=2)
    assert todo["decode"]()["amount"] == pytest.approx(10, abs=2)


def test_lengths_that_make_no_sense_are_refused(clip: Path, tmp_path: Path) -> None:
    settings = ExtractSpeedSettings([clip], seconds=1.0, sample=2.0, work=tmp_path)
    with pytest.raises(UserError, match="--sample"):
        command(settings)
