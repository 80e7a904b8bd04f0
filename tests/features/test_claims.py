"""Claims: one owner a name, dead owners are succeeded, living ones are not."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from features import claims as claims_module
from features.claims import FOLDER, STALE, Claims, Owner


def me() -> Owner:
    pid = os.getpid()
    return Owner(claims_module._host(), pid, claims_module._started(pid) or "")


def plant(store: Path, name: str, owner: Owner | None, age: float = 0.0) -> Path:
    """A claim of somebody else; an empty one if there is no owner."""
    path = store / FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("" if owner is None else json.dumps(asdict(owner)))
    os.utime(path, (time.time() - age,) * 2)
    return path


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_name_has_one_owner_until_it_is_given_back(tmp_path: Path) -> None:
    with Claims(tmp_path) as one, Claims(tmp_path) as other:
        assert one.take("12")
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


def test_the_claim_of_a_dead_process_is_taken_over_at_once(tmp_path: Path) -> None:
    with Claims(tmp_path) as claims:
        plant(tmp_path, "12", replace(me(), pid=dead_pid()))
        plant(tmp_path, "13", replace(me(), started="1"))  # its number was used again
        assert claims.take("12")
        assert claims.take("13")
        assert sorted(p.name for p in (tmp_path / FOLDER).iterdir()) == ["12", "13"]


def test_a_living_process_keeps_its_claim_however_old(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        owner = replace(me(), pid=other.pid, started=claims_module._started(other.pid) or "")
        plant(tmp_path, "12", owner, age=10 * STALE)
        with Claims(tmp_path) as claims:
            assert not claims.take("12")
            other.kill()
            while claims_module._started(other.pid) is not None:  # a zombie counts as dead
                time.sleep(0.01)
            assert claims.take("12")


def test_another_hosts_claim_is_taken_over_when_it_is_no_longer_renewed(tmp_path: Path) -> None:
    far = Owner("elsewhere", 1, "1")
    with Claims(tmp_path) as claims:
        plant(tmp_path, "fresh", far, age=STALE - 60)
        plant(tmp_path, "stale", far, age=STALE + 60)
        assert not claims.take("fresh")
        assert claims.take("stale")
    assert (tmp_path / FOLDER / "fresh").exists()


@pytest.mark.parametrize("content", ["", "no claim", "[]", '{"host": 1}'])
def test_a_claim_that_says_nothing_is_dead(
    tmp_path: Path, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims_module, "UNWRITTEN", 0.1)
    with Claims(tmp_path) as claims:
        plant(tmp_path, "12", None).write_text(content)
        assert claims.take("12")


def test_a_claim_that_is_just_being_written_is_waited_for(tmp_path: Path) -> None:
    owner = json.dumps(asdict(Owner("elsewhere", 1, "1")))
    with Claims(tmp_path) as claims:
        path = plant(tmp_path, "12", None)
        writer = threading.Timer(0.1, path.write_text, [owner])
        writer.start()
        assert not claims.take("12")
    writer.join()


def test_of_many_takers_of_a_dead_claim_one_gets_it(tmp_path: Path) -> None:
    names = [str(i) for i in range(40)]
    for name in names:
        plant(tmp_path, name, replace(me(), started="1"))
    start, got = threading.Barrier(4), list[str]()

    def take_all(claims: Claims) -> None:
        start.wait()
        got.extend(name for name in names if claims.take(name))

    takers = [Claims(tmp_path) for _ in range(4)]
    threads = [threading.Thread(target=take_all, args=[claims]) for claims in takers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(names)
    assert len(list((tmp_path / FOLDER).iterdir())) == len(names)


def test_one_that_was_killed_in_taking_over_blocks_nobody(tmp_path: Path) -> None:
    with Claims(tmp_path) as claims:
        plant(tmp_path, "12", replace(me(), started="1"))
        plant(tmp_path, ".dead.12", replace(me(), started="1"))
        assert not claims.take("12")  # finds the lock of the dead
        assert claims.take("12")


def test_a_claim_is_not_removed_while_another_does_so(tmp_path: Path) -> None:
    with Claims(tmp_path) as claims:
        plant(tmp_path, "12", replace(me(), started="1"))
        plant(tmp_path, ".dead.12", me())
        assert not claims.take("12")
        assert not claims.take("12")


def test_a_faster_takers_claim_stays(tmp_path: Path) -> None:
    path = plant(tmp_path, "12", Owner("elsewhere", 1, "1"))
    content = path.read_bytes()
    assert not Claims(tmp_path)._removed(path, b"what the dead one said")
    assert path.read_bytes() == content


def test_a_claim_that_others_took_over_stays_theirs(tmp_path: Path) -> None:
    with Claims(tmp_path) as claims:
        claims.take("12")
        path = plant(tmp_path, "12", Owner("elsewhere", 1, "1"))
    assert path.exists()


def test_claims_are_renewed_while_their_owner_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims_module, "BEAT", 0.01)
    with Claims(tmp_path) as claims:
        claims.take("12")
        path = tmp_path / FOLDER / "12"
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 5
        while path.stat().st_mtime < 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert time.time() - path.stat().st_mtime < 60


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


def test_what_the_dead_left_is_removed_at_the_start(tmp_path: Path) -> None:
    plant(tmp_path, ".dead.1234", replace(me(), started="1"))
    plant(tmp_path, "12", replace(me(), started="1"))
    plant(tmp_path, "13", me())
    with Claims(tmp_path):
        assert [path.name for path in (tmp_path / FOLDER).iterdir()] == ["13"]
