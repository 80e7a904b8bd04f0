"""SIGTERM: as Ctrl-C, in the process that it is meant for and in no other."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from features.cli.signals import TERMINATED, Termination, terminable
from features.store.claims import FOLDER
from tests.waiting import limit

COMMAND = """
import os, sys, time
from dataclasses import dataclass
from pathlib import Path
from features.store.claims import Claims
from features.cli.app import run

@dataclass
class Settings:
    '''Settings.

    Args:
        store: A folder.
    '''

    store: Path

def command(settings):
    (settings.store / "finished").write_text("work")
    with Claims(settings.store) as claims:
        claims.take("12")
{work}
    return 0

run(Settings, command, prog="a.test", description="")
"""
WAIT = """
        print("ready", flush=True)
        time.sleep(3600)
"""
WAIT_ON = """
        try:
            print("ready", flush=True)
            time.sleep(3600)
        finally:
            print("stopping", flush=True)
            time.sleep(3600)
"""
FORK = """
        child = os.fork()
        if child == 0:
            try:
                time.sleep(3600)
            finally:
                (settings.store / "child").write_text("acted as its parent")
        os.kill(child, 15)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
LOADER = """
        from torch.utils.data import DataLoader
        workers = iter(DataLoader(range(8), num_workers=2))
        next(workers)
        print("ready", flush=True)
        time.sleep(3600)
"""


def started(store: Path, work: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND.replace("{work}", work), "--store", str(store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, TERMINATED), (signal.SIGINT, 130)])
def test_a_stopped_command_keeps_its_work_and_gives_its_claims_back(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    process = started(tmp_path, WAIT)
    assert said(process) == "ready"
    assert (tmp_path / FOLDER / "12").exists()
    process.send_signal(number)
    _, error = process.communicate(timeout=limit())
    assert process.returncode == status
    assert error == "a.test: stopped; finished work is kept, run again to go on\n"
    assert (tmp_path / "finished").exists()
    assert not (tmp_path / FOLDER).exists()


def test_a_second_sigterm_ends_at_once(tmp_path: Path) -> None:
    process = started(tmp_path, WAIT_ON)
    assert said(process) == "ready"
    process.terminate()
    assert said(process) == "stopping"
    process.terminate()
    _, error = process.communicate(timeout=limit())
    assert (process.returncode, error) == (TERMINATED, "")


def test_a_forked_child_that_is_terminated_dies_and_its_parent_goes_on(tmp_path: Path) -> None:
    process = started(tmp_path, FORK)
    assert said(process) == str(-signal.SIGTERM)
    assert process.communicate(timeout=limit()) == ("", "")
    assert process.returncode == 0
    assert not (tmp_path / "child").exists()


def test_workers_of_a_data_loader_end_with_the_command(tmp_path: Path) -> None:
    process = started(tmp_path, LOADER)
    assert said(process) == "ready"
    process.terminate()
    _, error = process.communicate(timeout=limit())  # its pipes close when the last worker is gone
    assert process.returncode == TERMINATED
    assert error.count("\n") == 1


def test_the_former_handler_is_back_afterwards() -> None:
    former = signal.getsignal(signal.SIGTERM)
    with contextlib.suppress(ZeroDivisionError), terminable():
        assert isinstance(signal.getsignal(signal.SIGTERM), Termination)
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is former


def test_an_ignored_sigterm_stays_ignored() -> None:
    former = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with terminable():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, former)


def test_nothing_is_handled_outside_of_the_main_thread() -> None:
    seen = []

    def work() -> None:
        with terminable() as termination:
            seen.append((signal.getsignal(signal.SIGTERM), termination.received))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(signal.getsignal(signal.SIGTERM), False)]
