import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.studies.encoders.probe_rows import layer_choices
from experiments.studies.encoders.probes import (
    choose_strength,
    clustered_score,
    fold_score,
    folds_within,
    grouped_folds,
    probe,
    probe_best,
    transfer_hits,
    triplet_folds,
)


def clouds(seed: int, count: int, classes: int, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (count, 6) around one centre a class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = apart * np.eye(classes, 6)
    return rng.normal(size=(count, 6)) + centres[labels], labels


def test_probe_reads_what_is_there_and_no_more() -> None:
    folds = np.arange(120) // 24
    features, labels = clouds(0, 120, 3, apart=20.0)
    assert probe(features, labels, folds, [0.1]).tolist() == [1.0] * 5
    noise, labels = clouds(1, 600, 3, apart=0.0)
    assert probe(noise, labels, np.arange(600) // 120, [0.1]).mean() == pytest.approx(
        1 / 3, abs=0.1
    )


def test_probe_is_not_trained_on_the_fold_it_is_judged_on() -> None:
    # Each fold has its own key to the labels, which only a probe that has seen it can know.
    features = np.kron(np.eye(3), np.ones((20, 1)))
    features = np.hstack([features * np.tile([[1.0], [-1.0]], (30, 1))])
    labels = np.tile([0, 1], 30)
    assert probe(features, labels, np.repeat([0, 1, 2], 20), [100.0]).mean() == 0.5


def test_examples_without_a_fold_are_left_out() -> None:
    features, labels = clouds(0, 60, 2, apart=20.0)
    folds = np.arange(60) // 2 % 5
    wrong = np.concatenate([labels, 1 - labels])
    both, marked = np.vstack([features, features]), np.concatenate([folds, np.full(60, -1)])
    assert probe(both, wrong, marked, [0.1]).tolist() == [1.0] * 5


def test_probe_does_not_mind_the_scale_of_a_dimension() -> None:
    features, labels = clouds(3, 200, 3, apart=2.0)
    folds = np.arange(200) // 40
    scaled = features * 10.0 ** np.arange(-3, 3) + 7.0
    assert probe(scaled, labels, folds, [0.1]) == pytest.approx(
        probe(features, labels, folds, [0.1])
    )


def test_strength_is_the_best_of_the_training_folds() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(100) % 2
    signal = labels[:, None] + rng.normal(0, 1.0, (100, 1))
    features = np.hstack([signal, rng.normal(size=(100, 150))])
    folds = np.arange(100) // 20
    scores = {c: probe(features, labels, folds, [c]).mean() for c in (0.0001, 0.01, 1.0)}
    best = max(scores, key=lambda c: scores[c])
    assert choose_strength(features, labels, folds, (0.0001, 0.01, 1.0)) == best
    assert choose_strength(features, labels, folds, (3.0,)) == 3.0


def test_transfer_tells_each_example() -> None:
    features, labels = clouds(0, 60, 3, apart=20.0)
    other, truth = clouds(1, 30, 3, apart=20.0)
    wrong = truth.copy()
    wrong[:3] = (wrong[:3] + 1) % 3
    assert np.flatnonzero(~transfer_hits(features, labels, other, wrong)).tolist() == [0, 1, 2]


@given(st.lists(st.integers(0, 9), min_size=30, max_size=60), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_grouped_folds_keep_groups_whole(groups: list[int], seed: int) -> None:
    who = np.array([*groups, *range(10)])
    labels = np.random.default_rng(seed).integers(0, 2, len(who))
    folds = grouped_folds(labels, who, 2)
    for group in np.unique(who):
        assert len(np.unique(folds[who == group])) == 1
    assert set(folds.tolist()) == {0, 1}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=5, max_size=60))
@settings(max_examples=40, deadline=None)
def test_folds_within_know_each_person_from_other_takes(pairs: list[tuple[int, int]]) -> None:
    people, takes = np.array(pairs).T
    groups = people * 10 + takes
    folds = folds_within(people, groups)
    for person in np.unique(people):
        mine = people == person
        if len(np.unique(groups[mine])) == 1:
            assert (folds[mine] == -1).all()
            continue
        assert len(np.unique(folds[mine])) > 1  # so whoever is tested has been trained on
        for group in np.unique(groups[mine]):
            assert len(np.unique(folds[groups == group])) == 1


def test_folds_within_are_of_like_size() -> None:
    people = np.repeat(np.arange(40), 7)
    counts = np.bincount(folds_within(people, np.arange(280)))
    assert counts.min() >= counts.max() - 1


def test_error_over_folds_by_hand() -> None:
    score = fold_score(np.array([0.5, 0.7, 0.6]))
    assert (score.value, score.error) == pytest.approx((0.6, 0.1 / 3**0.5))
    assert str(score) == "0.600 ± 0.058"


def test_error_of_independent_examples_is_the_binomial_one() -> None:
    hits = np.arange(100) < 30
    score = clustered_score(hits, np.arange(100))
    assert (score.value, score.error) == pytest.approx((0.3, (0.3 * 0.7 / 100) ** 0.5))


def test_copies_of_examples_in_a_cluster_tell_nothing_new() -> None:
    hits = np.arange(50) < 20
    once, twice = (
        clustered_score(hits, np.arange(50)),
        clustered_score(np.repeat(hits, 2), np.repeat(np.arange(50), 2)),
    )
    assert twice.error == pytest.approx(once.error)


def test_triplets_tell_classes_apart_whatever_the_norm() -> None:
    features, labels = clouds(0, 200, 3, apart=20.0)
    lengths = np.random.default_rng(0).uniform(0.1, 10, (200, 1))
    assert triplet_folds(features * lengths, labels).min() > 0.99
    noise, labels = clouds(0, 500, 3, apart=0.0)
    assert triplet_folds(noise, labels).mean() == pytest.approx(1 / 3, abs=0.05)


def test_triplets_take_vectors_of_zeros() -> None:
    assert np.isfinite(triplet_folds(np.zeros((50, 4)), np.arange(50) // 5 % 2)).all()


def test_the_best_features_are_chosen_without_the_held_out_fold() -> None:
    rng = np.random.default_rng(0)
    folds = np.repeat(np.arange(5), 40)
    labels = rng.integers(0, 2, 200)
    good = labels[:, None] + rng.normal(0, 0.7, (200, 1))
    right = (folds == 4) | (rng.random(200) < 0.6)
    flattering = np.where(right, labels, 1 - labels)[:, None] * 1.0
    assert probe(flattering, labels, folds)[4] == 1 > probe(good, labels, folds)[4]
    found = probe_best([flattering, good], labels, folds)
    np.testing.assert_array_equal(found, probe(good, labels, folds))


def test_layers_are_tried_alone_and_three_in_a_row() -> None:
    layers = np.arange(2 * 4 * 5).reshape(2, 4, 5)
    choices = layer_choices(layers)
    assert [one.shape[1] for one in choices] == [5, 5, 5, 5, 15, 15]
    np.testing.assert_array_equal(choices[-1], layers[:, 1:].reshape(2, 15))
    assert [one.shape[1] for one in layer_choices(layers[:, :2])] == [5, 5, 10]
