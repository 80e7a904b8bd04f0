import math
import warnings
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from fusion.metrics import bootstrap
from fusion.metrics.official import (
    MetricAccumulator,
    UndefinedScore,
    ccc,
    macro_f1,
    mean_binary_f1,
)
from fusion.tasks.au import UNITS
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.labels import FrameLabels, TaskLabels
from fusion.tasks.registry import make_tasks
from fusion.tasks.scoring.statistics import PairMoments
from tests.fusion.classic import TASKS, classic_labels, classic_scores, empty_labels

Array = np.ndarray
Predictions = tuple[Array, Array, Array]


def sample(frames: int, seed: int = 0, valid: float = 0.7) -> tuple[FrameLabels, Predictions]:
    rng = np.random.default_rng(seed)
    labels = classic_labels(
        va=rng.uniform(-1, 1, (frames, 2)).astype(np.float32),
        va_mask=rng.random(frames) < valid,
        expr=rng.integers(0, 8, frames),
        expr_mask=rng.random(frames) < valid,
        au=rng.integers(0, 2, (frames, 12)).astype(np.float32),
        au_mask=rng.random((frames, 12)) < valid,
    )
    truth = truth_of(labels)
    va = np.clip(0.5 * truth.va + rng.normal(0.1, 0.3, (frames, 2)), -1, 1).astype(np.float32)
    expr = np.where(rng.random(frames) < 0.5, truth.expr, rng.integers(0, 8, frames))
    au = np.where(rng.random((frames, 12)) < 0.6, truth.au, 1 - truth.au).astype(np.int64)
    return labels, (va, expr, au)


class Truth(NamedTuple):
    """The arrays of labels of the three tasks, to be written to."""

    va: np.ndarray
    expr: np.ndarray
    au: np.ndarray
    va_mask: np.ndarray
    expr_mask: np.ndarray
    au_mask: np.ndarray


def truth_of(labels: FrameLabels) -> Truth:
    every = [labels[name] for name in TASKS]
    return Truth(*(each.values for each in every), *(each.mask for each in every))


def add(
    accumulator: MetricAccumulator, labels: FrameLabels, va: Array, expr: Array, au: Array
) -> None:
    accumulator.add_decided(labels, classic_scores(va, expr, au))


def official_scores(
    labels: FrameLabels,
    va: Array,
    expr: Array,
    au: Array,
    edition: int = 11,
    exact: bool = False,
    expressions: Iterable[str] = (),
) -> dict[str, float]:
    """Scores of pooled arrays: those of an accumulator after one `add`."""
    accumulator = MetricAccumulator(TASKS, {"expr": frozenset(expressions)})
    add(accumulator, labels, va, expr, au)
    return accumulator.scores(edition, exact)


def plain_ccc(x: np.ndarray, y: np.ndarray) -> float:
    """The formula of the protocol in one line of numpy."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    cov = ((x - x.mean()) * (y - y.mean())).mean()
    return 2 * cov / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)


# CCC


def test_ccc_uses_population_moments_throughout() -> None:
    truth, prediction = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0])
    # cov 1/3, variances 2/3 and 2/9, means 1 and 2/3.
    assert ccc(truth, prediction) == pytest.approx((2 / 3) / (2 / 3 + 2 / 9 + 1 / 9), abs=1e-15)


def test_perfect_prediction_scores_exactly_one() -> None:
    truth = np.random.default_rng(0).uniform(-1, 1, 1000)
    assert ccc(truth, truth) == pytest.approx(1, abs=1e-15)
    assert ccc(truth, -truth + 2 * truth.mean()) == pytest.approx(-1, abs=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3])
def test_a_constant_scores_zero_and_not_nan(value: float) -> None:
    truth, constant = np.linspace(-1, 1, 7), np.full(7, value)
    assert ccc(truth, constant) == 0
    assert ccc(constant, truth) == 0
    assert ccc(constant, constant) == 0


def test_values_too_close_for_float64_squares_score_zero() -> None:
    assert ccc(np.array([0, 1e-200]), np.array([0, 1e-200])) == 0


def test_no_frame_and_no_number_are_refused() -> None:
    with pytest.raises(ValueError, match="no frame"):
        ccc(np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match="finite"):
        ccc(np.array([0.0, 1.0]), np.array([0.0, np.nan]))
    with pytest.raises(ValueError, match=r"\(N,\)"):
        ccc(np.zeros(2), np.zeros(1))


def test_float32_arrays_are_summed_in_float64() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.normal(0, 1e-4, 300_000) + 0.9).astype(np.float32)
    prediction = (truth + rng.normal(0, 1e-4, len(truth))).astype(np.float32)
    assert ccc(truth, prediction) == pytest.approx(plain_ccc(truth, prediction), abs=1e-12)


floats = st.floats(-1, 1)


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(floats, floats), min_size=1, max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=5),
)
def test_moments_of_any_partition_are_those_of_the_whole(
    pairs: list[tuple[float, float]], cuts: list[int]
) -> None:
    whole = np.array(pairs)
    merged = PairMoments.of(np.zeros(0), np.zeros(0))
    for piece in np.split(whole, sorted(min(c, len(whole)) for c in cuts)):
        merged = merged.merged(PairMoments.of(piece[:, 0], piece[:, 1]))
    assert merged.count == len(whole)
    np.testing.assert_allclose(merged.mean, whole.mean(axis=0), atol=1e-14)
    np.testing.assert_allclose(merged.square / len(whole), whole.var(axis=0), atol=1e-14)
    np.testing.assert_allclose(
        merged.product / len(whole),
        np.prod(whole - whole.mean(axis=0), axis=1).mean(),
        atol=1e-14,
    )
    np.testing.assert_array_equal(merged.low, whole.min(axis=0))
    np.testing.assert_array_equal(merged.high, whole.max(axis=0))


# F1


@pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore")
@settings(max_examples=40, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), min_size=1, max_size=30))
def test_macro_f1_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, prediction = np.array(pairs).T
    wanted = f1_score(truth, prediction, labels=range(8), average="macro", zero_division=0)
    assert macro_f1(truth, prediction, 8) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore")
@pytest.mark.parametrize("seed", range(5))
def test_mean_binary_f1_is_that_of_scikit_learn_on_valid_elements(seed: int) -> None:
    labels, (_, _, au) = sample(15, seed)
    truth, mask = truth_of(labels).au, truth_of(labels).au_mask
    wanted = [f1_score(truth[mask[:, u], u], au[mask[:, u], u], zero_division=0) for u in range(12)]
    assert mean_binary_f1(truth, au, mask) == pytest.approx(np.mean(wanted), abs=1e-12)


def test_a_class_in_neither_truth_nor_prediction_counts_as_zero_with_a_warning() -> None:
    truth = np.array([0, 1, 1])
    with pytest.warns(UndefinedScore, match="class 2"):
        assert macro_f1(truth, truth, 3) == pytest.approx(2 / 3)
    on = np.array([[1, 0], [1, 0]])
    with pytest.warns(UndefinedScore, match="unit 1"):
        assert mean_binary_f1(on, on) == pytest.approx(1 / 2)


def test_a_class_that_is_there_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert macro_f1(np.array([0, 1]), np.array([1, 1]), 2) == pytest.approx(1 / 3)


def test_logits_are_refused() -> None:
    labels, (va, expr, _) = sample(4)
    logits = np.random.default_rng(0).normal(size=(4, 12))
    with pytest.raises(ValueError, match="not logits"):
        official_scores(labels, va, expr, logits)
    with pytest.raises(ValueError, match="not logits"):
        macro_f1(expr, expr.astype(float), 8)
    with pytest.raises(ValueError, match="0 to 7"):
        macro_f1(expr, expr - 8, 8)


# All together


@pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore")
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**16), data=st.data())
def test_any_partition_in_any_order_gives_the_scores_of_the_pooled_frames(
    seed: int, data: st.DataObject
) -> None:
    frames = data.draw(st.integers(1, 60))
    cuts = data.draw(st.lists(st.integers(0, frames), max_size=6))
    labels, predictions = sample(frames, seed)
    order = np.random.default_rng(seed).permutation(frames)
    streamed = MetricAccumulator(TASKS)
    for at in np.split(order, sorted(cuts)):
        add(streamed, labels.at(at), *(array[at] for array in predictions))
    pooled = official_scores(labels, *predictions)
    assert streamed.scores() == pytest.approx(pooled, abs=1e-12, nan_ok=True)


@pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore")
@pytest.mark.parametrize("seed", range(3))
def test_scores_are_the_official_formulas_over_all_valid_frames(seed: int) -> None:
    labels, (va, expr, au) = sample(500, seed)
    scores = official_scores(labels, va, expr, au)
    truth = truth_of(labels)
    seen, known = truth.va_mask, truth.expr_mask
    v, a = (plain_ccc(truth.va[seen, i], va[seen, i]) for i in range(2))
    f1 = f1_score(truth.expr[known], expr[known], labels=range(8), average="macro")
    units = mean_binary_f1(truth.au, au, truth.au_mask)
    wanted = {"CCC_V": v, "CCC_A": a, "VA": (v + a) / 2, "EXPR": f1, "AU": units}
    assert scores == pytest.approx(wanted | {"P": (v + a) / 2 + f1 + units}, abs=1e-12)


def test_scores_are_pooled_and_not_averaged_over_clips() -> None:
    clips = [sample(50, seed) for seed in (1, 2)]
    accumulator = MetricAccumulator(TASKS)
    for shift, (labels, (va, expr, au)) in zip((-0.5, 0.5), clips, strict=True):
        own = labels["va"]
        own = TaskLabels(own.values / 4 + np.float32(shift), own.mask)
        add(accumulator, labels.with_task("va", own), va / 4 + np.float32(shift), expr, au)
    alone = [official_scores(labels, *p)["VA"] for labels, p in clips]
    assert accumulator.scores()["VA"] > max(alone) + 0.1


def test_values_under_a_false_mask_do_not_count() -> None:
    labels, (va, expr, au) = sample(80)
    truth, spoilt = truth_of(labels), va.copy()
    spoilt[~truth.va_mask] = np.nan
    other = np.where(truth.au_mask, au, 1 - au)
    wrong = np.where(truth.expr_mask, expr, 99)
    assert official_scores(labels, spoilt, wrong, other) == official_scores(labels, va, expr, au)


def test_a_task_without_labels_is_nan_and_left_out_of_p() -> None:
    labels, predictions = sample(60)
    only_va = classic_labels(va=labels["va"].values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = official_scores(only_va, *predictions)
        empty = MetricAccumulator(TASKS).scores()
    assert math.isnan(scores["EXPR"])
    assert math.isnan(scores["AU"])
    assert scores["P"] == scores["VA"]
    assert all(map(math.isnan, empty.values()))


def test_merged_accumulators_score_as_one() -> None:
    whole, parts = MetricAccumulator(TASKS), [MetricAccumulator(TASKS), MetricAccumulator(TASKS)]
    for seed in range(4):
        labels, predictions = sample(30, seed)
        add(whole, labels, *predictions)
        add(parts[seed % 2], labels, *predictions)
    parts[0].merge(parts[1])
    assert parts[0].scores() == pytest.approx(whole.scores(), abs=1e-12)
    assert parts[0].class_scores() == whole.class_scores()


def test_class_scores_have_names() -> None:
    labels, predictions = sample(200)
    accumulator = MetricAccumulator(TASKS)
    add(accumulator, labels, *predictions)
    named, scores = accumulator.class_scores(), accumulator.scores()
    assert list(named) == [*EXPRESSIONS, *UNITS]
    assert np.mean([named[name] for name in EXPRESSIONS]) == pytest.approx(scores["EXPR"])
    assert np.mean([named[name] for name in UNITS]) == pytest.approx(scores["AU"])


def test_predictions_of_another_length_are_refused() -> None:
    labels, (va, expr, au) = sample(10)
    with pytest.raises(ValueError, match=r"va: predictions \(9, 2\), not \(10, 2\)"):
        official_scores(labels, va[:9], expr[:9], au[:9])
    values = classic_scores(va[:9], np.eye(8)[expr[:9]], au[:9])
    with pytest.raises(ValueError, match=r"va: predictions \(9, 2\), labels \(10, 2\)"):
        MetricAccumulator(TASKS).add(labels, values)


# Editions


def reference_of_edition_2(
    labels: Truth, expr: np.ndarray, au: np.ndarray, exact: bool
) -> tuple[float, float]:
    """EXPR and AU by scikit-learn, frames labelled Other left out as edition 2 has none."""
    known = labels.expr_mask & (labels.expr < 7)
    truth, guess = labels.expr[known], expr[known]
    f1 = f1_score(truth, guess, labels=range(7), average="macro", zero_division=0)
    expr_score = 0.67 * f1 + 0.33 * accuracy_score(truth, guess)
    mask = labels.au_mask
    units = [
        f1_score(labels.au[mask[:, u], u], au[mask[:, u], u], zero_division=0) for u in range(12)
    ]
    accuracy = accuracy_score(labels.au[mask], au[mask])
    if exact:
        frames = [i for i in range(len(mask)) if mask[i].any()]
        accuracy = np.mean([(labels.au[i] == au[i])[mask[i]].all() for i in frames])
    return expr_score, 0.5 * np.mean(units) + 0.5 * accuracy


@pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@settings(max_examples=12, deadline=None)
@given(frames=st.integers(20, 60), seed=st.integers(0, 1000), exact=st.booleans())
def test_edition_2_is_that_of_scikit_learn(frames: int, seed: int, exact: bool) -> None:
    labels, (va, expr, au) = sample(frames, seed)
    easy = np.where(np.arange(frames)[:, None] % 3 == 0, labels["au"].values, au).astype(np.int64)
    scores = official_scores(labels, va, expr, easy, edition=2, exact=exact)
    wanted = reference_of_edition_2(truth_of(labels), expr, easy, exact)
    assert (scores["EXPR"], scores["AU"]) == pytest.approx(wanted, abs=1e-12)


def test_edition_2_by_hand() -> None:
    labels = empty_labels(4)
    truth = truth_of(labels)
    truth.expr[:], truth.expr_mask[:] = [0, 0, 1, 7], True
    truth.au[:2, 0], truth.au_mask[:3] = 1, True
    expr = np.array([0, 7, 1, 0])
    au = np.zeros((4, 12), np.int64)
    au[[0, 2], 0] = 1
    with pytest.warns(UndefinedScore):
        scores = official_scores(labels, np.zeros((4, 2)), expr, au, edition=2)
    # Neutral: F1 2/3 (one missed as Other), Anger 1, five classes 0; 2 of 3 frames right.
    assert scores["EXPR"] == pytest.approx(0.67 * (2 / 3 + 1) / 7 + 0.33 * 2 / 3)
    # AU1: F1 1/2; 34 of 36 elements right; frame 1 alone is right as a whole.
    assert scores["AU"] == pytest.approx(0.5 * (1 / 2) / 12 + 0.5 * 34 / 36)
    with pytest.warns(UndefinedScore):
        exact = official_scores(labels, np.zeros((4, 2)), expr, au, edition=2, exact=True)
    assert exact["AU"] == pytest.approx(0.5 * (1 / 2) / 12 + 0.5 * 1 / 3)


def test_edition_2_names_seven_classes_and_later_ones_eight() -> None:
    labels, predictions = sample(300)
    accumulator = MetricAccumulator(TASKS)
    add(accumulator, labels, *predictions)
    assert list(accumulator.class_scores(2)) == [*EXPRESSIONS[:7], *UNITS]
    latest = accumulator.scores()
    assert all(accumulator.scores(edition) == latest for edition in range(3, 12))
    assert accumulator.scores(2)["VA"] == latest["VA"]


def test_edition_2_without_a_label_of_its_classes_is_nan() -> None:
    expr = np.full(3, 7)
    labels = classic_labels(expr=expr)
    scores = official_scores(labels, np.zeros((3, 2)), expr, np.zeros((3, 12), bool), 2)
    assert all(map(math.isnan, scores.values()))


@pytest.mark.parametrize("edition", [1, 12])
def test_an_unknown_edition_is_refused(edition: int) -> None:
    with pytest.raises(ValueError, match="2 to 11"):
        MetricAccumulator(TASKS).scores(edition)


@pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore")
@settings(max_examples=30, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=30))
def test_compound_expressions_are_scored_over_seven_classes(pairs: list[tuple[int, int]]) -> None:
    truth, prediction = np.array(pairs).T
    wanted = f1_score(truth, prediction, labels=range(7), average="macro", zero_division=0)
    labels = TaskLabels(truth, np.ones(len(truth), bool))
    accumulator = MetricAccumulator(make_tasks({"compound": None}))
    accumulator.add_decided(FrameLabels(len(truth), {"compound": labels}), {"compound": prediction})
    assert accumulator.scores()["CE"] == pytest.approx(wanted, abs=1e-12)
    with pytest.raises(ValueError, match="0 to 6"):
        accumulator.add_decided(
            FrameLabels(len(truth), {"compound": labels}), {"compound": prediction + 7}
        )


# Shapes and sizes


@pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore")
@pytest.mark.parametrize("edition", [2, 11])
def test_one_frame_and_constant_predictions_have_scores(edition: int) -> None:
    for frames in (1, 50):
        labels, _ = sample(frames, valid=1.1)
        constant = (np.full((frames, 2), 0.3), np.zeros(frames, int), np.ones((frames, 12), bool))
        scores = official_scores(labels, *constant, edition=edition)
        assert scores["VA"] == 0
        share = (labels["expr"].values == 0).mean()
        if edition == 11:
            assert scores["EXPR"] == pytest.approx(2 * share / (1 + share) / 8)
            on = labels["au"].values.mean(axis=0)
            assert scores["AU"] == pytest.approx((2 * on / (1 + on)).mean(), abs=1e-6)


def test_two_million_frames_in_pieces_score_as_plain_numpy_does() -> None:
    rng = np.random.default_rng(0)
    frames, piece = 2_000_000, 400_000
    every = empty_labels(frames)
    labels = truth_of(every)
    labels.va[:] = rng.random((frames, 2), np.float32) * 2 - 1
    labels.expr[:] = rng.integers(0, 8, frames)
    labels.au[:] = rng.random((frames, 12), np.float32) < 0.2
    for mask in (labels.va_mask, labels.expr_mask, labels.au_mask):
        mask[frames // 10 :] = True
    va = (labels.va * np.float32(0.5) + np.float32(0.1)).astype(np.float32)
    expr = np.where(np.arange(frames) % 2, labels.expr, 3)
    au = labels.au.astype(bool)
    au[::3] = ~au[::3]
    pieces = MetricAccumulator(TASKS)
    for start in range(0, frames, piece):
        at = slice(start, start + piece)
        add(pieces, every.at(at), va[at], expr[at], au[at])
    valid = slice(frames // 10, None)
    truth, guess = labels.expr[valid], expr[valid]
    both = np.array([((truth == c) & (guess == c)).sum() for c in range(8)])
    sums = np.bincount(truth, minlength=8) + np.bincount(guess, minlength=8)
    on, said = labels.au[valid].astype(bool), au[valid]
    units = 2 * (on & said).sum(0) / (on.sum(0) + said.sum(0))
    wanted = {
        "CCC_V": plain_ccc(labels.va[valid, 0], va[valid, 0]),
        "CCC_A": plain_ccc(labels.va[valid, 1], va[valid, 1]),
        "EXPR": (2 * both / sums).mean(),
        "AU": units.mean(),
    }
    scores = pieces.scores()
    assert {name: scores[name] for name in wanted} == pytest.approx(wanted, abs=1e-12)
    assert scores["P"] == pytest.approx(scores["VA"] + scores["EXPR"] + scores["AU"])


# What the data set has


def test_classes_are_those_of_the_data_set() -> None:
    """Five of eight classes: to predict another is a miss, and no absent class counts as 0."""
    rng = np.random.default_rng(3)
    has = [0, 1, 4, 5, 6]
    truth = rng.choice(has, 300)
    guess = np.where(rng.random(300) < 0.6, truth, rng.integers(0, 8, 300))
    labels = classic_labels(expr=truth)
    names = {EXPRESSIONS[i] for i in has}
    blank = np.zeros((300, 2)), np.zeros((300, 12), bool)
    wanted = f1_score(truth, guess, labels=has, average="macro")
    scores = official_scores(labels, blank[0], guess, blank[1], expressions=names)
    assert scores["EXPR"] == pytest.approx(wanted, abs=1e-12)
    of_abaw = official_scores(labels, blank[0], guess, blank[1])["EXPR"]
    assert of_abaw == pytest.approx(wanted * 5 / 8, abs=1e-12)
    second = official_scores(labels, blank[0], guess, blank[1], edition=2, expressions=names)
    right = (truth == guess).mean()
    assert second["EXPR"] == pytest.approx(0.67 * wanted + 0.33 * right, abs=1e-12)
    pooled = MetricAccumulator(TASKS)
    for part in np.array_split(np.arange(300), 3):
        one = MetricAccumulator(TASKS, {"expr": frozenset(names)})
        add(one, labels.at(part), blank[0][part], guess[part], blank[1][part])
        pooled.merge(one)
    assert pooled.scores()["EXPR"] == pytest.approx(wanted, abs=1e-12)
    assert set(pooled.class_scores()) == names | set(UNITS)
    assert pooled.counted() == [
        "EXPR is over the 5 classes of this data set: Neutral, Anger, Happiness, Sadness, Surprise"
    ]
    drawn = bootstrap.scores_of_draws([pooled], np.ones((1, 1)))
    assert drawn["EXPR"][0] == pytest.approx(wanted, abs=1e-12)


def test_units_without_a_label_are_left_out_and_shown_as_none() -> None:
    labels, (va, expr, au) = sample(200)
    truth = truth_of(labels)
    truth.au_mask[:, 3:] = False
    accumulator = MetricAccumulator(TASKS)
    add(accumulator, labels, va, expr, au)
    wanted = [
        f1_score(truth.au[truth.au_mask[:, u], u], au[truth.au_mask[:, u], u]) for u in range(3)
    ]
    assert accumulator.scores()["AU"] == pytest.approx(np.mean(wanted), abs=1e-12)
    assert mean_binary_f1(truth.au, au, truth.au_mask) == pytest.approx(np.mean(wanted))
    named = accumulator.class_scores()
    assert [named[unit] for unit in UNITS[:3]] == pytest.approx(wanted)
    assert all(math.isnan(named[unit]) for unit in UNITS[3:])
    assert accumulator.counted() == ["AU is over the 3 units with labels: AU1, AU2, AU4"]


def test_class_scores_without_a_label_are_none_and_not_zero() -> None:
    labels, predictions = sample(50)
    labels["expr"].mask[:] = False
    labels["au"].mask[:] = False
    accumulator = MetricAccumulator(TASKS)
    add(accumulator, labels, *predictions)
    assert all(map(math.isnan, accumulator.class_scores().values()))
    assert all(map(math.isnan, accumulator.class_scores(2).values()))
    assert accumulator.counted() == []


@pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@settings(max_examples=60, deadline=None)
@given(
    frames=st.integers(1, 50),
    seed=st.integers(0, 2**16),
    valid=st.sampled_from([0.0, 0.02, 0.3, 0.8, 1.0]),
    edition=st.sampled_from([2, 3, 11]),
    has=st.sets(st.integers(0, 6), min_size=1).map(sorted),
)
def test_official_scores_are_those_of_scikit_learn_under_any_masks(
    frames: int, seed: int, valid: float, edition: int, has: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    every, (va, _, au) = sample(frames, seed, valid=2.0)
    labels = truth_of(every)
    for mask in (labels.va_mask, labels.expr_mask, labels.au_mask):
        mask[:] = rng.random(mask.shape) < valid
    labels.expr[:], expr = rng.choice(has, frames), rng.integers(0, 8, frames)
    names = [EXPRESSIONS[i] for i in has]
    scores = official_scores(every, va, expr, au, edition, expressions=names)

    seen, known, mask = labels.va_mask, labels.expr_mask, labels.au_mask
    wanted = dict.fromkeys(("VA", "EXPR", "AU"), math.nan)
    if seen.any():
        both = [plain_ccc(labels.va[seen, i], va[seen, i]) for i in range(2)]
        wanted["VA"] = np.mean(both) if seen.sum() > 1 else 0.0
    if known.any():
        truth, guess = labels.expr[known], expr[known]
        wanted["EXPR"] = f1_score(truth, guess, labels=has, average="macro", zero_division=0)
        if edition == 2:
            wanted["EXPR"] = 0.67 * wanted["EXPR"] + 0.33 * accuracy_score(truth, guess)
    if mask.any():
        units = [u for u in range(12) if mask[:, u].any()]
        pairs = [(labels.au[mask[:, u], u], au[mask[:, u], u]) for u in units]
        wanted["AU"] = np.mean([f1_score(t, g, zero_division=0) for t, g in pairs])
        if edition == 2:
            right = accuracy_score(labels.au[mask].astype(int), au[mask].astype(int))
            wanted["AU"] = 0.5 * wanted["AU"] + 0.5 * right
    assert {task: scores[task] for task in wanted} == pytest.approx(wanted, abs=1e-9, nan_ok=True)
    there = [score for score in wanted.values() if not math.isnan(score)]
    total = sum(there) if there else math.nan
    assert scores["P"] == pytest.approx(total, abs=1e-9, nan_ok=True)
