"""What a command and its processes take."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments.benchmarks import process_watch
from experiments.benchmarks.process_watch import members, started, watch
from features.errors import UserError
from tests.waiting import eventually

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux only")

PARENT_OF_ONE = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
time.sleep({sleep})
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def wait_for(session: int, count: int) -> list[int]:
    eventually(lambda: len(members(session)) == count)
    return members(session)


def test_the_peak_of_a_process_is_seen_even_after_it_is_over(tmp_path: Path) -> None:
    log, sampler = tmp_path / "log", process_watch._Sampler(shared=False)
    code = "import time; x = b'1' * (200 << 20); del x; print('over', flush=True); time.sleep(3600)"
    with log.open("wb") as file, started(python(code), file.fileno()) as process:
        eventually(log.read_text)
        sampler.sample(process.pid, 0.0)
    usage = sampler.usage(1.0)
    assert 200 < usage.largest < 300
    assert usage.together < 100
    assert usage.processes == 1


def test_the_processes_that_a_command_starts_count_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_watch, "EVERY", 0.05)
    grow = "import time; x = b'1' * (100 << 20); time.sleep(.8)"
    child = f"subprocess.run([sys.executable, '-c', {grow!r}])"
    code = f"import subprocess, sys; x = b'1' * (60 << 20); {child}"
    usage = watch(python(code), tmp_path / "log", shared=True)
    assert usage.processes == 2
    assert 100 < usage.largest < 150
    assert 160 < usage.together < 200
    assert max(mib for _, mib in usage.curve) == usage.together


def test_processor_time_is_of_all_threads_and_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_watch, "EVERY", 0.05)
    busy = "import time\nwhile time.process_time() < .5: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    usage = watch(python(code), tmp_path / "log")
    assert 0.4 <= usage.processor < 1.0
    assert usage.cores == pytest.approx(usage.processor / usage.seconds)


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
    code = "import os; print(os.environ.get('OMP_NUM_THREADS'), os.environ['EXTRA'])"
    with (
        (tmp_path / "log").open("wb") as file,
        started(python(code), file.fileno(), {"EXTRA": "2"}) as process,
    ):
        process.wait()
    assert (tmp_path / "log").read_text().split() == ["None", "2"]
