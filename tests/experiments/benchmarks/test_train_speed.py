"""train_speed: what it holds ours against, and the page."""

import numpy as np
import pytest
import torch

from experiments.benchmarks import train_speed
from experiments.benchmarks.train_speed import (
    CEILING,
    LFAN,
    OURS,
    Settings,
    page,
)
from experiments.benchmarks.train_speed_parts import (
    LeaderFollowerModel,
    Stepper,
    in_memory,
    make_data,
    our_loop,
    write_corpus,
)
from features.errors import UserError
from fusion.model.affect import AffectModel
from fusion.model.settings import ModelSettings
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
    before = model(first)["va"]
    first.streams["audio"][:, 30:] += 1.0
    after = model(first)["va"]
    torch.testing.assert_close(after[:, :30], before[:, :30])
    assert not torch.allclose(after[:, 30:], before[:, 30:])


def test_batches_in_memory_come_round_again(data):
    batches = in_memory(data, 2)
    first, _, third = (next(batches) for _ in range(3))
    assert third is first


def test_a_corpus_of_any_size_has_its_frames_and_both_splits(tmp_path):
    clips, store = write_corpus(tmp_path, 30_000, DIMS)
    assert sum(len(clip.labels) for clip in clips) == pytest.approx(30_000, rel=0.01)
    assert {clip.split for clip in clips} == {"train", "validation"}
    assert store.read("visual", clips[0].id).values.dtype == np.float16


def test_our_loop_is_timed_by_its_last_epoch(data, tmp_path):
    timing = our_loop(data, tmp_path / "run", epochs=2, steps=2)
    assert timing.amount == 4  # two steps of two windows
    assert min(timing.seconds, timing.processor) > 0


def test_a_stepper_counts_windows_and_learns(data):
    stepper = Stepper(AffectModel(ModelSettings(), DIMS))
    before = [p.detach().clone() for p in stepper.model.parameters()]
    assert stepper.steps(in_memory(data, 1), 3).amount == 6
    assert any(
        not torch.equal(a, b) for a, b in zip(before, stepper.model.parameters(), strict=True)
    )


def test_the_page_tells_ratios_within_rounds_and_whether_targets_are_met():
    rounds = [{OURS: ours, CEILING: ours / 0.96, LFAN: ours / 4} for ours in (10, 50, 90)]
    text = page(Settings(rounds=3), rounds)
    assert "| 0.960 | 0.960 to 0.960 | at least 0.95 | yes |" in text
    assert "| 4.000 | 4.000 to 4.000 | at least 5 | no |" in text
    assert "| our loop | 50.0 | 10.0 to 90.0 |" in text
    assert "    python -m experiments.benchmarks.train_speed --rounds 3\n" in text


def test_fewer_than_three_rounds_are_refused():
    with pytest.raises(UserError, match="--rounds"):
        train_speed.command(Settings(rounds=2))
