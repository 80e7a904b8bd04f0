"""Folds never split a person or a video, and weigh about the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import UserError
from fusion.data.folds import folds_of, label_amounts, linked, person_folds
from fusion.data.loading.config import DataSettings
from fusion.data.loading.splits import split_clips
from fusion.tasks.clips import Clip
from tests.fusion.classic import TASKS, empty_labels


@st.composite
def corpora(draw):
    k = draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    clips = draw(st.integers(k, 60))
    groups = np.r_[np.arange(k), rng.integers(0, draw(st.integers(k, 30)), clips - k)]
    weights = rng.integers(0, 1000, clips)
    return [f"person {g}" for g in groups], k, weights.tolist(), draw(st.integers(0, 99))


@st.composite
def labelled_corpora(draw):
    groups, k, weights, seed = draw(corpora())
    rng = np.random.default_rng(seed)
    kinds = draw(st.integers(1, 5))
    amounts = rng.random((len(groups), kinds)) ** 4 * np.array(weights)[:, None]
    return groups, k, weights, seed, amounts


@settings(max_examples=30, deadline=None)
@given(labelled_corpora())
def test_with_labels_too_folds_partition_and_differ_by_no_more_than_the_heaviest(corpus):
    groups, k, weights, seed, amounts = corpus
    folds = person_folds(groups, k, seed, weights, amounts)
    assert all(len(fold) for fold in folds)
    assert sorted(np.concatenate(folds)) == list(range(len(groups)))
    assert sum(len({groups[i] for i in fold}) for fold in folds) == len(set(groups))
    loads = [sum(weights[i] for i in fold) for fold in folds]
    heaviest = max(sum(w for g, w in zip(groups, weights, strict=True) if g == n) for n in groups)
    assert max(loads) - min(loads) <= heaviest


@pytest.mark.parametrize("seed", range(5))
def test_a_rare_label_is_shared_out_to_all_folds(seed):
    amounts = np.zeros((12, 2))
    amounts[:4, 0] = 10  # a class that only four people show
    amounts[4:, 1] = 10
    folds = person_folds([str(i) for i in range(12)], 4, seed, [10] * 12, amounts)
    assert [amounts[fold].sum(axis=0).tolist() for fold in folds] == [[10, 20]] * 4


def simulated(people, seed):
    """Clips like Aff-Wild2's: lengths from short to long, each person with few expressions."""
    rng = np.random.default_rng(seed)
    clips = []
    for i in range(people):
        labels = empty_labels(int(np.exp(rng.normal(5, 0.8))))
        shares = rng.dirichlet(np.array([0.3, 0.05, 0.03, 0.03, 0.16, 0.14, 0.06, 0.28]) * 2)
        labels.expr[:] = rng.choice(8, len(labels), p=shares)
        labels.va[:] = rng.normal(0.2, 0.3, 2).clip(-1, 1)
        labels.au[:] = rng.random(labels.au.shape) < rng.beta(0.5, 1.5, 12)
        for mask in (labels.va_mask, labels.expr_mask, labels.au_mask):
            mask[:] = True
        clips.append(Clip(str(i), str(i), "train", labels, f"p{i}"))
    return clips


@pytest.mark.parametrize("seed", range(3))
def test_folds_of_a_corpus_are_alike_in_size_and_labels(seed):
    clips = simulated(120, seed)
    frames = np.array([len(clip.labels) for clip in clips])
    amounts = np.array([label_amounts(clip.labels, TASKS) for clip in clips])
    folds = folds_of(clips, 5, TASKS)
    by_size_alone = person_folds([clip.group for clip in clips], 5, 0, frames.tolist())

    def uneven(dealt):
        shares = np.array([amounts[fold].sum(axis=0) for fold in dealt]) / amounts.sum(axis=0)
        return np.abs(shares - 1 / 5).mean()

    sizes = [frames[fold].sum() for fold in folds]
    assert max(sizes) < 1.1 * min(sizes)
    assert uneven(folds) < 0.7 * uneven(by_size_alone)


def test_amounts_count_valid_labels_only():
    labels = empty_labels(4)
    labels.expr[:] = [1, 1, 2, 3]
    labels.expr_mask[:] = [True, True, True, False]
    labels.va[:] = [[0.5, -0.5], [-0.25, 0.5], [0.5, 0], [1, 1]]
    labels.va_mask[:] = [True, True, True, False]
    labels.au[:, 2] = 1
    labels.au_mask[1:, 2] = True
    amounts = label_amounts(labels, TASKS)
    assert amounts[:4].tolist() == [1.0, 0.5, 0.25, 0.5]
    assert amounts[4:12].tolist() == [0, 2, 1, 0, 0, 0, 0, 0]
    assert amounts[12:].tolist() == [0, 0, 3, *[0] * 9]


@settings(max_examples=30, deadline=None)
@given(corpora())
def test_folds_partition_the_clips_without_splitting_a_group(corpus):
    groups, k, weights, seed = corpus
    folds = person_folds(groups, k, seed, weights)
    assert len(folds) == k
    assert all(len(fold) for fold in folds)
    assert sorted(np.concatenate(folds)) == list(range(len(groups)))
    held_out = [{groups[index] for index in fold} for fold in folds]
    assert sum(map(len, held_out)) == len(set(groups))


@settings(max_examples=30, deadline=None)
@given(corpora())
def test_folds_differ_by_no_more_than_the_heaviest_group(corpus):
    groups, k, weights, seed = corpus
    by_group: dict[str, int] = {}
    for group, weight in zip(groups, weights, strict=True):
        by_group[group] = by_group.get(group, 0) + weight
    loads = [sum(weights[i] for i in fold) for fold in person_folds(groups, k, seed, weights)]
    assert max(loads) - min(loads) <= max(by_group.values())


@pytest.mark.parametrize("seed", range(5))
def test_heavy_groups_are_dealt_first_so_that_light_ones_even_out(seed):
    weights = [1, 1, 1, 1, 1, 5]
    folds = person_folds([str(i) for i in range(6)], 2, seed, weights)
    assert [sum(weights[i] for i in fold) for fold in folds] == [5, 5]


def test_clips_without_labels_are_dealt_out_too():
    folds = person_folds([str(i) for i in range(6)], 3, 0, [0] * 6)
    assert [len(fold) for fold in folds] == [2, 2, 2]


def test_equal_seeds_give_equal_folds_and_other_seeds_others():
    groups = [str(i) for i in range(40)]
    one, same, other = (person_folds(groups, 5, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("k", [1, 4])
def test_more_folds_than_people_are_refused(k):
    with pytest.raises(UserError, match="3 people"):
        person_folds(["a", "b", "c"], k, 0)


def test_clips_that_share_a_person_or_a_video_are_linked():
    groups = linked(["a", "b", "b", "c", "d"], ["1", "1", "2", "3", "4"])
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups)) == 3


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=25))
def test_linking_is_the_transitive_closure(pairs):
    people, videos = ([f"{pair[side]}" for pair in pairs] for side in (0, 1))
    groups = linked(people, videos)
    shared = np.array([[a == c or b == d for c, d in pairs] for a, b in pairs])
    closure = np.linalg.matrix_power(shared.astype(np.float64), len(pairs)) > 0
    same = np.array([[one == other for other in groups] for one in groups])
    assert np.array_equal(closure, same)


def clip(name, video, split, group, frames=10):
    return Clip(name, video, split, empty_labels(frames), group)


def test_a_fold_holds_people_out_of_the_pooled_clips_and_leaves_the_test_split_alone():
    clips = [clip(str(i), str(i), "train", f"p{i // 2}") for i in range(8)]
    clips += [clip("8", "8", "validation", "p0"), clip("9", "9", "test", "p0")]
    clips += [clip("10_left", "10", "train", "p9"), clip("10_right", "10", "train", "p10")]
    held_out = []
    for fold in range(3):
        splits = split_clips(clips, DataSettings(fold=fold, folds=3), TASKS)
        assert [c.id for c in splits["test"]] == ["9"]
        assert len(splits["train"]) + len(splits["validation"]) == 11
        for key in ("group", "video"):
            sides = [{getattr(c, key) for c in splits[s]} for s in ("train", "validation")]
            assert not sides[0] & sides[1]
        held_out += [c.id for c in splits["validation"]]
    assert sorted(held_out) == sorted(c.id for c in clips if c.split != "test")
