"""Kills are dealt, and what they spoil, leave behind or have redone is found.

A stand-in of extraction, which starts at once, is killed; the real command runs once.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from experiments.benchmarks.robustness import killed_runs, two_runs
from experiments.benchmarks.robustness.killed_runs import KilledRunsSettings, Study, undisturbed
from experiments.benchmarks.robustness.killed_runs_page import page
from experiments.benchmarks.robustness.killed_runs_parts import (
    Course,
    content,
    differing,
    finished,
    item_of,
    left_behind,
    rewritten,
    short_clips,
    tracks,
)
from experiments.studies.kept_results import KeptResults
from tests.media import plain_frames, tone, write_video

ITEMS = 4
STAND_IN = """
import os, sys, time
from contextlib import suppress
from pathlib import Path
store, fault = Path(sys.argv[1]), sys.argv[2]
claims, folder, made = store / ".claims", store / "prosody", 0
folder.mkdir(parents=True, exist_ok=True)
claims.mkdir(exist_ok=True)
for old in claims.iterdir():
    old.unlink(missing_ok=True)
for number in range(4):
    track, claim = folder / f"{number}.safetensors", claims / str(number)
    if track.exists() and fault != "redo":
        continue
    claims.mkdir(exist_ok=True)
    claim.touch()
    partial = folder / f".{number}.{os.getpid() if fault == 'litter' else ''}.partial"
    partial.write_text("half")
    time.sleep(.08)
    partial.write_text("spoilt" if fault == "spoil" and number == 3 else "whole")
    with suppress(FileNotFoundError):
        partial.replace(track)
    claim.unlink(missing_ok=True)
    made += 1
with suppress(OSError):
    claims.rmdir()
print(f"4 items: {made} extracted, {4 - made} ready")
"""


@dataclass(frozen=True)
class StandIn(Course):
    """Runs the stand-in, without or with a fault."""

    fault: str = "none"

    def words(self, store: Path) -> list[str]:
        return [sys.executable, "-c", STAND_IN, str(store), self.fault]

    def verified(self, store: Path) -> bool:
        return True


@pytest.fixture
def settings(tmp_path: Path) -> KilledRunsSettings:
    return KilledRunsSettings(tmp_path, clips_count=ITEMS, kills=8, work=tmp_path)


def study(settings: KilledRunsSettings, fault: str = "none") -> dict[str, list[dict]]:
    """What a study with the stand-in finds; the undisturbed run has no fault."""
    temporary = settings.work / "temporary"
    temporary.mkdir(exist_ok=True)
    whole = StandIn(settings.clips, settings.work, temporary)
    kept = KeptResults(settings.work, [])
    Study(whole, kept, settings)  # the undisturbed run
    dealt = Study(StandIn(settings.clips, settings.work, temporary, fault=fault), kept, settings)
    dealt.deal()
    return kept.values


def test_all_kills_are_dealt_and_good_stores_end_as_the_undisturbed_one(
    settings: KilledRunsSettings,
) -> None:
    found = study(settings)
    assert len(found["kills"]) == 8
    assert {kill["victim"] for kill in found["kills"]} == {"all processes", "the first process"}
    assert all(not (o["differing"] or o["left"]) for o in found["outcomes"])
    assert not any(kill["redone"] or kill["rewritten"] for kill in found["kills"])
    assert any(kill["working"] for kill in found["kills"])


@pytest.mark.parametrize("fault", ["spoil", "litter", "redo"])
def test_a_fault_is_found(settings: KilledRunsSettings, fault: str) -> None:
    found = study(settings, fault)
    outcomes, kills = found["outcomes"], found["kills"]
    assert any(o["differing"] for o in outcomes) == (fault != "redo")
    assert any(o["left"] for o in outcomes) == (fault == "litter")
    assert any(kill["redone"] for kill in kills) == (fault == "redo")


def test_a_killed_study_goes_on_with_the_kills_that_are_left(
    settings: KilledRunsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(killed_runs, "survivors", stop)
        with pytest.raises(KeyboardInterrupt):
            study(settings)
    settings.kills = 2
    assert len(study(settings)["kills"]) == 2
    settings.kills = 3
    before = study(settings)["kills"][:2]
    assert before == json.loads(json.dumps(before))


def test_two_runs_are_compared_and_their_double_work_counted(
    settings: KilledRunsSettings, tmp_path: Path
) -> None:
    course = StandIn(tmp_path, tmp_path, tmp_path)
    undisturbed(course, tmp_path / "undisturbed")
    expected = content(tmp_path / "undisturbed")
    found = {name: part(course, expected) for name, part in two_runs.PARTS.items()}
    assert found["two runs"]["differing"] == []
    assert found["two runs"]["status"] == [0, 0]
    assert found["two runs, one killed"]["status"] == [-9, 0]
    doubled = found["two runs"] | {"extracted": [4, 3]}
    text = two_runs.section(found | {"two runs": doubled}, ITEMS)
    assert "made twice: 3." in text


def test_the_page_counts_kills_by_victim(settings: KilledRunsSettings) -> None:
    kill = {"after": 1.0, "working": True, "in_flight": ["0"]}
    empty: list[str] = []
    names = ("in_flight", "redone", "rewritten", "differing", "left")
    meeting: dict[str, object] = dict.fromkeys(names, empty)
    meeting |= {"extracted": [2, 2], "status": [0, 0], "verified": True}
    found = {
        "seconds": 10.0,
        "kills": [
            kill | {"victim": "a worker", "redone": ["1"]},
            kill | {"victim": "all processes", "in_flight": ["1", "2"], "outlived": 3},
            kill | {"victim": "all processes", "in_flight": [], "working": False},
        ],
        "outcomes": [{"differing": ["x/1"], "left": []}, {"differing": [], "left": [".claims"]}],
        **dict.fromkeys(two_runs.PARTS, meeting),
    }
    text = page(settings, 0.6, found, verified=True)
    assert "| a worker | 1 | 0 | 1 | 1.0 (1) | 1 | 0 | 0 | 0 |" in text
    assert "| all processes | 2 | 1 | 1 | 2.0 (2) | 0 | 0 | 3 | 0 |" in text
    assert "Complete stores: 2; byte for byte as the undisturbed one: 1." in text
    assert "Files that differ: x/1." in text
    assert "left in them: .claims." in text


def test_stores_differ_by_content_and_by_what_only_one_has(tmp_path: Path) -> None:
    for name, order in (("a", '{"x": 1, "y": 2}'), ("b", '{"y": 2, "x": 1}')):
        (tmp_path / name / "s").mkdir(parents=True)
        (tmp_path / name / "sources.json").write_text(order)
        (tmp_path / name / "s" / "1.safetensors").write_text("same")
    assert not differing(content(tmp_path / "a"), content(tmp_path / "b"))
    (tmp_path / "b" / "s" / "1.safetensors").write_text("other")
    (tmp_path / "a" / "s" / ".1.partial").touch()
    found = differing(content(tmp_path / "a"), content(tmp_path / "b"))
    assert found == ["s/.1.partial", "s/1.safetensors"]
    assert left_behind(tmp_path / "a") == ["s/.1.partial"]


def test_a_track_that_is_written_again_with_the_same_bytes_is_seen(tmp_path: Path) -> None:
    track = tmp_path / "s" / "1_left.safetensors"
    track.parent.mkdir()
    track.write_text("same")
    before = tracks(tmp_path)
    other = track.with_name("2.safetensors")
    other.write_text("same")
    assert not rewritten(before, tracks(tmp_path))
    other.replace(track)
    assert rewritten(before, tracks(tmp_path)) == ["s/1_left.safetensors"]
    assert item_of("s/1_left.safetensors") == "1"


def test_an_item_is_finished_with_its_last_track() -> None:
    expected = {"s/1.safetensors", "s/1_left.safetensors", "s/2.safetensors"}
    assert finished({"s/1.safetensors", "s/2.safetensors"}, expected) == {"2"}


def test_the_real_command_runs_undisturbed_on_short_clips(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", plain_frames(20), fps=10, sound=tone(2.0))
    short_clips([video], 2, tmp_path / "clips")
    options = ["--encoders", "[prosody]"]
    with tempfile.TemporaryDirectory() as short:  # sockets want a short path
        course = Course(tmp_path / "clips", tmp_path, Path(short), options)
        assert undisturbed(course, tmp_path / "store") > 0
    assert {item_of(path) for path in content(tmp_path / "store") if "/" in path} == {
        "00-a",
        "01-a",
    }
    assert course.items() == 2
