"""train_speed: what it holds ours against, and the page."""

import itertools

import numpy as np
import pytest
import torch

from experiments.benchmarks import train_speed
from experiments.benchmarks.train_speed import (
    CEILING,
    LFAN,
    NAIVE,
    OURS,
    Settings,
    Size,
    measure_size,
    page,
)
from experiments.benchmarks.train_speed_parts import (
    LeaderFollowerModel,
    WholeTrack,
    in_memory,
    make_data,
    naive,
    write_corpus,
)
from features.errors import UserError
from fusion.streams.clip_streams import Rows
from tests.fusion.batches import batch

DIMS = {"visual": 4, "audio": 3}


@pytest.fixture
def data(tmp_path):
    made = make_data(*write_corpus(tmp_path, 1500, DIMS), DIMS, 2)
    made.setup("fit")
    return made


def test_the_stand_in_has_lfans_size_and_looks_at_no_later_frame():
    model = LeaderFollowerModel({"visual": 512, "audio": 768}).eval()
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(4.85e6, rel=0.02)
    first = batch(1, 40, {"visual": 512, "audio": 768})
    before = model(first).va
    first.streams["audio"][:, 30:] += 1.0
    after = model(first).va
    torch.testing.assert_close(after[:, :30], before[:, :30])
    assert not torch.allclose(after[:, 30:], before[:, 30:])


def test_the_naive_loader_gives_the_same_windows_in_the_same_order(data):
    both = zip(naive(data), data.train_dataloader(), strict=False)
    for wasteful, ours in itertools.islice(both, 2):
        for name in DIMS:
            torch.testing.assert_close(wasteful.streams[name], ours.streams[name])
        torch.testing.assert_close(wasteful.start, ours.start)


def test_a_slice_of_a_whole_track_reads_all_of_it(data, monkeypatch):
    rows = data.datasets["train"].streams[0].streams["visual"]
    expected, read = rows[5:9], []
    whole = Rows.__getitem__
    monkeypatch.setattr(
        Rows, "__getitem__", lambda self, part: read.append(part) or whole(self, part)
    )
    np.testing.assert_array_equal(WholeTrack(rows.path, rows.shape)[5:9], expected)
    assert read == [slice(None)]


def test_batches_in_memory_come_round_again(data):
    batches = in_memory(data, 2)
    first, _, third = (next(batches) for _ in range(3))
    assert third is first


def test_a_corpus_of_any_size_has_its_frames_and_both_splits(tmp_path):
    clips, store = write_corpus(tmp_path, 30_000, DIMS)
    assert sum(len(clip.labels) for clip in clips) == pytest.approx(30_000, rel=0.01)
    assert {clip.split for clip in clips} == {"train", "validation"}
    assert store.read("visual", clips[0].id).values.dtype == np.float16


def test_a_size_is_measured_over_several_epochs(tmp_path):
    size = measure_size(Settings(measure=1500, steps=2, batch=2), tmp_path)
    assert size.rate > 0
    assert len(size.resident) == train_speed.SIZE_EPOCHS
    assert min(size.resident) > 50
    assert min(size.opened, size.fitted, size.shuffled) > 0


def test_the_page_tells_ratios_within_rounds_and_whether_targets_are_met():
    rounds = [
        {OURS: ours, CEILING: ours / 0.96, NAIVE: ours / 2, LFAN: ours / 4} for ours in (10, 50, 90)
    ]
    text = page(Settings(rounds=3), rounds, [Size(100, 1.0, 0.5, 0.001, 7.0, [10.0, 10.0])])
    assert "| 0.960 | 0.960 to 0.960 | at least .95 | yes |" in text
    assert "| 4.00 | 4.00 to 4.00 | at least 5 | no |" in text
    assert "| 100 | 1.00 | 0.50 | 1.0 | 7 | 10, 10 |" in text
    assert "    python -m experiments.benchmarks.train_speed --rounds 3\n" in text


def test_fewer_than_three_rounds_are_refused():
    with pytest.raises(UserError, match="--rounds"):
        train_speed.command(Settings(rounds=2))
