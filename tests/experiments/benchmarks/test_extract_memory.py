"""extract_memory: the runs of the literal command, and the page."""

from pathlib import Path
from typing import Any

import pytest

from experiments.benchmarks import extract_memory
from experiments.benchmarks.extract_memory import ExtractMemorySettings, command, page
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
    curve = [(share, 500.0) for share in extract_memory.POINTS]
    return {**plain, "processes": 3, "curve": curve, **changes}


def test_peaks_may_differ_by_the_target_either_way(settings: ExtractMemorySettings) -> None:
    first, last = (f"{minutes:g} min" for minutes in settings.minutes)
    peaks = {first: found(), last: found(largest=690.0, together=700.0), "1 videos": found()}
    rows = [" ".join(line.split()) for line in page(settings, peaks).splitlines()]
    assert f"| largest process | {first}: 600 | {last}: 690 | +15.0% | yes |" in rows
    assert f"| all processes | {first}: 900 | {last}: 700 | -22.2% | NO |" in rows
    assert any("with sound" in row for row in rows)


def test_a_killed_study_goes_on_and_leaves_no_video(
    settings: ExtractMemorySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[float] = []

    def measured(_: ExtractMemorySettings, number: int, seconds: float) -> dict[str, Any]:
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(seconds)
        return found()

    monkeypatch.setattr(extract_memory, "measured", measured)
    with pytest.raises(KeyboardInterrupt):
        command(settings)
    monkeypatch.setattr(extract_memory, "measured", lambda *_: found())
    assert command(settings) == 0
    assert len(done) == 1
    assert settings.out.read_text().startswith("# Memory of extraction")


def test_the_literal_command_is_watched_to_its_end(settings: ExtractMemorySettings) -> None:
    found = extract_memory.measured(settings, 2, 2.0)
    assert found["frames"] == 2 * 20  # two clips of two seconds
    assert found["largest"] > 50
    assert found["together"] > 20
    assert found["seconds"] > 0
    assert len(found["curve"]) == len(extract_memory.POINTS)
    assert not list(settings.work.rglob("*.mp4"))


def test_lengths_that_say_nothing_are_refused(settings: ExtractMemorySettings) -> None:
    settings.minutes = [1.0]
    with pytest.raises(UserError, match="two lengths"):
        command(settings)
