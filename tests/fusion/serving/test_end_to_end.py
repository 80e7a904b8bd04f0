"""`fusion.serve` as a process, with the packaged model, against `fusion.predict`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from fusion import predict
from tests.fusion.serving.conftest import files_of, posted, until
from tests.media import face_frame, write_video

ROOT = Path(__file__).parents[3]
pytestmark = pytest.mark.slow


@contextmanager
def serving(folder: Path, *more: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    """The command in a process of its own, and a client; killed at the end if it still runs."""
    words = [sys.executable, "-m", "fusion.serve", "--folder", str(folder), "--port", "0", *more]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().split(",")[0]
        with httpx.Client(base_url=url, timeout=60) as client:
            yield client, process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def noisy_clip(path: Path) -> bytes:
    """Half a second of a face, and of noise."""
    sound = np.random.default_rng(0).normal(0, 0.1, 22_050).astype(np.float32)
    frames = [face_frame(192, 160, [(90 + i, 80)], size=110) for i in range(6)]
    return write_video(path, frames, fps=12, sound=sound).read_bytes()


def test_results_are_the_files_of_the_command_line_though_the_server_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    served, body = tmp_path / "served", noisy_clip(tmp_path / "a.mp4")
    with serving(served) as (client, process):
        name = posted(client, body)
        until(client, name, "running")
        process.send_signal(signal.SIGKILL)
        process.wait()
    with serving(served, "--overlay", "true") as (client, process):
        over = time.monotonic() + 120
        while (job := client.get(f"/jobs/{name}").json())["state"] != "done":
            assert time.monotonic() < over
            assert job["state"] in ("queued", "running"), job
            time.sleep(0.2)
        got = {one["name"]: client.get(one["url"]).content for one in job["files"]}
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert process.stdout is not None
        assert process.stdout.read().endswith("stopped; what waits goes on at the next start\n")
    assert files_of(served) == [f"jobs/{name}/out/{one}" for one in sorted(got)]

    clip, out = served / "jobs" / name / "clip", tmp_path / "out"
    clip.write_bytes(body)  # the file says where its source lay
    for kind in ("parquet", "csv"):
        words = [str(clip), "--out", str(out), "--format", kind, "--workers", "0"]
        with pytest.raises(SystemExit) as stop:
            predict.main(argv=words)
        assert stop.value.code == 0
    said = capsys.readouterr().out
    own = {"clip.parquet", "clip.csv", "clip.csv.json"}
    assert set(got) == own | {"summary.txt", "report.html", "overlay.mp4"}
    for one in own:
        assert got[one] == (out / one).read_bytes(), one
    assert got["report.html"].startswith(b"<!doctype html>")
    assert str(tmp_path).encode() not in got["report.html"]
    assert got["overlay.mp4"][4:8] == b"ftyp"
    assert got["summary.txt"].decode() in said
