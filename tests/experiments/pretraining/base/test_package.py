from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments.pretraining.base.package_base import (
    STEADY,
    changes_a_second,
    steady,
    write_package,
)
from fusion.inference.checkpoint import load_checkpoint
from fusion.postprocess.decision import Decision, RawScores
from fusion.tasks.clips import Clip
from fusion.tasks.deciding.smoothing import NONE, Smoothing
from fusion.tasks.labels import FrameLabels
from fusion.tasks.registry import make_tasks
from tests.fusion.test_tune import write_checkpoint
from tests.fusion.tiny import write_corpus

CLIP = Clip("talk", "talk", "test", FrameLabels(0), "talk")
NEUTRAL = Decision.neutral(make_tasks({"expr": None}))


def flickering(every: int) -> RawScores:
    """Ten seconds in which one frame of so many shows another expression."""
    scores = np.zeros((250, 8), np.float32)
    scores[:, 4] = 1
    scores[::every, 3] = 1.5
    return RawScores(CLIP, np.arange(250) / 25, np.ones(250, bool), {"expr": scores})


def test_changes_are_counted_by_the_second() -> None:
    assert changes_a_second(NEUTRAL, flickering(25)) == 19 / 9.96  # there and back, ten times


def test_the_narrowest_smoothing_that_is_steady_is_taken() -> None:
    assert steady(NEUTRAL, [flickering(250)]).smoothing == NONE
    chosen = steady(NEUTRAL, [flickering(10)])
    assert chosen.smoothing == Smoothing("box", 0.2)
    smoothed = replace(NEUTRAL, by_task={"expr": chosen})
    assert changes_a_second(smoothed, flickering(10)) <= STEADY
    assert chosen.temperature == 1


def test_a_package_predicts_as_its_checkpoint_and_names_no_place(tmp_path: Path) -> None:
    root = write_corpus(tmp_path / "corpus")
    full = write_checkpoint(root, tmp_path / "best.ckpt", corpus="a corpus", content={"1": "x"})
    model = load_checkpoint(full, "cpu")
    write_package(full, tmp_path / "small.ckpt", model.decision)
    small = load_checkpoint(tmp_path / "small.ckpt", "cpu")
    assert small.specs == model.specs
    assert small.provenance == {"corpus": "a corpus"}
    assert str(tmp_path).encode() not in (tmp_path / "small.ckpt").read_bytes()
    for ours, theirs in zip(
        small.network.model.parameters(), model.network.model.parameters(), strict=True
    ):
        np.testing.assert_allclose(ours.detach(), theirs.detach(), atol=1e-3, rtol=1e-3)
