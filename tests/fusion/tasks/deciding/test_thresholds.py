"""Thresholds, temperature and class bias: the best there is, found by counting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from fusion.metrics.official import macro_f1
from fusion.tasks.deciding.thresholds import (
    BIASES,
    best_bias,
    best_temperature,
    best_threshold,
    best_thresholds,
    log_probabilities,
)


def f1(truth: np.ndarray, on: np.ndarray) -> float:
    both = int((truth & on).sum())
    return 2 * both / max(int(truth.sum() + on.sum()), 1)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=30),
    st.sampled_from((6, 50)),
)
def test_no_threshold_is_better_than_the_chosen_one(
    rows: list[tuple[int, bool]], levels: int
) -> None:
    scores = np.array([score for score, _ in rows], np.float32) / np.float32(levels)
    truth = np.array([on for _, on in rows])
    chosen = f1(truth, scores >= np.float32(best_threshold(scores, truth)))
    assert chosen == max(f1(truth, scores >= cut) for cut in scores)


def test_a_threshold_lies_between_the_scores_it_parts_also_if_they_are_neighbours() -> None:
    low = np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    scores, truth = np.array([low, high, low], np.float32), np.array([False, True, False])
    np.testing.assert_array_equal(scores >= np.float32(best_threshold(scores, truth)), truth)
    wide = np.array([0.2, 0.6, 0.2], np.float32)
    assert best_threshold(wide, truth) == pytest.approx(0.4)


def test_a_unit_that_is_never_on_keeps_its_threshold_and_masked_elements_do_not_count() -> None:
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], np.float32)
    truth = np.array([[1, 0], [1, 1], [0, 0]])
    mask = np.array([[True, True], [True, False], [False, True]])
    assert best_thresholds(scores, truth, mask) == (0.0, 0.5)


def test_the_temperature_that_was_put_in_is_found() -> None:
    rng = np.random.default_rng(0)
    probabilities = softmax(rng.normal(size=(20000, 8)) * 1.5, axis=1)
    truth = (rng.random((20000, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(max=7)
    sharper = softmax(np.log(probabilities) * 2.5, axis=1)
    assert best_temperature(sharper, truth) == pytest.approx(2.5, rel=0.08)


def test_no_other_position_of_a_single_class_would_score_more() -> None:
    rng = np.random.default_rng(3)
    truth = rng.choice(8, 400, p=[0.4, 0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05])
    logs = log_probabilities(softmax(rng.normal(size=(400, 8)) + np.eye(8)[truth], axis=1))
    bias = np.array(best_bias(logs, truth))
    best = macro_f1(truth, (logs + bias).argmax(axis=1), 8)
    assert best > macro_f1(truth, logs.argmax(axis=1), 8) + 0.02
    start = bias - (bias.max() - BIASES.max())  # differences alone matter
    for label in range(8):
        for step in BIASES[::4]:
            moved = start.copy()
            moved[label] += step
            if BIASES.min() <= moved[label] <= BIASES.max():
                assert macro_f1(truth, (logs + moved).argmax(axis=1), 8) <= best + 1e-6


def test_a_class_that_is_crowded_out_is_given_a_bias() -> None:
    rng = np.random.default_rng(1)
    truth = (rng.random(2000) < 0.1).astype(np.int64)
    evidence = rng.normal(size=2000) + 2 * truth
    logits = np.full((2000, 8), -9.0)
    logits[:, 0], logits[:, 1] = 0, evidence - 4
    bias = best_bias(log_probabilities(softmax(logits, axis=1)), truth)
    assert bias[1] - bias[0] > 1
    assert sum(bias) == pytest.approx(0)


def test_nothing_is_chosen_without_labels() -> None:
    none, nobody = np.zeros((0, 8)), np.zeros(0, np.int64)
    assert best_temperature(none, nobody) == 1.0
    assert best_bias(none, nobody) == (0.0,) * 8
