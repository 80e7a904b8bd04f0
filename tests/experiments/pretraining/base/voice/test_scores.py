"""Probes: speakers and corpora are apart, errors are over speakers."""

import numpy as np
import pytest

from experiments.pretraining.base.voice.scores import (
    Told,
    accuracy,
    across,
    area,
    by_speaker,
    recall,
    within,
)

RNG = np.random.default_rng(0)
PEOPLE = np.repeat([f"p{i}" for i in range(10)], 12)
LABELS = np.tile(["a", "b", "c"], 40)


def told_by(labels, noise=0.3):
    """Rows that tell the labels."""
    place = np.unique(labels, return_inverse=True)[1]
    return np.eye(3)[place] + noise * RNG.normal(size=(len(labels), 3))


def test_what_tells_the_labels_is_found_and_what_tells_the_speaker_is_of_no_use():
    assert within(told_by(LABELS), LABELS, PEOPLE).figure(accuracy) > "0.9"
    own = np.repeat(LABELS[: len(LABELS) // 12], 12)  # a label a speaker
    speaker = np.eye(10)[np.unique(PEOPLE, return_inverse=True)[1]]
    assert accuracy(own, within(speaker, own, PEOPLE).said) <= 0.4


def test_no_speaker_is_in_two_folds():
    folds = by_speaker(PEOPLE)
    assert len(np.unique(folds)) == 5
    assert all(len(np.unique(folds[person == PEOPLE])) == 1 for person in np.unique(PEOPLE))


def test_folds_that_share_a_speaker_are_refused():
    with pytest.raises(AssertionError):
        within(told_by(LABELS), LABELS, PEOPLE, np.arange(len(LABELS)) % 2)


def test_another_corpus_is_told_on_the_classes_that_both_have():
    corpora = np.where(np.arange(120) < 60, "x", "y")
    labels = LABELS.copy()
    labels[:60][labels[:60] == "c"] = "a"
    told = across(told_by(LABELS), labels, PEOPLE, corpora, "y")
    assert set(told.truth) == {"a", "b"}
    assert set(told.people) == set(PEOPLE[60:])


def test_a_corpus_recorded_otherwise_is_told_by_its_own_statistics():
    corpora = np.where(np.arange(120) < 60, "x", "y")
    rows = told_by(LABELS, 0.1) + np.where(corpora == "y", 4.0, 0.0)[:, None] * [1, 0, 0]
    plain = across(rows, LABELS, PEOPLE, corpora, "y").figure(recall)
    assert plain < "0.7" < across(rows, LABELS, PEOPLE, corpora, "y", own=True).figure(recall)


def test_two_classes_are_told_by_the_probability_of_the_second():
    yes = (LABELS == "b").astype(int)
    assert area(yes, within(told_by(LABELS), yes, PEOPLE).said) > 0.9


def test_the_error_is_that_over_speakers():
    right = np.repeat([True, False], [60, 60])  # whole speakers are right or wrong
    told = Told(LABELS, np.where(right, LABELS, "z"), PEOPLE)
    assert told.figure(accuracy) == "0.500 ± 0.167"  # .527 / sqrt(10), of ten zeros and ones
    assert told.less(told, accuracy) == "+0.000 ± 0.000"


def test_recall_counts_each_class_alike():
    assert recall(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 0])) == 0.5
