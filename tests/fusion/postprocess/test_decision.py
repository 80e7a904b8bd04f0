"""A decision: what it makes of scores, and that it survives as plain values."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, softmax

from fusion.postprocess.decision import AuDecision, Decision, ExprDecision, RawScores, VaDecision
from fusion.postprocess.smoothing import Smoothing, smooth
from fusion.tasks.labels import UNITS
from tests.fusion.small_corpora import clip

SMOOTHED = Smoothing("savgol", 1.0, interpolate=True)
CHOSEN = Decision(
    VaDecision(SMOOTHED),
    ExprDecision(Smoothing("median", 0.5), 2.0, (1.0, -1.0, 0.5, 0, 0, 0, 0, -0.5)),
    AuDecision(Smoothing("box", 0.4, interpolate=True), tuple(np.linspace(0.1, 0.9, 12).tolist())),
)


def raw(frames: int = 50, seed: int = 0) -> RawScores:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(frames, 22)) * 3
    scores[:, :2] = np.tanh(scores[:, :2])
    face = rng.random(frames) > 0.2
    return RawScores(clip("1"), np.arange(frames) / 30, face, scores.astype(np.float32))


def test_the_neutral_decision_only_turns_logits_into_probabilities() -> None:
    one = raw()
    va, expr, au, _ = Decision().apply(one)
    np.testing.assert_array_equal(va, one.scores[:, :2])
    np.testing.assert_allclose(expr, softmax(one.scores[:, 2:10], axis=1), atol=1e-6)
    np.testing.assert_allclose(au, expit(one.scores[:, 10:]), atol=1e-6)
    assert Decision().au.thresholds == (0.5,) * len(UNITS)


def test_it_survives_as_plain_values() -> None:
    for decision in (Decision(), CHOSEN):
        assert Decision.from_state(decision.state()) == decision
        json.dumps(decision.state())  # refuses arrays, tensors and classes of ours


def test_temperature_flattens_and_bias_moves_the_class() -> None:
    one = raw()
    plain = Decision().apply(one).expr
    flat = Decision(expr=ExprDecision(temperature=4.0)).apply(one).expr
    assert flat.max(axis=1).mean() < plain.max(axis=1).mean()
    np.testing.assert_array_equal(flat.argmax(axis=1), plain.argmax(axis=1))
    moved = Decision(expr=ExprDecision(bias=(0,) * 7 + (50.0,))).apply(one).expr
    assert (moved.argmax(axis=1) == 7).all()


def test_final_values_stay_in_their_ranges_where_a_parabola_overshoots() -> None:
    one = raw()
    one.scores[:] = np.where(one.scores > 0, 30, -30)
    one.scores[:, :2] /= 30
    every = Decision(VaDecision(SMOOTHED), ExprDecision(SMOOTHED), AuDecision(SMOOTHED))
    va, expr, au, _ = every.apply(one)
    assert abs(va).max() <= 1
    assert au.min() >= 0
    assert au.max() <= 1
    np.testing.assert_allclose(expr.sum(axis=1), 1, atol=1e-5)


def test_a_task_is_smoothed_as_chosen_for_it_and_no_other() -> None:
    one, plain = raw(), Decision().apply(raw())
    va, expr, au, _ = Decision(au=CHOSEN.au).apply(one)
    np.testing.assert_array_equal(va, plain.va)
    np.testing.assert_array_equal(expr, plain.expr)
    assert abs(np.diff(au, axis=0)).mean() < abs(np.diff(plain.au, axis=0)).mean() / 2


@pytest.mark.parametrize("task", [0, 1, 2])
def test_scores_of_a_frame_without_a_face_reach_no_other_frame(task: int) -> None:
    one, other = raw(), raw()
    absent = np.flatnonzero(~one.face)[3]
    other.scores[absent] = np.arange(22) / 22
    changed = CHOSEN.apply(one)[task] != CHOSEN.apply(other)[task]
    assert set(np.flatnonzero(changed.any(axis=1))) <= {absent}


def with_compound(frames: int = 50) -> RawScores:
    rng = np.random.default_rng(7)
    return replace(raw(frames), compound=rng.normal(size=(frames, 6)).astype(np.float32) * 3)


def test_a_model_without_six_sigmoids_has_none_decided() -> None:
    assert Decision().apply(raw()).compound is None
    assert CHOSEN.apply(raw()).compound is None


def test_sigmoids_become_probabilities_that_change_nothing_else() -> None:
    one = with_compound()
    decided = CHOSEN.apply(one)
    for changed, plain in zip(decided[:3], CHOSEN.apply(raw()), strict=False):
        np.testing.assert_array_equal(changed, plain)
    neutral = Decision().apply(one).compound
    assert neutral is not None
    assert neutral.dtype == np.float32
    np.testing.assert_allclose(neutral, expit(one.compound), atol=1e-6)


def test_sigmoids_are_smoothed_as_expressions_are_without_their_bias() -> None:
    one = with_compound()
    decided = CHOSEN.apply(one).compound
    smoothed = smooth(expit(one.compound), one.times, one.face, CHOSEN.expr.smoothing)
    np.testing.assert_allclose(decided, smoothed, atol=1e-6)
    assert abs(decided - expit(one.compound))[one.face].max() > 0.1
    overshoot = replace(one, compound=np.where(one.compound > 0, 30, -30))
    values = Decision(expr=ExprDecision(SMOOTHED)).apply(overshoot).compound
    assert values.min() >= 0
    assert values.max() <= 1
