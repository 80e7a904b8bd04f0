from pathlib import Path

import numpy as np
import pytest
import torch

from features.store.track_store import TrackStore
from fusion.inference.checkpoint import Checkpoint, load_checkpoint
from fusion.inference.predictor import clips_of_store, predict_clips
from fusion.inference.uncertainty import derived_measures, measures_of
from fusion.postprocess.decision import Decision, RawScores
from fusion.tasks.clips import Clip
from fusion.tasks.labels import FrameLabels
from fusion.tasks.registry import default_tasks, make_tasks
from tests.fusion.test_tune import write_checkpoint
from tests.fusion.tiny import write_corpus

CLIP = Clip("talk", "talk", "test", FrameLabels(0), "talk")


def raw(samples: list[np.ndarray]) -> RawScores:
    scores = {"expr": np.zeros((3, 8), np.float32)}
    drawn = [{"expr": one} for one in samples]
    return RawScores(CLIP, np.arange(3) / 25, np.ones(3, bool), scores, drawn)


def test_draws_that_agree_leave_no_doubt_and_those_that_differ_do() -> None:
    tasks = make_tasks({"expr": None})
    decision, happy = Decision.neutral(tasks), np.zeros((3, 8), np.float32)
    happy[1, 4] = 20.0
    alike = raw([np.zeros((3, 8), np.float32)] * 4)
    values = decision.apply(alike)
    sure = measures_of(decision, alike, values)["uncertainty"]
    assert sure.names[:2] == ("Neutral_sd", "Anger_sd")
    assert sure.names[-2:] == ("valence_sd", "arousal_sd")
    np.testing.assert_allclose(sure.values, 0, atol=1e-6)
    torn = raw([np.zeros((3, 8), np.float32), happy])
    doubt = measures_of(decision, torn, values)["uncertainty"].values
    assert doubt[1, 4] > 0.4
    assert doubt[1, -2] > 0.3
    np.testing.assert_allclose(doubt[[0, 2]], 0, atol=1e-6)


def test_without_draws_there_is_no_column_of_uncertainty() -> None:
    tasks = make_tasks({"expr": None})
    decision = Decision.neutral(tasks)
    one = raw([])
    assert list(measures_of(decision, one, decision.apply(one))) == ["va"]


def test_what_is_learnt_is_not_derived_as_well() -> None:
    tasks = default_tasks()
    values = {name: np.zeros((2, len(task.columns)), np.float32) for name, task in tasks.items()}
    assert derived_measures(tasks, values) == {}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("uncertain"))


@pytest.fixture(scope="module")
def checkpoint(root: Path) -> Checkpoint:
    return load_checkpoint(write_checkpoint(root, root / "best.ckpt"), "cpu")


def test_draws_are_repeatable_and_change_neither_values_nor_the_state_of_chance(
    root: Path, checkpoint: Checkpoint
) -> None:
    store = TrackStore(root / "tracks")
    clips = clips_of_store(store)[:2]
    plain = list(predict_clips(checkpoint, store, clips))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = list(predict_clips(checkpoint, store, clips, draws=3))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)  # chance elsewhere is no matter
    second = list(predict_clips(checkpoint, store, clips, draws=3))
    for a, b, c in zip(plain, first, second, strict=True):
        assert "uncertainty" not in a.measures
        for name, values in a.values.items():
            np.testing.assert_array_equal(values, b.values[name])
        spread = b.measures["uncertainty"]
        assert {"valence_sd", "Neutral_sd", "AU1_sd"} <= set(spread.names)
        assert (spread.values > 0).any(axis=0).all()
        np.testing.assert_array_equal(spread.values, c.measures["uncertainty"].values)
