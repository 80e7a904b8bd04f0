"""Shards: every source in exactly one, alike in cost, the same in every process."""

import json
import random
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st

from features.errors import UserError
from features.execution import sharding as shards_module
from features.execution.sharding import Extent, extent_of, in_shard
from features.media import frame_times
from features.pipeline.discovery import Source, find_sources
from features.pipeline.source_hashes import SourceHashes
from tests.media import plain_frames, tone, write_sound, write_video


def with_costs(costs: list[float], monkeypatch: pytest.MonkeyPatch) -> list[Source]:
    """Sources that cost so many frames."""
    frames = {str(i): Extent(frames=round(cost)) for i, cost in enumerate(costs)}
    monkeypatch.setattr(shards_module, "extent_of", lambda source: frames[source.id])
    return [Source(name, None, {}) for name in frames]


@options(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=40), st.integers(1, 9))
def test_every_source_is_in_one_shard_and_shards_are_alike(costs: list[float], n: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        sources = with_costs(costs, patch)
        parts = [in_shard(sources, f"{i + 1}/{n}") for i in range(n)]
        mixed = random.Random(0).sample(sources, len(sources))
        again = {source.id for source in in_shard(mixed, f"1/{n}")}
    ids = [source.id for part in parts for source in part]
    assert sorted(ids) == sorted(source.id for source in sources)
    loads = [sum(costs[int(source.id)] for source in part) for part in parts]
    assert max(loads) - min(loads) <= max(costs)
    assert again == {source.id for source in parts[0]}  # whatever order the folder is listed in


def test_one_long_video_weighs_as_much_as_many_short_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = with_costs([10] * 10 + [100], monkeypatch)
    assert sorted(len(in_shard(sources, f"{i}/2")) for i in (1, 2)) == [1, 10]


def test_sources_that_cost_nothing_are_dealt_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = with_costs([0, 0, 0, 0], monkeypatch)
    assert [len(in_shard(sources, f"{i}/2")) for i in (1, 2)] == [2, 2]


def test_without_a_shard_everything_is_done() -> None:
    sources = [Source("a", None, {}), Source("b", None, {})]
    assert in_shard(sources, None) == sources


@pytest.mark.parametrize("shard", ["0/8", "9/8", "a/b", "3", "1/0", "", "-1/4", "1/2/3", "1.0/2"])
def test_a_shard_that_makes_no_sense_is_refused(shard: str) -> None:
    with pytest.raises(UserError, match=r"^--shard .*give i/N with i from 1 to N"):
        in_shard([Source("a", None, {})], shard)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Videos and sounds of several kinds, one of them damaged."""
    write_video(tmp_path / "a.mp4", plain_frames(20), fps=10, sound=tone(2.0))
    write_video(tmp_path / "b.mkv", plain_frames(15), fps=10)
    write_video(tmp_path / "c.avi", plain_frames(7), fps=10, codec="mpeg4")
    write_sound(tmp_path / "d.wav", tone(3.0, 16_000), 16_000, "pcm_s16le")
    (tmp_path / "e.mp4").write_text("no video")
    for number in (1, 2, 5):
        path = tmp_path / "cropped_aligned" / "f_left" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    return tmp_path


def test_extents_come_from_the_headers(root: Path) -> None:
    extents = {source.id: extent_of(source) for source in find_sources(root)}
    for name in ("a.mp4", "b.mkv", "c.avi"):
        assert extents[name[0]].frames == pytest.approx(len(frame_times(root / name)), abs=1)
    assert extents["a"].sound == pytest.approx(2.0, abs=0.1)
    assert extents["b"].sound == 0
    assert extents["d"] == Extent(0, pytest.approx(3.0, abs=0.01))
    assert extents["e"] == Extent()
    assert extents["f"] == Extent(3)


def test_other_processes_deal_alike(root: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from features.execution.sharding import *;"
        "from features.pipeline.discovery import find_sources;"
        "print(*(s.id for s in in_shard(find_sources(Path(sys.argv[1])), '1/2')))"
    )
    command = [sys.executable, "-c", code, str(root)]
    there = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert there == [source.id for source in in_shard(find_sources(root), "1/2")]


def test_runs_of_several_shards_keep_each_others_hashes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    memory = tmp_path / "sources.json"
    one, other = SourceHashes(memory), SourceHashes(memory)
    one.of(tmp_path / "a")
    one.save()
    other.of(tmp_path / "b")
    other.save()
    assert {Path(name).name for name in json.loads(memory.read_text())} == {"a", "b"}
    memory.write_text("{cut")
    assert SourceHashes(memory).of(tmp_path / "a") == one.of(tmp_path / "a")
