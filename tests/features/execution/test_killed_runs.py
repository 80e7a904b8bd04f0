"""Runs that are killed, and runs beside each other: nothing is lost, made twice or left behind."""

import itertools
import multiprocessing
import os
import random
import signal
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from features.extract import ExtractSettings, SourceSettings, extract
from features.pipeline.extractor import Extractor
from features.pipeline.planner import Plan
from features.pipeline.summary import ExtractSummary
from features.store.claims import FOLDER, Claims
from features.store.cleanup import OLD, sweep
from features.store.track_store import TrackStore
from tests.media import plain_frames, tone, write_video

SEED, KILLS, LATEST = 6, 8, 60
"""Seed of the instants; how many; the latest, counted in operations on the store's files."""
OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.utime"}


def settings(root: Path, store: Path) -> ExtractSettings:
    data = SourceSettings(root=root, store=store)
    return ExtractSettings(data=data, encoders=["expression", "prosody"], workers="0")


def run_quietly(root: Path, store: Path) -> ExtractSummary:
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        return extract(settings(root, store))


def run_noting(root: Path, store: Path, notes: Path) -> None:
    """Extracts and notes what it works on."""
    work = Extractor.work

    def noted(self: Extractor, todo: Plan) -> None:
        with notes.open("a") as file:
            file.write(f"{todo.source.id}\n")
        work(self, todo)

    Extractor.work = noted  # type: ignore[method-assign]
    run_quietly(root, store)


def run_until(root: Path, store: Path, last: int) -> None:
    """Extracts and kills itself before the given operation on the store's files."""
    count = itertools.count()

    def operation(event: str, arguments: tuple[object, ...]) -> None:
        if event in OPERATIONS and str(store) in str(arguments[0]) and next(count) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(operation)
    run_quietly(root, store)


def run_until_work(root: Path, store: Path) -> None:
    """Extracts and kills itself in the middle of the first item."""
    Extractor.work = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
    run_quietly(root, store)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six tiny videos."""
    folder = tmp_path_factory.mktemp("corpus")
    for number in range(6):
        sound = tone(0.3, hertz=200 + 50 * number)
        write_video(folder / f"{number}.mp4", plain_frames(4 + number), fps=10, sound=sound)
    return folder


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    """Starts processes that have loaded everything already."""
    forkserver = multiprocessing.get_context("forkserver")
    forkserver.set_forkserver_preload(["features.extract", "facenet_pytorch"])
    return forkserver


def content(store: Path) -> dict[str, bytes]:
    """Every file of a store but the memory of hashes, which names times of change."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file() and path.name != "sources.json"
    }


def test_killed_runs_end_as_an_undisturbed_one(
    context: ForkServerContext, root: Path, tmp_path: Path
) -> None:
    rng, killed = random.Random(SEED), 0
    for _ in range(KILLS):
        arguments = root, tmp_path / "store", rng.randrange(LATEST)
        process = context.Process(target=run_until, args=arguments)
        process.start()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        killed += process.exitcode != 0
    assert killed >= 4
    assert extract(settings(root, tmp_path / "store")).complete
    extract(settings(root, tmp_path / "whole"))
    assert content(tmp_path / "store") == content(tmp_path / "whole")
    assert not list((tmp_path / "store").rglob(".*"))


def test_the_item_of_a_killed_run_is_taken_over_at_once(
    context: ForkServerContext, root: Path, tmp_path: Path
) -> None:
    process = context.Process(target=run_until_work, args=(root, tmp_path))
    process.start()
    process.join()
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["5"]  # the longest
    summary = extract(settings(root, tmp_path))
    assert (summary.extracted, summary.left) == (6, [])


def test_two_runs_at_once_share_the_work(
    context: ForkServerContext, root: Path, tmp_path: Path
) -> None:
    arguments = root, tmp_path / "store", tmp_path / "notes"
    processes = [context.Process(target=run_noting, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    worked_on = (tmp_path / "notes").read_text().split()
    assert sorted(worked_on) == [str(number) for number in range(6)]
    extract(settings(root, tmp_path / "whole"))
    assert content(tmp_path / "store") == content(tmp_path / "whole")


def test_what_another_run_works_on_is_left_to_it_and_said(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = settings(root, tmp_path)
    wanted.encoders = ["prosody"]
    wanted.data.root = root / "0.mp4"
    with Claims(tmp_path) as other:
        other.take("0")
        summary = extract(wanted)
        print(summary)
        assert summary.left == ["0"]
        assert not summary.complete
        assert "left to another run that works on them: 0" in capsys.readouterr().out
    assert extract(wanted).complete


def test_what_another_run_made_meanwhile_is_not_made_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = settings(root, tmp_path)
    wanted.encoders = ["prosody"]
    wanted.data.root = root / "0.mp4"
    take = Claims.take

    def late(self: Claims, name: str) -> bool:
        if name == "0":  # the other run comes first, from its plan to its end
            monkeypatch.setattr(Claims, "take", take)
            assert extract(wanted).extracted == 1
        return take(self, name)

    monkeypatch.setattr(Claims, "take", late)
    summary = extract(wanted)
    assert (summary.extracted, summary.ready, summary.left, summary.failures) == (0, 0, [], {})


def plant(store: Path, name: str, age: float = 0.0) -> Path:
    path = store / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_temporary_files_of_dead_runs_are_removed_and_those_of_others_stay(tmp_path: Path) -> None:
    dead = [
        plant(tmp_path, ".sources.json.abcdefgh.partial"),
        plant(tmp_path, "faces/.12.safetensors.abcdefgh.partial"),
        plant(tmp_path, "faces/.12_left.safetensors.a_cdefgh.partial"),
        plant(tmp_path, "imported/.12.safetensors.abcdefgh.partial", age=OLD + 60),
        plant(tmp_path, "faces/.13.safetensors.abcdefgh.partial", age=OLD + 60),
    ]
    alive = [
        plant(tmp_path, "faces/.13.safetensors.xyzxyz01.partial"),
        plant(tmp_path, "faces/.13_left.safetensors.abcdefgh.partial"),
        plant(tmp_path, "imported/.12.safetensors.xyzxyz01.partial"),  # ingest claims nothing
        plant(tmp_path, "faces/12.safetensors"),
    ]
    with Claims(tmp_path) as claims, Claims(tmp_path) as other:
        other.take("13")
        sweep(tmp_path, {"faces"}, claims)
    assert not any(path.exists() for path in dead)
    assert all(path.exists() for path in alive)


def test_a_store_with_claims_has_no_other_streams(tmp_path: Path) -> None:
    with Claims(tmp_path) as claims:
        claims.take("12")
        assert TrackStore(tmp_path).streams() == []
