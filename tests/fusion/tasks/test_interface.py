"""What every task must keep to, whichever it is; and how tasks are asked for."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import UserError
from fusion.tasks.labels import TaskLabels
from fusion.tasks.learning.interface import TaskTargets
from fusion.tasks.registry import known_tasks, make_task, make_tasks
from fusion.tasks.scoring.interface import Rules

EXAMPLES = {
    "va": {},
    "expr": {},
    "au": {},
    "compound": {},
    "emotions": {"classes": ["calm", "happy", "sad"]},
    "intensities": {"names": ["Joy", "Fear"]},
    "values": {"names": ["pain", "engagement"], "low": 0, "high": 15, "metric": "rmse"},
}
MADE = {
    **{name: make_task(name, own) for name, own in EXAMPLES.items()},
    "va in bins": make_task("va", {"bins": 5, "loss": "bins+ccc"}),
    "values in bins": make_task("values", {"names": ["pain"], "low": 0, "high": 15, "bins": 4}),
    "emotions of clips": make_task("emotions", {"classes": ["a", "b"], "level": "clip"}),
}
each_task = pytest.mark.parametrize("task", list(MADE.values()), ids=list(MADE))


def some_labels(task, frames, seed=0, known=0.7):
    """Random labels, some of them missing."""
    rng, empty = np.random.default_rng(seed), task.empty(frames)
    if empty.values.dtype.kind == "i":
        values = rng.integers(len(task.names), size=frames)
    elif task.kind == "binary":
        values = rng.integers(2, size=empty.values.shape)
    else:
        values = rng.uniform(*task.value_range(), empty.values.shape)
    mask = rng.random(empty.mask.shape) < known
    return TaskLabels(values.astype(empty.values.dtype), mask)


def targets_of(labels):
    return TaskTargets(torch.from_numpy(labels.values)[None], torch.from_numpy(labels.mask)[None])


def some_values(task, frames, seed=0):
    """Final values of random scores, as a model would say them."""
    torch.manual_seed(seed)
    scores = task.scores(2 * torch.randn(frames, task.width)).numpy()
    assert scores.shape == (frames, task.score_width)
    return task.final(task.neutral(), task.bounded(scores))


def test_each_known_task_is_tried_here():
    assert set(known_tasks()) == set(EXAMPLES)


@each_task
def test_its_settings_survive_as_plain_values(task):
    assert make_task(task.name, task.description()) == task
    assert len(task.columns) == len(set(task.columns))
    assert len(task.colours) in (0, len(task.names))


@each_task
def test_final_values_keep_to_shape_and_range(task):
    values, (low, high) = some_values(task, 30), task.value_range()
    assert values.shape == (30, len(task.columns))
    assert values.dtype == np.float32
    assert values.min() >= low
    assert values.max() <= high
    task.check_values(values)


@each_task
def test_it_is_learnt_from_labels_and_not_from_what_is_masked(task):
    if task.by_features:
        pytest.skip("learns from features: tests of mixtures.py")
    labels = some_labels(task, 40)
    fitted = task.fit([labels])
    raw = torch.randn(1, 40, task.width, requires_grad=True)
    loss = task.loss(task.scores(raw), targets_of(labels), fitted)
    loss.backward()
    assert loss.isfinite()
    assert float(loss.detach()) > 0
    rows = torch.from_numpy(labels.rows)
    assert (raw.grad[0, ~rows] == 0).all()
    assert (raw.grad[0, rows] != 0).any()


@each_task
def test_without_a_label_there_is_nothing_to_learn(task):
    labels = task.empty(8)
    raw = torch.randn(1, 8, task.width, requires_grad=True)
    loss = task.loss(task.scores(raw), targets_of(labels), task.fit([labels]))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert (raw.grad == 0).all()


@each_task
def test_a_teacher_is_followed_where_it_says_something(task):
    if task.by_features:
        pytest.skip("no teacher is asked")
    raw, theirs = torch.randn(1, 20, task.width, requires_grad=True), torch.randn(1, 20, task.width)
    teacher = task.scores(theirs).clone()
    teacher[0, :5] = torch.nan
    taught = task.taught(teacher)
    assert taught.shape == targets_of(task.empty(20)).mask.shape
    assert not taught[0, :5].any()
    assert taught[0, 5:].all()
    weights = torch.ones(int(taught.sum()))
    loss = task.soft_loss(task.scores(raw), teacher, taught, weights, 1.5)
    loss.backward()
    assert float(loss.detach()) > 0
    assert (raw.grad[0, :5] == 0).all()
    like = targets_of(task.empty(20)).values
    assert task.said(teacher, like)[0, 5:].dtype == like.dtype


@each_task
@settings(max_examples=10, deadline=None)
@given(cut=st.integers(0, 60), seed=st.integers(0, 1000))
def test_statistics_of_pieces_add_up_to_those_of_the_whole(task, cut, seed):
    labels, values = some_labels(task, 60, seed), some_values(task, 60, seed)
    decided = task.said_of(values, None)
    whole = task.statistics(labels, decided)
    parts = [task.statistics(labels[rows], decided[rows]) for rows in (slice(cut), slice(cut, 60))]
    merged = task.no_statistics().merged(parts[0]).merged(parts[1])
    assert task.official(merged, Rules()) == pytest.approx(
        task.official(whole, Rules()), nan_ok=True
    )


@each_task
def test_a_draw_of_each_video_once_scores_as_the_whole(task):
    said = [(some_labels(task, 50, seed), some_values(task, 50, seed)) for seed in range(4)]
    videos = [task.statistics(labels, task.said_of(values, None)) for labels, values in said]
    whole = videos[0].merged(videos[1]).merged(videos[2]).merged(videos[3])
    official, parts = task.draws(videos, np.ones((1, 4)), Rules())
    assert {n: float(v[0]) for n, v in official.items()} == pytest.approx(
        task.official(whole, Rules())
    )
    assert {n: float(v[0]) for n, v in parts.items()} == pytest.approx(
        task.class_scores(whole, Rules()), nan_ok=True
    )


@each_task
def test_without_a_label_there_is_no_score(task):
    values = some_values(task, 5)
    nothing = task.statistics(task.empty(5), task.said_of(values, None))
    assert math.isnan(task.official(nothing, Rules())[task.title])


@each_task
def test_tuning_counts_what_the_metric_counts(task):
    if task.kind == "values" and task.metric != "ccc":
        pytest.skip("candidates are compared by CCC")
    if task.kind == "binary" and not task.by_features:
        pytest.skip("candidates are compared at their best thresholds")
    labels, values = some_labels(task, 60), some_values(task, 60)
    if task.kind == "values":
        labels = TaskLabels(
            labels.values,
            np.broadcast_to(labels.rows[..., None], labels.mask.shape)
            if labels.mask.ndim == 2
            else labels.mask,
        )
    counts = task.counts(values.astype(float), labels, np.repeat([0, 1], 30), 2)
    official = task.official(task.statistics(labels, task.said_of(values, None)), Rules())
    assert float(task.count_scores(counts.sum(axis=0)[None])[0]) == pytest.approx(
        official[task.title], abs=1e-6
    )


def test_labels_of_named_classes_are_put_in_the_order_of_the_task():
    task = MADE["emotions"]
    found = TaskLabels(
        np.array([0, 2, 1, 0]), np.array([True, True, True, False]), ("Sad", "calm", "happy")
    )
    own = task.in_own_order(found)
    assert own.values.tolist() == [2, 1, 0, 0]
    assert own.mask.tolist() == [True, True, True, False]
    other = TaskLabels(np.array([0]), np.ones(1, bool), ("furious",))
    with pytest.raises(UserError, match=r"'furious', which is none of its classes \(calm, happy"):
        task.in_own_order(other)


def test_columns_that_a_data_set_lacks_are_not_labelled():
    task = MADE["values"]
    found = TaskLabels(np.array([[3.0], [9.0]], np.float32), np.ones((2, 1), bool), ("pain",))
    own = task.in_own_order(found)
    assert own.values[:, 0].tolist() == [3.0, 9.0]
    assert own.mask.tolist() == [[True, False]] * 2
    found = TaskLabels(np.array([[30.0]], np.float32), np.ones((1, 1), bool), ("pain",))
    with pytest.raises(UserError, match=r"between 30 and 30, but low is 0 and high 15"):
        task.in_own_order(found)


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"emotion": None}, "there is no task 'emotion'; did you mean 'emotions'"),
        ({"va": {"bin": 3}}, "tasks.va: unknown setting 'bin'; did you mean 'bins'"),
        ({"va": {"weight": -1}}, "tasks.va.weight -1.0 must be at least 0"),
        ({"va": {"loss": "bins+ccc"}}, "tasks.va.bins 0 must be at least 2 with loss bins"),
        ({"emotions": None}, "tasks.emotions.classes .* must be the names of two or more"),
        ({"values": {"names": ["a"], "low": 1, "high": 1}}, "tasks.values.low 1.0 must be below"),
        ({"compound": {"share": [[0, 0.5]]}}, "tasks.compound.share .* must be one or more pairs"),
        ({"va": None, "values": {"names": ["arousal"]}}, "tasks.values and tasks.va both have"),
    ],
)
def test_what_makes_no_task_is_refused_in_one_line(asked, complaint):
    with pytest.raises(UserError, match=complaint) as caught:
        make_tasks(asked)
    assert "\n" not in str(caught.value)
