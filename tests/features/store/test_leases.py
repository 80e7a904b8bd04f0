"""Leases: one holder, dead holders are succeeded, living ones are not, wherever they run."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from features.errors import UserError
from features.store import leases
from features.store.leases import Lease, hold
from tests.waiting import eventually, limit

HOLD = """
import sys
from pathlib import Path
from features.store.leases import Lease

lease = Lease(Path(sys.argv[1]))
print(lease.take(), flush=True)
sys.stdin.read()
"""
Marker = Callable[..., Path]


def holder(path: Path) -> "subprocess.Popen[str]":
    """Another process that holds a lease until its input ends or it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert process.stdout
    assert process.stdout.readline() == "True\n"
    return process


def marker(path: Path, host: str, boot: int, pid: int = 1, start: int = 1) -> Path:
    """The file of a lease, as filelock writes it on that machine."""
    lines = ["filelock/2", f"pid={pid}", f"host={host}", "mode=lease", "token=0", "duration=300.0"]
    path.write_text("\n".join([*lines, f"start={(boot << 64) + start}", ""]))
    return path


def renew(path: Path) -> None:
    os.utime(path, (0, time.time()))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves this process's own clock on."""
    now = [time.monotonic()]
    monkeypatch.setattr("time.monotonic", lambda: now[0])

    def later(seconds: float) -> None:
        now[0] += seconds

    return later


def test_it_has_one_holder_until_it_is_given_back(tmp_path: Path) -> None:
    one, other = Lease(tmp_path / "new" / "12"), Lease(tmp_path / "new" / "12")
    assert one.take()
    assert not one.take()
    assert not other.take()
    assert not other.in_doubt
    one.release()
    assert other.take()
    other.release()
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("waited_for", [True, False])
def test_that_of_a_killed_process_is_taken_over_at_once(tmp_path: Path, waited_for: bool) -> None:
    process = holder(tmp_path / "12")
    lease = Lease(tmp_path / "12")
    assert not lease.take()
    assert str(process.pid) in lease.holder
    process.kill()
    if waited_for:
        process.wait()
    eventually(lease.take)
    assert [path.name for path in tmp_path.iterdir()] == ["12"]
    lease.release()
    process.wait()


def test_a_living_process_keeps_it_however_long_it_does_not_renew_it(
    tmp_path: Path, clock: Callable[[float], None]
) -> None:
    process = holder(tmp_path / "12")
    lease = Lease(tmp_path / "12")
    for _ in range(3):
        assert not lease.take()
        assert not lease.in_doubt
        clock(10 * leases.STALE)
    process.communicate(timeout=limit())


@pytest.mark.parametrize("host", ["elsewhere", socket.gethostname()])
@pytest.mark.parametrize("clocks", [-1e6, 1e6])
def test_another_machines_is_taken_over_only_when_it_is_seen_not_to_be_renewed(
    tmp_path: Path, clock: Callable[[float], None], host: str, clocks: float
) -> None:
    """Machines may share a name, and the clock of the disk may be any."""
    path = marker(tmp_path / "12", host, boot=7)
    os.utime(path, (time.time() + clocks,) * 2)
    lease = Lease(path)
    assert not lease.take()
    assert lease.in_doubt
    clock(leases.STALE - 1)
    assert not lease.take()
    os.utime(path, (time.time() + clocks + 20,) * 2)
    clock(2)
    assert not lease.take()
    assert not lease.in_doubt  # it lives
    clock(leases.STALE + 1)
    assert lease.take()
    assert [path.name for path in tmp_path.iterdir()] == ["12"]
    lease.release()


@pytest.mark.parametrize("content", ["", "no lease", '{"host": "a", "pid": 1, "started": "1"}'])
def test_a_file_that_says_nothing_blocks_nobody_for_ever(
    tmp_path: Path, clock: Callable[[float], None], content: str
) -> None:
    path = tmp_path / "12"
    path.write_text(content)
    lease = Lease(path)
    assert not lease.take()
    assert lease.in_doubt
    clock(leases.STALE + 1)
    assert lease.take()
    lease.release()


def test_what_is_put_in_the_place_of_a_dead_one_stays(tmp_path: Path) -> None:
    path = marker(tmp_path / "12", "elsewhere", boot=7)
    lease = Lease(path)
    assert not lease.take()
    path.unlink()
    other = Lease(path)
    assert other.take()
    lease._move_aside()  # sees another file than the one it watched
    assert not other.lost
    assert path.exists()
    other.release()
    assert not other.lost
    assert list(tmp_path.iterdir()) == []


def test_of_many_takers_of_a_dead_one_one_gets_it(tmp_path: Path) -> None:
    names = [str(i) for i in range(40)]
    for name in names:
        marker(tmp_path / name, socket.gethostname(), leases._boot(), os.getpid(), start=1)
    start, got = threading.Barrier(4), list[Lease]()

    def take_all() -> None:
        start.wait()
        got.extend(one for one in map(Lease, map(tmp_path.joinpath, names)) if one.take())

    threads = [threading.Thread(target=take_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(lease.path.name for lease in got) == sorted(names)
    for lease in got:
        lease.release()
    assert list(tmp_path.iterdir()) == []


def test_it_is_renewed_while_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.02)
    lease = Lease(tmp_path / "12")
    assert lease.take()
    renew(lease.path)
    before = lease.path.stat().st_atime_ns
    eventually(lambda: lease.path.stat().st_atime_ns != before)
    lease.release()


def test_one_that_was_taken_over_is_lost(tmp_path: Path) -> None:
    def taken() -> None:
        with hold(tmp_path / "12", lambda who: f"taken by {who}"):
            (tmp_path / "12").unlink()
            marker(tmp_path / "12", "elsewhere", boot=7, pid=5)

    with pytest.raises(UserError, match="taken by process 5 on elsewhere"):
        taken()
    assert (tmp_path / "12").exists()


def test_who_is_told_that_it_is_held_waits_for_nobody(tmp_path: Path) -> None:
    with (
        hold(tmp_path / "12", str),
        pytest.raises(UserError, match=f"process {os.getpid()} on"),
        hold(tmp_path / "12", str),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_holder_that_may_be_dead_is_watched_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = marker(tmp_path / "12", "elsewhere", boot=7, pid=5)
    monkeypatch.setattr(leases, "POLL", 0.01)
    renewal = threading.Timer(0.2, renew, [path])
    renewal.start()
    with pytest.raises(UserError, match="process 5 on elsewhere"), hold(path, str):
        pass
    assert "process 5 on elsewhere may be dead; watching it, 300 s at most" in caplog.text
