"""Few uploads to a quick service: kills lose no job, and no file is left."""

import sys
from pathlib import Path

import pytest

from experiments.benchmarks.service_load import ServiceLoadSettings, command
from tests.media import tone, write_sound

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")


def test_kills_lose_no_job(tmp_path: Path) -> None:
    clip = write_sound(tmp_path / "a.wav", tone(0.1, 8000), 8000, "pcm_s16le")
    server = [sys.executable, "-m", "tests.fusion.serving.light_server"]
    out = tmp_path / "page.md"
    settings = ServiceLoadSettings(clip, uploads=9, clients=3, server=server, out=out)
    assert command(settings) == 0
    text = out.read_text()
    assert "| good; done | 7; 7 |" in text
    assert "| files left after all jobs were deleted | 0 |" in text
