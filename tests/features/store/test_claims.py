"""Claims: one owner a name; what the dead left in the folder goes (test_leases.py has the rest)."""

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from features.store import claims as claims_module
from features.store.claims import FOLDER, Claims, file_of
from features.store.leases import _boot
from tests.features.store.test_leases import holder, marker
from tests.waiting import limit


def plant(store: Path, name: str, boot: int | None = None, start: int = 1) -> Path:
    """A claim of a process that had this one's number before; with a boot, of another machine."""
    path = store / FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    here = _boot() if boot is None else boot
    return marker(path, socket.gethostname(), here, os.getpid(), start)


def listing(store: Path) -> list[str]:
    return sorted(path.name for path in (store / FOLDER).iterdir())


def test_a_name_has_one_owner_until_it_is_given_back(tmp_path: Path) -> None:
    with Claims(tmp_path) as one, Claims(tmp_path) as other:
        assert one.take("12")
        assert not one.take("12")
        assert not other.take("12")
        assert other.claimed("12")
        assert other.take("13")
        one.release("12")
        assert not other.claimed("12")
        assert other.take("12")


def test_claims_are_given_back_when_a_run_is_stopped(tmp_path: Path) -> None:
    def stopped() -> None:
        with Claims(tmp_path) as claims:
            claims.take("12")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert list(tmp_path.iterdir()) == []


def test_only_claims_that_may_be_of_the_dead_are_in_doubt(tmp_path: Path) -> None:
    process = holder(tmp_path / FOLDER / "12")
    with Claims(tmp_path) as claims:
        plant(tmp_path, "13", boot=7)
        assert not any(map(claims.take, ("12", "13")))
        assert not claims.in_doubt("12")
        assert claims.in_doubt("13")
        os.utime(tmp_path / FOLDER / "13", (0, 0))  # a sign of life
        assert not claims.take("13")
        assert not claims.in_doubt("13")
    process.communicate(timeout=limit())


def test_whether_a_name_is_claimed_is_found_without_writing(tmp_path: Path) -> None:
    process = holder(tmp_path / FOLDER / "12")
    plant(tmp_path, "13", boot=7)
    plant(tmp_path, "14")
    paths = [tmp_path / FOLDER / name for name in ("12", "13", "14")]
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in paths]
    claims = Claims(tmp_path)
    assert [name for name in claims.names() if claims.claimed(name)] == ["12", "13"]
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in paths] == before
    process.communicate(timeout=limit())


def test_names_are_free_together_or_not_at_all(tmp_path: Path) -> None:
    with Claims(tmp_path) as claims, Claims(tmp_path) as other:
        other.take("13")
        with claims.free({"12", "13"}) as free:
            assert not free
        assert listing(tmp_path) == ["13"]
        other.release("13")
        with claims.free({"12", "13"}) as free:
            assert free
            assert not other.take("13")
        assert listing(tmp_path) == []


def test_a_name_as_long_as_a_file_may_have_is_claimed_and_taken_over(tmp_path: Path) -> None:
    name = "ä" * 127
    with Claims(tmp_path) as claims, Claims(tmp_path) as other:
        plant(tmp_path, file_of(name))
        assert claims.take(name)
        assert not other.take(name)
        assert other.take("ä" * 126)


def test_a_lock_keeps_others_out(tmp_path: Path) -> None:
    count = 0

    def add(claims: Claims) -> None:
        nonlocal count
        for _ in range(20):
            with claims.lock(".index"):
                seen = count
                time.sleep(0.0005)
                count = seen + 1

    threads = [threading.Thread(target=add, args=[Claims(tmp_path)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count == 60


def test_what_the_dead_left_is_removed_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims_module, "SETTLED", 0.01)
    plant(tmp_path, f"12.break.77.{'0' * 32}")  # killed while it took over
    plant(tmp_path, f"12.dead.{'1' * 32}")
    plant(tmp_path, "12")
    plant(tmp_path, "13", boot=7)
    with Claims(tmp_path):
        assert listing(tmp_path) == ["13"]
