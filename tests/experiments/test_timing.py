"""What a command and its processes take."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from experiments import timing
from experiments.timing import Timing, last_json, members, started, watch
from features.errors import UserError
from tests.waiting import eventually

PARENT_OF_ONE = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
time.sleep({sleep})
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def wait_for(session: int, count: int) -> list[psutil.Process]:
    eventually(lambda: len(members(session)) == count)
    return members(session)


def test_the_processes_that_a_command_starts_count_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "EVERY", 0.05)
    grow = "import time; x = b'1' * (100 << 20); time.sleep(.8)"
    child = f"subprocess.run([sys.executable, '-c', {grow!r}])"
    code = f"import subprocess, sys; x = b'1' * (60 << 20); {child}"
    usage = watch(python(code), tmp_path / "log")
    assert usage.processes == 2
    assert 100 < usage.largest < 150
    assert 160 < usage.together < 200
    assert max(mib for _, mib in usage.curve) == usage.together


def test_processor_time_is_of_all_threads_and_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "EVERY", 0.05)
    busy = "import time\nwhile time.process_time() < .5: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    usage = watch(python(code), tmp_path / "log")
    assert 0.4 <= usage.processor < 1.0
    assert usage.seconds >= usage.processor * 0.5


def test_a_failed_command_is_named_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ended with 3; see .*log"):
        watch(python("raise SystemExit(3)"), tmp_path / "log")


def test_nobody_is_left_of_a_session_whose_first_process_was_killed() -> None:
    with started(python(PARENT_OF_ONE.format(sleep=60)), subprocess.DEVNULL) as process:
        assert len(wait_for(process.pid, 2)) == 2
        process.kill()
        process.wait()
        assert len(members(process.pid)) == 1
    assert wait_for(process.pid, 0) == []


def test_limits_of_threads_are_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    code = "import os; print(os.environ.get('OMP_NUM_THREADS'))"
    with (
        (tmp_path / "log").open("wb") as file,
        started(python(code), file.fileno()) as process,
    ):
        process.wait()
    assert (tmp_path / "log").read_text().split() == ["None"]


def test_a_timing_adds_up_what_runs_inside_it() -> None:
    timing = Timing()
    for _ in range(2):
        with timing.running():
            sum(range(200_000))
    assert timing.processor > 0
    assert timing.seconds > 0


def test_the_last_line_of_json_is_found_among_what_else_is_said(tmp_path: Path) -> None:
    (tmp_path / "log").write_text('{"a": 1}\nwords\n{"a": 2}\nmore\n')
    assert last_json(tmp_path / "log") == {"a": 2}
    (tmp_path / "log").write_text("words\n")
    with pytest.raises(UserError, match="no result"):
        last_json(tmp_path / "log")
