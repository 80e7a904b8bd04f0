"""Kills are dealt, and what they spoil, leave behind or have redone is found.

A stand-in of extraction, which starts at once, is killed; the real command runs once.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from experiments.benchmarks.killed_runs import (
    Dealer,
    KilledRunsSettings,
    page,
    short_clips,
    two_runs,
)
from experiments.benchmarks.killed_stores import (
    Course,
    Kill,
    Outcome,
    content,
    differing,
    finished,
    item_of,
    left_behind,
    tracks,
)
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


@pytest.fixture
def settings(tmp_path: Path) -> KilledRunsSettings:
    return KilledRunsSettings(tmp_path, clips_count=ITEMS, kills=8, work=tmp_path)


def study(settings: KilledRunsSettings, fault: str = "none") -> Dealer:
    """What a study with the stand-in finds; the undisturbed run has no fault."""
    temporary = settings.work / "temporary"
    temporary.mkdir()
    whole = StandIn(settings.clips, settings.work, temporary)
    seconds = whole.undisturbed(settings.work / "undisturbed")
    course = StandIn(settings.clips, settings.work, temporary, fault=fault)
    dealer = Dealer(course, settings, seconds)
    dealer.deal()
    return dealer


def test_all_kills_are_dealt_and_good_stores_end_as_the_undisturbed_one(
    settings: KilledRunsSettings,
) -> None:
    found = study(settings)
    assert len(found.kills) == 8
    assert {kill.victim for kill in found.kills} == {"all processes", "the first process"}
    assert all(not (o.differing or o.left) for o in found.outcomes)
    assert not any(kill.redone for kill in found.kills)
    assert any(kill.working for kill in found.kills)


@pytest.mark.parametrize("fault", ["litter", "redo", "spoil"])
def test_a_fault_is_found(settings: KilledRunsSettings, fault: str) -> None:
    found = study(settings, fault)
    assert any(o.differing for o in found.outcomes) == (fault != "redo")
    assert any(o.left for o in found.outcomes) == (fault == "litter")
    assert any(kill.redone for kill in found.kills) == (fault == "redo")


def test_two_runs_share_the_work(settings: KilledRunsSettings, tmp_path: Path) -> None:
    course = StandIn(tmp_path, tmp_path, tmp_path)
    course.undisturbed(tmp_path / "undisturbed")
    made, outcome = two_runs(course, content(tmp_path / "undisturbed"))
    assert sum(made) >= ITEMS
    assert outcome.differing == []


def test_the_page_counts_kills_by_victim_and_double_work(settings: KilledRunsSettings) -> None:
    kills = [
        Kill("a worker", ["0"], True, redone=["1"]),
        Kill("all processes", ["1", "2"], True, outlived=3),
        Kill("all processes", [], False, temporary=1),
    ]
    outcomes = [Outcome(["x/1"], []), Outcome([], [".claims"]), Outcome([], [])]
    text = page(settings, 10.0, kills, outcomes, [4, 3])
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    assert ["a worker", "1", "1", "1", "1", "0", "0"] in rows
    assert ["all processes", "2", "1", "2", "0", "3", "1"] in rows
    assert ["**together**", "3", "2", "2", "1", "3", "1"] in rows
    assert "Complete stores: 2; byte for byte as the undisturbed one: 1." in text
    assert "stores: x/1." in text
    assert "left: .claims." in text
    assert "made twice: 3." in text


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
    name = "s/1_left.safetensors"
    assert tracks(tmp_path)[name] == before[name]
    other.replace(track)
    assert tracks(tmp_path)[name] != before[name]
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
        assert course.undisturbed(tmp_path / "store") > 0
    assert {item_of(path) for path in content(tmp_path / "store") if "/" in path} == {
        "00-a",
        "01-a",
    }
