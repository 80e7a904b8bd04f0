"""extract_memory: the runs of the literal command, and the page."""

from pathlib import Path
from typing import Any

import pytest

from experiments.benchmarks import extract_memory
from experiments.benchmarks.extract_memory import ExtractMemorySettings, command, excess, page
from features.errors import UserError
from tests.media import plain_frames, tone, write_video


@pytest.fixture
def settings(tmp_path: Path) -> ExtractMemorySettings:
    clip = write_video(tmp_path / "clip.mp4", plain_frames(10), fps=10, sound=tone(1.0))
    work, out = tmp_path / "work", tmp_path / "page.md"
    options = ["--encoders", "[prosody]"]
    return ExtractMemorySettings(clip, [1 / 60, 3 / 60], [1], options, work, out)


def found(**changes: Any) -> dict[str, Any]:
    plain = {"frames": 10, "seconds": 5.0, "processor": 4.0, "together": 900.0, "largest": 600.0}
    return {**plain, "processes": 3, "curve": [[1.0, 500.0]], **changes}


def test_peaks_may_differ_by_the_target_either_way(settings: ExtractMemorySettings) -> None:
    settings.videos = []
    first, last = (f"{minutes:g} min" for minutes in settings.minutes)
    text = page(settings, {first: found(), last: found(largest=690.0, together=1100.0)})
    assert "| largest process | 600 | 690 | +15.0% | at most 15% | yes |" in text
    assert "| all processes | 900 | 1100 | +22.2% | at most 15% | NO |" in text
    assert "with sound" in text
    assert excess(2.0, 1.0) == -0.5


def test_a_killed_study_goes_on_and_removes_its_videos(
    settings: ExtractMemorySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Path] = []

    def extracted(_: ExtractMemorySettings, folder: Path) -> dict[str, Any]:
        assert list(folder.glob("*.mp4"))
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(folder)
        return found()

    monkeypatch.setattr(extract_memory, "extracted", extracted)
    with pytest.raises(KeyboardInterrupt):
        command(settings)
    monkeypatch.setattr(extract_memory, "extracted", lambda _, folder: found())
    assert command(settings) == 0
    assert not list(settings.work.rglob("*.mp4"))
    assert len(done) == 1
    assert settings.out.read_text().startswith("# Memory of extraction")


def test_the_literal_command_is_watched_to_its_end(settings: ExtractMemorySettings) -> None:
    settings.work.mkdir()
    found = extract_memory.of_number(settings, 2)
    assert found["frames"] == 2 * 20  # two clips of two seconds
    assert found["largest"] > 50
    assert found["together"] > 20
    assert found["seconds"] > 0
    assert len(found["curve"]) == len(extract_memory.POINTS)


def test_lengths_that_say_nothing_are_refused(settings: ExtractMemorySettings) -> None:
    settings.minutes = [1.0]
    with pytest.raises(UserError, match="two lengths"):
        command(settings)
