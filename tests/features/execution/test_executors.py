"""Worker processes: as good as one process, and no fault of an item or a worker is the others'."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from features.cli.signals import terminable
from features.errors import UserError
from features.execution.executors import ProcessExecutor
from features.execution.resources import Share
from features.extract import ExtractSettings, SourceSettings, extract
from features.pipeline.discovery import Source
from features.pipeline.failures import FILE
from features.pipeline.summary import ExtractSummary
from features.store.claims import FOLDER
from tests.features.faulty import SCRIPT, spoil
from tests.media import face_frame, tone, write_sound, write_video
from tests.waiting import eventually, limit

ROOT = Path(__file__).parents[3]
NAMES = [str(number) for number in range(5)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five short sounds; the last is the longest."""
    folder = tmp_path_factory.mktemp("corpus")
    for number, name in enumerate(NAMES):
        sound = tone(0.2 + 0.1 * number, 16_000, hertz=200 + 50 * number)
        write_sound(folder / f"{name}.wav", sound, 16_000, "pcm_s16le")
    return folder


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


Run = Callable[..., ExtractSummary]


@pytest.fixture
def run(root: Path, tmp_path: Path, notes: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Extracts with faults by item."""

    def extracted(
        faults: dict[str, str], limit: float = 60.0, workers: str = "2"
    ) -> ExtractSummary:
        monkeypatch.setattr("features.extract._recipe", spoil(notes, faults))
        return extract(settings(root, tmp_path / "store", workers, time_limit=limit))

    return extracted


def settings(root: Path, store: Path, workers: str = "2", **changes: object) -> ExtractSettings:
    data, names = SourceSettings(root=root, store=store), ["prosody"]
    return ExtractSettings(data=data, encoders=names, workers=workers, **changes)  # type: ignore[arg-type]


def attempts(notes: Path) -> list[str]:
    """Ids worked on, one entry an attempt."""
    return sorted(path.name.split(".")[0] for path in notes.iterdir())


def wait_for_work(process: "subprocess.Popen[str]", notes: Path, items: int) -> None:
    """Waits until a run works on so many items; it must not end before, and says why if it does."""

    def begun() -> bool:
        ended = process.poll()
        assert ended is None, (ended, *process.communicate())
        return len(attempts(notes)) >= items

    eventually(begun)


def pids(notes: Path) -> set[int]:
    """Processes that worked on items."""
    return {int(path.name.split(".")[1]) for path in notes.iterdir()}


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def content(store: Path) -> dict[str, bytes]:
    """Every file of a store but the memory of hashes, which names times of change."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file() and path.name != "sources.json"
    }


def leftovers(store: Path) -> list[Path]:
    """Temporary files and claims."""
    return list(store.rglob(".*"))


def members(session: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, own, *_ = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(own) == session and state not in ("Z", "X"):
            found.append(int(path.parent.name))
    return found


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files, with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def start(root: Path, notes: Path, tmp_path: Path, temporary: Path) -> Iterator[Start]:
    """Starts an extraction as a session of its own; what is left of it is killed at the end."""
    started = list["subprocess.Popen[str]"]()

    def run_there(faults: dict[str, str]) -> "subprocess.Popen[str]":
        where = "--data.root", str(root), "--data.store", str(tmp_path / "store")
        options = *where, "--encoders", "[prosody]", "--workers", "2"
        (tmp_path / "script.py").write_text(SCRIPT)
        process = subprocess.Popen(
            [sys.executable, tmp_path / "script.py", notes, json.dumps(faults), *options],
            env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run_there
    for process in started:
        for pid in members(process.pid):
            os.kill(pid, signal.SIGKILL)
        process.communicate()


def test_workers_make_what_one_process_makes(tmp_path: Path) -> None:
    face = [face_frame(192, 160, [(90 + i, 80)], size=110) for i in range(6)]
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        write_video(tmp_path / "in" / f"{name}.mp4", face, fps=10, sound=tone(0.6))
    for workers in ("0", "2"):
        wanted = settings(tmp_path / "in", tmp_path / workers, workers)
        wanted.encoders = ["expression", "prosody"]
        summary = extract(wanted)
        assert (summary.complete, summary.extracted) == (True, 2)
        assert summary.times.amount["find faces"] == 12
    assert content(tmp_path / "0") == content(tmp_path / "2")
    assert len(content(tmp_path / "0")) == 10


def test_an_item_without_progress_is_given_up_and_the_others_are_made(
    run: Run, tmp_path: Path, notes: Path
) -> None:
    most = round(limit(2.0))
    summary = run({"3": "hang"}, limit=most)
    assert list(summary.failures) == ["3"]
    assert f"no progress for {most} s in wait_for_ever (" in summary.failures["3"]
    assert "--time_limit" in summary.failures["3"]
    assert summary.extracted == 4
    assert attempts(notes) == NAMES  # what hangs once is not tried again
    assert "no progress" in (tmp_path / "store" / FILE).read_text()
    assert not leftovers(tmp_path / "store")


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("segfault", "was ended by SIGSEGV in act ("),
        ("kill", "was ended by SIGKILL, perhaps for lack of memory"),
        ("exit", "ended with status 3"),
    ],
)
def test_an_item_whose_workers_die_is_tried_twice_and_fails_alone(
    run: Run, notes: Path, fault: str, cause: str
) -> None:
    summary = run({"3": fault})
    assert list(summary.failures) == ["3"]
    assert cause in summary.failures["3"]
    assert summary.extracted == 4
    assert attempts(notes) == sorted([*NAMES, "3"])


def test_an_item_whose_worker_died_once_is_made(
    run: Run, notes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    summary = run({"3": "kill once"})
    assert (summary.complete, summary.extracted) == (True, 5)
    assert "3: its process was ended by SIGKILL" in caplog.text
    assert attempts(notes).count("3") == 2
    assert not leftovers(tmp_path / "store")


def test_an_unforeseen_fault_fails_its_item_and_its_traceback_is_shown(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    summary = run({"3": "raise"})
    assert summary.extracted == 4
    assert "KeyError: 'no such layout' (in act, faulty.py line" in summary.failures["3"]
    assert "Traceback" in caplog.text


def test_a_full_disk_stops_the_run_and_no_item_is_to_blame(run: Run, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        run({"3": "full"})
    assert not (tmp_path / "store" / FILE).exists()
    assert not leftovers(tmp_path / "store")


def test_the_costliest_item_comes_first(run: Run, notes: Path) -> None:
    run({}, workers="1")
    order = sorted(notes.iterdir(), key=lambda path: int(path.name.split(".")[2]))
    assert [path.name.split(".")[0] for path in order] == ["4", "3", "2", "1", "0"]


@pytest.mark.parametrize(
    ("fault", "cause"), [("user", "no weights in DIR"), ("exit", "status 3 before it could work")]
)
def test_workers_that_cannot_start_are_one_line(run: Run, fault: str, cause: str) -> None:
    with pytest.raises(UserError, match=cause):
        run({"start": fault})


def test_a_worker_that_is_never_ready_is_given_up(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.execution.executors.START_LIMIT", 3.0)
    with pytest.raises(UserError, match=r"was not ready after 3 s in wait_for_ever \(.*time_limit"):
        run({"start": "hang"}, limit=1.0)


class Telling:
    """Stands in for an extractor; a source's outcome tells its threads and device."""

    def __init__(self, device: str) -> None:
        self.device, self.times = device, None

    def plan(self, source: Source) -> None:
        import cv2
        import torch

        raise UserError(f"{self.device} {torch.get_num_threads()} {cv2.getNumThreads()}")


def tell(device: str) -> Telling:
    return Telling(device)


def test_workers_share_threads_and_devices() -> None:
    crew = ProcessExecutor(tell, Share(2, ("cuda:0", "cuda:1"), threads=3))  # type: ignore[arg-type]
    try:
        for name in ("a", "b"):
            assert crew.free
            crew.submit(Source(name, None, {}))
        assert not crew.free
        outcomes = crew.wait()
        while len(outcomes) < 2:
            outcomes += crew.wait()
        assert {o.cause for o in outcomes} == {"cuda:0 3 3", "cuda:1 3 3"}
        assert crew.wait() == []
    finally:
        crew.close()


def outside(temporary: Path) -> list[str]:
    """What runs have left among the temporary files, but for torch's cache."""
    return [path.name for path in temporary.iterdir() if "torch" not in path.name]


def test_when_the_parent_is_killed_nothing_of_it_is_left_and_a_second_run_completes(
    start: Start, root: Path, tmp_path: Path, notes: Path, temporary: Path
) -> None:
    parent = start(dict.fromkeys(NAMES, "freeze"))
    wait_for_work(parent, notes, 2)
    assert len(members(parent.pid)) >= 3
    assert outside(temporary)
    parent.kill()
    eventually(lambda: not members(parent.pid))
    assert not outside(temporary)
    out, _ = parent.communicate()
    assert out.count("script") == 1  # without a guard for main, and yet not run by the workers
    summary = extract(settings(root, tmp_path / "store"))
    assert (summary.complete, summary.extracted) == (True, 5)
    extract(settings(root, tmp_path / "whole", "0"))
    assert content(tmp_path / "store") == content(tmp_path / "whole")
    assert not leftovers(tmp_path / "store")


def test_what_all_processes_of_a_killed_run_leave_goes_with_the_next(
    start: Start, notes: Path, temporary: Path
) -> None:
    parent = start(dict.fromkeys(NAMES, "hang"))
    wait_for_work(parent, notes, 2)
    for pid in members(parent.pid):
        os.kill(pid, signal.SIGKILL)
    assert outside(temporary)
    second = start({})
    assert "0 failed" in second.communicate(timeout=limit())[0]
    assert not outside(temporary)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop_leaves_no_worker_and_no_claim(
    run: Run, tmp_path: Path, notes: Path, number: signal.Signals
) -> None:
    before, at_work = signal.getsignal(number), set[int]()

    def stop() -> None:
        eventually(lambda: len(attempts(notes)) == 2)
        claims = sorted(path.name for path in (tmp_path / "store" / FOLDER).iterdir())
        at_work.update(pids(notes))
        for pid in at_work:
            os.kill(pid, signal.SIGINT)  # a terminal sends Ctrl-C to everybody
        time.sleep(0.2)
        if claims == ["3", "4"] and all(map(alive, at_work)):
            os.kill(os.getpid(), number)

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(KeyboardInterrupt), terminable():
        run({"3": "hang", "4": "hang"}, limit=20.0)
    stopper.join()
    assert len(at_work) == 2
    assert not any(map(alive, at_work))
    assert not leftovers(tmp_path / "store")
    assert signal.getsignal(number) is before


@pytest.mark.slow
def test_two_extractions_at_once_make_each_item_once(
    start: Start, run: Run, root: Path, tmp_path: Path, notes: Path
) -> None:
    other = start(dict.fromkeys(NAMES, "slow"))
    wait_for_work(other, notes, 1)
    mine = run(dict.fromkeys(NAMES, "slow"))
    out, err = other.communicate(timeout=limit(120))
    assert "0 failed" in out, err
    assert not mine.failures
    assert attempts(notes) == NAMES
    assert len(pids(notes)) >= 3  # both had workers
    extract(settings(root, tmp_path / "whole", "0"))
    assert content(tmp_path / "store") == content(tmp_path / "whole")
    assert not leftovers(tmp_path / "store")


def test_too_long_a_folder_of_temporary_files_is_named(root: Path, tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 30)
    deep.mkdir()
    words = ["--data.root", root, "--data.store", tmp_path / "store", "--encoders", "[prosody]"]
    done = subprocess.run(
        [sys.executable, "-m", "features.extract", *words, "--workers", "1"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(deep)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"features.extract: {deep}")
    assert "set TMPDIR" in done.stderr
    assert done.stderr.count("\n") == 1
