"""A decision: what it makes of scores, and that it survives as plain values."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, softmax

from fusion.postprocess.decision import Decision, RawScores
from fusion.tasks.au import UNITS
from fusion.tasks.deciding.binary import BinaryDecision
from fusion.tasks.deciding.classes import ClassesDecision
from fusion.tasks.deciding.interface import TaskDecision
from fusion.tasks.deciding.smoothing import Smoothing, smooth
from fusion.tasks.registry import make_tasks
from tests.fusion.classic import TASKS, split_columns
from tests.fusion.small_corpora import clip

SMOOTHED = Smoothing("savgol", 1.0, interpolate=True)
WITH_COMPOUND = make_tasks(dict.fromkeys(("va", "expr", "au", "compound")))


def decided(tasks=TASKS, **by_task) -> Decision:
    """A decision of some tasks, neutral in the others."""
    return Decision(tasks, {**Decision.neutral(tasks).by_task, **by_task})


CHOSEN = decided(
    va=TaskDecision(SMOOTHED),
    expr=ClassesDecision(Smoothing("median", 0.5), 2.0, (1.0, -1.0, 0.5, 0, 0, 0, 0, -0.5)),
    au=BinaryDecision(
        Smoothing("box", 0.4, interpolate=True), tuple(np.linspace(0.1, 0.9, 12).tolist())
    ),
)
CHOSEN_WITH_COMPOUND = Decision.from_state(CHOSEN.state(), WITH_COMPOUND)


def raw(frames: int = 50, seed: int = 0) -> RawScores:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(frames, 22)) * 3
    scores[:, :2] = np.tanh(scores[:, :2])
    face = rng.random(frames) > 0.2
    columns = dict(split_columns(scores.astype(np.float32)))
    return RawScores(clip("1"), np.arange(frames) / 30, face, columns)


def test_the_neutral_decision_only_turns_logits_into_probabilities() -> None:
    one = raw()
    values = decided().apply(one)
    np.testing.assert_array_equal(values["va"], one.scores["va"])
    np.testing.assert_allclose(values["expr"], softmax(one.scores["expr"], axis=1), atol=1e-6)
    np.testing.assert_allclose(values["au"], expit(one.scores["au"]), atol=1e-6)
    np.testing.assert_array_equal(decided().thresholds()["au"], np.full(len(UNITS), 0.5))


def test_it_survives_as_plain_values() -> None:
    for decision in (decided(), CHOSEN):
        assert Decision.from_state(decision.state(), TASKS) == decision
        json.dumps(decision.state())  # refuses arrays, tensors and classes of ours


def test_temperature_flattens_and_bias_moves_the_class() -> None:
    one = raw()
    plain = decided().of("expr", one)
    flat = decided(expr=ClassesDecision(temperature=4.0)).of("expr", one)
    assert flat.max(axis=1).mean() < plain.max(axis=1).mean()
    np.testing.assert_array_equal(flat.argmax(axis=1), plain.argmax(axis=1))
    moved = decided(expr=ClassesDecision(bias=(0,) * 7 + (50.0,))).of("expr", one)
    assert (moved.argmax(axis=1) == 7).all()


def test_final_values_stay_in_their_ranges_where_a_parabola_overshoots() -> None:
    one = raw()
    for name, columns in one.scores.items():
        columns[:] = np.where(columns > 0, 30, -30) / (30 if name == "va" else 1)
    every = decided(
        va=TaskDecision(SMOOTHED),
        expr=ClassesDecision(SMOOTHED),
        au=replace(CHOSEN.by_task["au"], smoothing=SMOOTHED),
    )
    values = every.apply(one)
    assert abs(values["va"]).max() <= 1
    assert values["au"].min() >= 0
    assert values["au"].max() <= 1
    np.testing.assert_allclose(values["expr"].sum(axis=1), 1, atol=1e-5)


def test_a_task_is_smoothed_as_chosen_for_it_and_no_other() -> None:
    one, plain = raw(), decided().apply(raw())
    values = decided(au=CHOSEN.by_task["au"]).apply(one)
    np.testing.assert_array_equal(values["va"], plain["va"])
    np.testing.assert_array_equal(values["expr"], plain["expr"])
    moved, still = (abs(np.diff(each["au"], axis=0)).mean() for each in (values, plain))
    assert moved < still / 2


@pytest.mark.parametrize("task", ["va", "expr", "au"])
def test_scores_of_a_frame_without_a_face_reach_no_other_frame(task: str) -> None:
    one, other = raw(), raw()
    absent = np.flatnonzero(~one.face)[3]
    other.scores[task][absent] = np.arange(other.scores[task].shape[1]) / 22
    changed = CHOSEN.of(task, one) != CHOSEN.of(task, other)
    assert set(np.flatnonzero(changed.any(axis=1))) <= {absent}


def with_compound(frames: int = 50) -> RawScores:
    one, rng = raw(frames), np.random.default_rng(7)
    six = rng.normal(size=(frames, 6)).astype(np.float32) * 3
    return replace(one, scores={**one.scores, "compound": six})


def test_a_model_without_six_sigmoids_has_none_decided() -> None:
    assert "compound" not in decided().apply(raw())
    assert "compound" not in CHOSEN.apply(raw())


def test_sigmoids_become_probabilities_that_change_nothing_else() -> None:
    one = with_compound()
    values = CHOSEN_WITH_COMPOUND.apply(one)
    for name, plain in CHOSEN.apply(raw()).items():
        np.testing.assert_array_equal(values[name], plain)
    neutral = decided(WITH_COMPOUND).of("compound", one)
    assert neutral.dtype == np.float32
    np.testing.assert_allclose(neutral, expit(one.scores["compound"]), atol=1e-6)


def test_sigmoids_are_smoothed_as_expressions_are_without_their_bias() -> None:
    one = with_compound()
    said, six = CHOSEN_WITH_COMPOUND.of("compound", one), one.scores["compound"]
    expected = smooth(expit(six), one.times, one.face, CHOSEN.by_task["expr"].smoothing)
    np.testing.assert_allclose(said, expected, atol=1e-6)
    assert abs(said - expit(six))[one.face].max() > 0.1
    overshoot = replace(one, scores={**one.scores, "compound": np.where(six > 0, 30, -30)})
    values = decided(WITH_COMPOUND, compound=TaskDecision(SMOOTHED)).of("compound", overshoot)
    assert values.min() >= 0
    assert values.max() <= 1
