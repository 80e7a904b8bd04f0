"""Checking a store while runs are at work: theirs is left to them, and what they leave is fine."""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from features import verify as verify_module
from features.extract import ExtractSettings, SourceSettings, extract
from features.store.claims import FOLDER, INDEX, Claims
from features.store.feature_track import FeatureTrack, read_track
from features.store.person_names import split_person
from features.store.track_store import TrackStore
from features.verification.files import CACHE, Kind
from features.verify import verify
from tests.features.test_verify import FRAMES, cached, found, listing, status_of, write
from tests.media import plain_frames, tone, write_video
from tests.waiting import limit

HOLD = """
import sys
from pathlib import Path
from features.store.claims import Claims

with Claims(Path(sys.argv[1])) as claims:
    print(all(claims.take(name) for name in sys.argv[2:]), flush=True)
    sys.stdin.read()
"""


@contextmanager
def living_run(store: Path, *names: str) -> Iterator[None]:
    """Another process that holds claims."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store), *names],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert process.stdout
    assert process.stdout.readline() == "True\n"
    try:
        yield
    finally:
        process.communicate(timeout=limit())


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two videos, a damaged track of each."""
    for stream, video in itertools.product(("faces", "prosody"), ("1", "2")):
        write(tmp_path, stream, video)
    for video in ("1", "2"):
        path = tmp_path / f"prosody/{video}.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
    return tmp_path


def test_what_a_living_run_works_on_is_in_work_and_stays(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = store / "faces/.1.safetensors.abcdefgh.partial"
    half.write_bytes(b"half")
    with living_run(store, "1"):
        assert found(store) == {
            "prosody/1.safetensors": Kind.WORK,
            "prosody/2.safetensors": Kind.DAMAGED,
        }
        assert status_of(store, "--repair") == 1
        assert "in work: " in capsys.readouterr().out
        assert (store / FOLDER / "1").exists()
    assert half.exists()
    assert (store / "prosody/1.safetensors").exists()
    assert not (store / "prosody/2.safetensors").exists()
    assert status_of(store, "--repair") == 0
    assert listing(store) == {"faces/1.safetensors", "faces/2.safetensors"}


def test_a_run_that_begins_during_the_check_keeps_its_video(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Claims(store) as other:

        def late(root: Path, sources: Path | None) -> verify_module.Findings:
            findings = verify(root, sources)
            other.take("1")
            return findings

        monkeypatch.setattr(verify_module, "verify", late)
        assert status_of(store, "--repair") == 1
        assert "left, since a run works on it" in capsys.readouterr().out
    assert (store / "prosody/1.safetensors").exists()
    assert not (store / "prosody/2.safetensors").exists()


def test_what_a_run_finished_during_the_check_is_left_to_the_next_check(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = verify_module.judge
    with Claims(store) as other:
        other.take("1")

        def late(*arguments: object) -> object:
            other.release("1")
            return judge(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(verify_module, "judge", late)
        assert found(store)["prosody/1.safetensors"] is Kind.WORK


def test_a_claim_of_the_dead_protects_nothing(store: Path) -> None:
    with living_run(store, "1"):
        content = (store / FOLDER / "1").read_bytes()
    (store / FOLDER).mkdir()
    (store / FOLDER / "1").write_bytes(content)  # its process has ended
    assert status_of(store, "--repair") == 0
    assert listing(store) == {"faces/1.safetensors", "faces/2.safetensors"}


def test_repair_leaves_no_claims(store: Path) -> None:
    assert status_of(store, "--repair") == 0
    assert not (store / FOLDER).exists()


def test_the_stores_own_files_are_left_to_who_writes_them(store: Path) -> None:
    (store / "sources.json").write_text("{")
    half = store / ".sources.json.abcdefgh.partial"
    half.touch()
    with living_run(store, INDEX):
        assert found(store)["sources.json"] is Kind.WORK
        assert status_of(store, "--repair") == 1
    assert half.exists()
    assert (store / "sources.json").exists()


@pytest.mark.parametrize("person", ["left", "right", "person3", "person12"])
def test_people_of_a_video_are_fine_under_any_name(tmp_path: Path, person: str) -> None:
    for stream in ("faces", "expression"):
        write(tmp_path, stream, "1", person=person)
    write(tmp_path, "prosody", "1")
    cached(tmp_path, "prosody", "1")
    assert status_of(tmp_path) == 0


@pytest.mark.parametrize("person", ["left", "person3"])
def test_the_claim_of_a_video_protects_all_its_people(tmp_path: Path, person: str) -> None:
    if split_person(f"1_{person}") != ("1", person):
        pytest.skip(f"nobody is named {person} in this version")
    path = write(tmp_path, "expression", "1", person=person)
    with living_run(tmp_path, "1"):
        assert found(tmp_path) == {f"expression/1_{person}.safetensors": Kind.WORK}
        assert status_of(tmp_path, "--repair") == 1
        assert path.exists()
    assert status_of(tmp_path, "--repair") == 0
    assert not path.exists()


class Killed(BaseException):
    """Stands for SIGKILL: nothing handles it."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos."""
    folder = tmp_path_factory.mktemp("corpus")
    for name in ("a", "b"):
        write_video(folder / f"{name}.mp4", plain_frames(FRAMES), sound=tone(0.3))
    return folder


def kill_after(monkeypatch: pytest.MonkeyPatch, last: int, root: Path, store: Path) -> bool:
    """Extracts until the given number of tracks is written; False if there are fewer."""
    write_to_store, written = TrackStore.write, itertools.count(1)

    def killed(self: TrackStore, track: FeatureTrack) -> Path:
        number = next(written)
        if number > last:  # another thread of the dead
            raise Killed
        path = write_to_store(self, track)
        if number == last:
            raise Killed
        return path

    with monkeypatch.context() as patched:
        patched.setattr(TrackStore, "write", killed)
        try:
            data = SourceSettings(root, store)
            extract(ExtractSettings(data=data, encoders=["expression", "prosody"], workers="0"))
        except Killed:
            return True
    return False


def test_what_a_killed_run_leaves_is_no_fault(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = (tmp_path / str(last) for last in itertools.count(1))
    for last, store in enumerate(stores, 1):
        killed = kill_after(monkeypatch, last, root / "a.mp4", store)
        assert found(store, root) == {}
        if not killed:
            break
        assert len(listing(store) - {"sources.json"}) == last
    assert last > 3


def test_an_aligned_track_on_a_clock_that_is_gone_is_stale(tmp_path: Path) -> None:
    write(tmp_path, "faces", "1", frames=FRAMES + 1)
    write(tmp_path, "faces", "2")  # another video's clock vouches for nothing
    write(tmp_path, "prosody", "1")
    path = cached(tmp_path, "prosody", "1")
    assert found(tmp_path) == {str(path.relative_to(tmp_path)): Kind.CACHE}
    assert status_of(tmp_path, "--repair") == 0
    assert not path.exists()


def test_an_aligned_track_on_the_clock_of_either_person_is_fine(tmp_path: Path) -> None:
    write(tmp_path, "faces", "1", person="left")
    write(tmp_path, "faces", "1", frames=FRAMES + 1, person="right")
    write(tmp_path, "prosody", "1")
    cached(tmp_path, "prosody", "1")
    assert found(tmp_path) == {}
    assert (tmp_path / CACHE).is_dir()


def test_a_source_that_cannot_be_read_now_does_not_cost_its_tracks(
    root: Path, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.mp4").write_bytes((root / f"{name}.mp4").read_bytes())
    extract(ExtractSettings(data=SourceSettings(tmp_path), encoders=["prosody"], workers="0"))
    (tmp_path / "a.mp4").unlink()
    (tmp_path / "a.mp4").symlink_to("on a disk that is not mounted/a.mp4")
    store = tmp_path / "tracks"
    kinds = found(store, tmp_path)
    assert kinds == dict.fromkeys(("faces/a.safetensors", "prosody/a.safetensors"), Kind.UNREADABLE)
    assert status_of(store, "--repair", "--data.root", tmp_path) == 1
    assert np.isfinite(read_track(store / "prosody/a.safetensors").values).all()
