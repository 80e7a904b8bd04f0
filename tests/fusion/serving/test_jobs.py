"""What becomes of a job: states, progress, cancelling, expiry, crashes, restarts."""

import os
import sqlite3
import time
from pathlib import Path

import pytest

from features.errors import UserError
from tests.fusion.serving.conftest import Client, Start, files_of, posted, until


def order(folder: Path, what: str) -> None:
    (folder / "order").write_text(what)


def begun(folder: Path) -> list[list[str]]:
    path = folder / "begun"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def begun_jobs(folder: Path, count: int) -> list[list[str]]:
    over = time.monotonic() + 20
    while len(begun(folder)) < count:
        assert time.monotonic() < over
        time.sleep(0.05)
    return begun(folder)


def is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    return True


def test_an_upload_becomes_a_job_that_is_followed_to_its_result(
    client: Client, clip: bytes, tmp_path: Path
) -> None:
    answer = client.post("/jobs", content=clip)
    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["location"] == f"/jobs/{job['id']}"
    assert job["state"] == "queued"
    with client.stream("GET", f"/jobs/{job['id']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = list(stream.iter_lines())
    assert lines[-3].startswith("event: done")
    done = client.get(f"/jobs/{job['id']}").json()
    assert [one["name"] for one in done["files"]] == ["summary.txt"]
    result = client.get(done["files"][0]["url"])
    assert result.text == f"{len(clip)} bytes\n"
    assert result.headers["content-disposition"] == 'attachment; filename="summary.txt"'
    assert files_of(tmp_path / "served") == [f"jobs/{job['id']}/out/summary.txt"]


def test_progress_is_told_while_it_runs(client: Client, clip: bytes, tmp_path: Path) -> None:
    order(tmp_path, "wait")
    name = posted(client, clip)
    job = until(client, name, "running")
    over = time.monotonic() + 20
    while not job["stage"]:
        assert time.monotonic() < over
        job = client.get(f"/jobs/{name}").json()
    assert (job["stage"], job["share"]) == ("extract", 0.5)
    client.delete(f"/jobs/{name}")


def test_cancelling_kills_the_work_and_removes_all_files(
    client: Client, clip: bytes, tmp_path: Path
) -> None:
    order(tmp_path, "wait")
    running, waiting = posted(client, clip), posted(client, clip)
    ((name, pid, _),) = begun_jobs(tmp_path, 1)
    assert name == running
    assert client.get(f"/jobs/{waiting}").json()["before"] == 0
    for one in (waiting, running):
        assert client.delete(f"/jobs/{one}").json()["state"] == "cancelled"
    assert not is_alive(pid)
    assert files_of(tmp_path / "served") == []
    order(tmp_path, "done")
    until(client, posted(client, clip), "done")  # and a new process goes on


def test_what_is_done_can_be_deleted_and_is_then_gone(
    client: Client, clip: bytes, tmp_path: Path
) -> None:
    name = posted(client, clip)
    (file,) = until(client, name, "done")["files"]
    assert client.delete(f"/jobs/{name}").json()["state"] == "expired"
    assert client.get(file["url"]).status_code == 410
    assert files_of(tmp_path / "served") == []
    assert client.delete(f"/jobs/{name}").json()["state"] == "expired"


def test_results_expire_and_their_files_are_gone(
    started: Start, clip: bytes, tmp_path: Path
) -> None:
    with started(keep=0.5) as client:
        name = posted(client, clip)
        until(client, name, "expired")
        assert files_of(tmp_path / "served") == []
        assert list((tmp_path / "served/jobs").iterdir()) == []


def test_a_fault_of_the_upload_is_told_without_the_services_paths(
    client: Client, clip: bytes, tmp_path: Path
) -> None:
    order(tmp_path, "refuse")
    job = until(client, posted(client, clip), "failed")
    assert job["cause"] == "clip: its sound is bad"
    assert files_of(tmp_path / "served") == []


def test_a_fault_of_the_program_is_logged_and_not_told(
    client: Client, clip: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    order(tmp_path, "fault")
    job = until(client, posted(client, clip), "failed")
    assert job["cause"] == "a fault of the service, which its log tells; the upload may be fine"
    assert "RuntimeError: a fault in" in caplog.text


def test_a_process_that_dies_is_replaced_and_the_job_fails_after_three_times(
    client: Client, clip: bytes, tmp_path: Path
) -> None:
    order(tmp_path, "die")
    name = posted(client, clip)
    assert until(client, name, "failed")["cause"].endswith("died 3 times")
    assert len({pid for _, pid, _ in begun(tmp_path)}) == 3
    order(tmp_path, "done")
    until(client, posted(client, clip), "done")


def test_a_job_that_takes_too_long_is_ended(started: Start, clip: bytes, tmp_path: Path) -> None:
    order(tmp_path, "wait")
    with started(job_time=1.0) as client:
        assert until(client, posted(client, clip), "failed")["cause"] == "took longer than 1 s"


def test_a_restart_goes_on_with_running_and_waiting_jobs_in_order(
    started: Start, clip: bytes, tmp_path: Path
) -> None:
    order(tmp_path, "wait")
    with started() as client:
        names = [posted(client, clip) for _ in range(3)]
        begun_jobs(tmp_path, 1)
    order(tmp_path, "done")
    with started() as client:
        for name in names:
            until(client, name, "done")
    assert [name for name, _, _ in begun(tmp_path)] == [names[0], *names]


def test_stops_do_not_count_as_attempts_but_kills_do(
    started: Start, clip: bytes, tmp_path: Path
) -> None:
    order(tmp_path, "wait")
    with started() as client:
        name = posted(client, clip)
        begun_jobs(tmp_path, 1)
    base = sqlite3.connect(tmp_path / "served/jobs.sqlite")
    assert base.execute("SELECT state, attempts FROM jobs").fetchall() == [("queued", 0)]
    with base:
        base.execute("UPDATE jobs SET state = 'running', attempts = 3")
    base.close()
    with started() as client:  # a job that killed three services
        assert client.get(f"/jobs/{name}").json()["cause"].endswith("died 3 times")
        assert files_of(tmp_path / "served") == []


def test_several_processes_work_at_a_time_on_cores_of_their_own(
    started: Start, clip: bytes, tmp_path: Path
) -> None:
    order(tmp_path, "wait")
    with started(workers=2) as client:
        for _ in range(2):
            posted(client, clip)
        pids = [int(pid) for _, pid, _ in begun_jobs(tmp_path, 2)]
        cores = [os.sched_getaffinity(pid) for pid in pids]
    assert cores[0] | cores[1] == os.sched_getaffinity(0)
    assert len(os.sched_getaffinity(0)) == 1 or not cores[0] & cores[1]


def test_a_start_removes_what_a_killed_service_left(
    started: Start, clip: bytes, tmp_path: Path
) -> None:
    with started() as client:
        name = posted(client, clip)
        until(client, name, "done")
    served = tmp_path / "served"
    (served / "incoming" / ("0" * 32)).write_text("half an upload")
    (served / "jobs" / ("1" * 32)).mkdir()
    (served / "jobs" / ("1" * 32) / "clip").write_text("an upload that was not yet a job")
    (served / "jobs" / name / "clip").write_text("of a job that was killed at its end")
    with started():
        assert files_of(served) == [f"jobs/{name}/out/summary.txt"]


def test_two_services_never_share_a_folder(started: Start) -> None:
    with started(), pytest.raises(UserError, match="another service works in it"), started():
        pass
