"""What is ready: every person's tracks count, and whatever changes the values is in the key."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from features.extract import ExtractSettings, SourceSettings, command, extract
from features.store.feature_track import read_info
from features.store.track_store import TrackStore
from features.verification.repair import repair
from features.verify import verify
from tests.media import face_frame, face_picture, plain_frames, tone, write_video

PERSON = ("faces/pair_left", "expression/pair_left")


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of one video of two people, extracted."""
    root = tmp_path_factory.mktemp("corpus")
    frames = [face_frame(320, 160, [(80, 80), (240, 80)], size=120) for _ in range(6)]
    write_video(root / "pair.mp4", frames, fps=10, sound=tone(0.6))
    assert extract(settings(root)).complete
    return root


@pytest.fixture
def root(extracted: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(extracted, tmp_path / "corpus"))


def settings(root: Path, *encoders: str) -> ExtractSettings:
    names = list(encoders) or ["expression", "prosody"]
    return ExtractSettings(data=SourceSettings(root=root), encoders=names, workers="0")


def contents(root: Path) -> dict[str, bytes]:
    """Bytes of each track."""
    store = root / "tracks"
    return {str(p.relative_to(store)): p.read_bytes() for p in sorted(store.rglob("*.safetensors"))}


def changed(root: Path) -> set[str]:
    """Streams that another run makes anew."""
    store = root / "tracks"
    before = {p: p.stat().st_mtime_ns for p in store.rglob("*.safetensors")}
    assert extract(settings(root)).complete
    return {p.parent.name for p, made in before.items() if p.stat().st_mtime_ns != made}


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize("hurt", [Path.unlink, cut_off])
@pytest.mark.parametrize("names", [*([n] for n in PERSON), PERSON])
def test_a_track_of_any_person_that_is_gone_or_damaged_is_made_again(
    root: Path, names: list[str], hurt: Callable[[Path], None]
) -> None:
    whole = contents(root)
    for name in names:
        hurt(root / "tracks" / f"{name}.safetensors")
    assert extract(settings(root)).extracted == 1
    assert contents(root) == whole
    assert extract(settings(root)).ready == 1


@pytest.mark.parametrize(
    ("name", "hurt"), [(PERSON[0], Path.unlink), (PERSON[0], cut_off), (PERSON[1], cut_off)]
)
def test_what_verify_finds_of_any_person_extraction_makes_again(
    root: Path, name: str, hurt: Callable[[Path], None]
) -> None:
    store, whole = root / "tracks", contents(root)
    assert not verify(store).problems
    hurt(store / f"{name}.safetensors")
    assert f"{name}.safetensors" in {str(p.path.relative_to(store)) for p in verify(store).problems}
    repair(store, verify(store).problems, time.time_ns(), print)
    extract(settings(root))
    assert not verify(store).problems
    assert contents(root) == whole


def test_a_person_whom_nobody_names_any_more_is_an_orphan(root: Path) -> None:
    store = root / "tracks"
    extract(replace(settings(root), persons="main"))
    found = {p.path.relative_to(store).as_posix(): p.kind for p in verify(store).problems}
    sides = {"left", "right"}
    assert {f"faces/pair_{side}.safetensors" for side in sides} <= found.keys()
    assert {path.rpartition("_")[2].partition(".")[0] for path in found} == sides
    repair(store, verify(store).problems, time.time_ns(), print)
    assert extract(replace(settings(root), persons="main")).ready == 1
    assert not verify(store).problems


def test_a_faces_track_that_does_not_name_everybody_is_made_anew(root: Path) -> None:
    store = TrackStore(root / "tracks")
    track = store.read("faces", "pair")
    assert track.info.people == ("main", "left", "right")
    store.write(replace(track, info=replace(track.info, people=())))  # as of an old version
    store.path("faces", "pair_right").unlink()
    assert extract(settings(root)).extracted == 1
    assert store.ids("faces") == ["pair", "pair_left", "pair_right"]


def test_a_track_of_an_old_version_is_read_without_people(root: Path) -> None:
    path = root / "tracks/expression/pair.safetensors"
    data = path.read_bytes()
    assert data.count(b'\\"people\\": [], ') == 1
    length = int.from_bytes(data[:8], "little") - len(b'\\"people\\": [], ')
    data = data[8:].replace(b'\\"people\\": [], ', b"")
    (root / "old").write_bytes(length.to_bytes(8, "little") + data)
    assert read_info(root / "old") == read_info(path)


@pytest.mark.parametrize(
    ("version", "streams"),
    [
        ("features.pipeline.planner.SOUND_VERSION", {"prosody"}),
        ("features.pipeline.planner.PICTURES", {"faces", "expression"}),
        ("features.faces.detect.FACES", {"faces", "expression"}),
    ],
)
def test_another_version_of_a_part_redoes_what_it_touches_and_no_more(
    root: Path, version: str, streams: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version, 99)
    assert {stream.split(".")[0] for stream in changed(root)} == streams


def test_another_frame_rate_redoes_crops_without_a_video_and_nothing_else(root: Path) -> None:
    for number in (1, 2, 3):
        path = root / "cropped_aligned" / "7" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), face_picture(112)[:, :, ::-1])
    wanted = settings(root)
    store = TrackStore(root / "tracks")
    made = {}
    for fps in (25.0, 50.0):
        wanted.data.crops_fps = fps
        assert extract(wanted).complete
        assert store.read("faces", "7").times.tolist() == [0, 1 / fps, 2 / fps]
        assert store.read("expression", "7").times.tolist() == [0, 1 / fps, 2 / fps]
        made[fps] = store.path("faces", "pair").stat().st_mtime_ns
    assert made[25.0] == made[50.0]
    assert extract(wanted).ready == 2


def test_a_plan_of_one_more_encoder_needs_not_everybody_in_the_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = [face_frame(320, 160, [(80, 80)], size=120)] * 12
    both = [face_frame(320, 160, [(80, 80), (240, 80)], size=120)] * 12
    write_video(tmp_path / "pair.mp4", one + both, fps=2)
    extract(settings(tmp_path, "prosody"))
    assert TrackStore(tmp_path / "tracks").read("faces", "pair").info.people[1:]
    command(replace(settings(tmp_path, "expression"), plan=True))
    assert "time: about" in capsys.readouterr().out


def test_no_folder_is_listed_for_each_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("1", "2", "3"):
        write_video(tmp_path / f"{name}.mp4", plain_frames(3), fps=10)
    extract(settings(tmp_path, "expression"))
    listed: list[str] = []
    ids = TrackStore.ids

    def noted(self: TrackStore, stream: str) -> list[str]:
        listed.append(stream)
        return ids(self, stream)

    monkeypatch.setattr(TrackStore, "ids", noted)
    assert extract(settings(tmp_path, "expression")).ready == 3
    for_three = len(listed)
    for name in ("2", "3"):
        (tmp_path / f"{name}.mp4").unlink()
    assert extract(settings(tmp_path, "expression")).ready == 1
    assert len(listed) == 2 * for_three


def test_an_item_is_planned_once_here_and_once_where_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from features.pipeline.planner import Planner

    write_video(tmp_path / "1.mp4", plain_frames(3), fps=10)
    plans = []
    plan = Planner.plan

    def noted(self, source):  # type: ignore[no-untyped-def]
        plans.append(source.id)
        return plan(self, source)

    monkeypatch.setattr(Planner, "plan", noted)
    extract(settings(tmp_path, "expression"))
    assert plans == ["1", "1"]  # the second after the claim: another run may have made it
    extract(settings(tmp_path, "expression"))
    assert plans == ["1"] * 3
