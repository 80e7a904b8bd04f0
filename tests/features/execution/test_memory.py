"""Long recordings take little more memory than short ones: what is large lies on disk, what is
free goes back to the system."""

import platform
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from features.encoders.audio.chunking import joined_on_disk
from features.execution import worker
from tests.media import plain_frames, write_video

ROOT = Path(__file__).parents[3]
MIB = 1 << 20
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="no /proc here")


def resident() -> int:
    """Bytes of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@LINUX
def test_what_is_joined_on_disk_takes_no_memory_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = resident()
    joined = joined_on_disk((np.ones((4096, 256), np.float32) for _ in range(64)), 256, np.float32)
    assert joined.nbytes == 256 * MIB
    assert resident() - before < 64 * MIB
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc is not glibc's")
def test_free_memory_between_what_is_in_use_is_given_back() -> None:
    blocks = [b"x" * 4000 + bytes([number % 256]) for number in range(1 << 15)]
    kept = blocks[::1000]
    full = resident()
    blocks.clear()
    worker._trim()
    assert full - resident() > 100 * MIB
    assert len(kept) == 33


def test_a_worker_gives_memory_back_until_its_parent_is_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    happened: list[str] = []
    answers = iter([[], [], ["dead"]])
    monkeypatch.setattr(worker, "parent_process", lambda: SimpleNamespace(sentinel=0))
    monkeypatch.setattr(worker, "wait", lambda _, seconds: next(answers))
    monkeypatch.setattr(worker, "_trim", lambda: happened.append("trim"))
    monkeypatch.setattr("os._exit", lambda status: happened.append(f"exit {status}"))
    worker._trim_and_end_with_parent()
    assert happened == ["trim", "trim", "exit 1"]


@LINUX
def test_the_clock_of_a_large_video_is_read_without_keeping_its_packets(tmp_path: Path) -> None:
    images = plain_frames(1, 512, 768) * 240
    path = write_video(tmp_path / "large.nut", images, codec="rawvideo")
    assert path.stat().st_size > 128 * MIB
    script = (
        "import sys; from pathlib import Path; from features.media import frame_times\n"
        "def peak():\n"
        "    text = Path('/proc/self/status').read_text()\n"
        "    return int(text.split('VmHWM:')[1].split()[0])\n"
        "before = peak()\n"
        "assert len(frame_times(Path(sys.argv[1]))) == 240\n"
        "print(peak() - before)"
    )
    words = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    assert int(done.stdout) < 64 << 10  # KiB
