import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.metrics.bootstrap import (
    bootstrap,
    compare,
    draw_videos,
    interval_of,
    scores_of_draws,
)
from fusion.metrics.official import MetricAccumulator
from fusion.tasks.au import UNITS
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.scoring.statistics import DrawnMoments, PairMoments
from tests.fusion.classic import TASKS, classic_labels

pytestmark = pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore")


def video(seed: int, frames: int = 40, noise: float = 0.4, tasks: str = "VEA") -> MetricAccumulator:
    rng = np.random.default_rng(seed)
    labels = classic_labels(
        va=rng.uniform(-1, 1, (frames, 2)).astype(np.float32),
        va_mask=np.full(frames, "V" in tasks),
        expr=rng.integers(0, 8, frames),
        expr_mask=np.full(frames, "E" in tasks),
        au=(rng.random((frames, 12)) < 0.3).astype(np.float32),
        au_mask=np.full((frames, 12), "A" in tasks),
    )
    truth = {name: each.values for name, each in labels.by_task.items()}
    va = (truth["va"] + rng.normal(0, noise, (frames, 2))).clip(-1, 1)
    expr = np.where(rng.random(frames) < noise, rng.integers(0, 8, frames), truth["expr"])
    au = np.where(rng.random((frames, 12)) < noise, 1 - truth["au"], truth["au"]).astype(np.int64)
    metrics = MetricAccumulator(TASKS)
    metrics.add_decided(labels, {"va": va, "expr": expr, "au": au})
    return metrics


def repeated(videos: Sequence[MetricAccumulator], times: Sequence[int]) -> MetricAccumulator:
    total = MetricAccumulator(TASKS)
    for each, number in zip(videos, times, strict=True):
        for _ in range(number):
            total.merge(each)
    return total


@settings(max_examples=30, deadline=None)
@given(
    times=st.lists(st.integers(0, 3), min_size=3, max_size=6).filter(any),
    seed=st.integers(0, 100),
    edition=st.sampled_from((2, 11)),
    exact=st.booleans(),
)
def test_a_draw_scores_as_its_videos_pooled_frame_by_frame(
    times: list[int], seed: int, edition: int, exact: bool
) -> None:
    videos = [video(seed + i, frames=3 + 7 * i, noise=0.05) for i in range(len(times))]
    drawn = scores_of_draws(videos, np.array([times], float), edition, exact)
    whole = repeated(videos, times)
    wanted = whole.scores(edition, exact) | whole.class_scores(edition)
    assert {name: values[0] for name, values in drawn.items()} == pytest.approx(wanted, abs=1e-10)


def test_values_far_from_zero_keep_their_digits() -> None:
    rng = np.random.default_rng(0)
    truth = 0.9 + rng.normal(0, 1e-6, (5, 200))
    prediction = truth + rng.normal(0, 1e-6, truth.shape)
    moments = [PairMoments.of(t, p) for t, p in zip(truth, prediction, strict=True)]
    whole = PairMoments.of(truth.ravel(), prediction.ravel()).ccc()
    assert DrawnMoments.of(np.ones((1, 5)), moments).ccc()[0] == pytest.approx(whole, abs=1e-9)


def test_a_draw_with_one_value_only_scores_zero_and_one_without_frames_nan() -> None:
    wide, flat = np.linspace(-1, 0.83, 7), np.full(7, 0.1)
    assert flat.mean() != 0.1  # so that only the extremes tell that it is constant
    moments = [
        PairMoments.of(wide, wide),
        PairMoments.of(wide, flat),
        PairMoments.of(np.zeros(0), np.zeros(0)),
    ]
    weights = np.array([[0, 2, 1], [0, 0, 3], [1, 1, 1], [3, 0, 0]], float)
    scores = DrawnMoments.of(weights, moments).ccc()
    assert scores[0] == 0
    assert math.isnan(scores[1])
    assert 0 < scores[2] < 1
    assert scores[3] == pytest.approx(1)


def test_each_draw_has_as_many_videos_as_there_are_with_replacement() -> None:
    weights = draw_videos(7, 500, seed=3)
    assert (weights.sum(1) == 7).all()
    assert weights.max() > 1
    assert (weights == 0).any(axis=0).all()
    np.testing.assert_array_equal(weights, draw_videos(7, 500, seed=3))
    assert (weights != draw_videos(7, 500, seed=4)).any()


def test_videos_and_not_frames_are_drawn() -> None:
    good, bad = [video(i, 400, 0.1) for i in range(5)], [video(i, 400, 1.0) for i in range(5)]
    by_video = bootstrap(good + bad, 500, 1)["VA"]
    alike = bootstrap([repeated([g, b], [1, 1]) for g, b in zip(good, bad, strict=True)], 500, 1)
    assert by_video.high - by_video.low > 5 * (alike["VA"].high - alike["VA"].low)


def test_interval_is_that_of_a_plain_loop() -> None:
    videos = [video(i, 10 + 5 * i) for i in range(6)]
    weights = draw_videos(6, 200, seed=5)
    loop = [repeated(videos, row.astype(int)).scores()["P"] for row in weights]
    low, high = np.quantile(loop, [0.025, 0.975])
    interval = bootstrap(videos, 200, 5)["P"]
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-10)


def test_intervals_cover_the_score_of_all_and_every_class() -> None:
    videos = [video(i) for i in range(30)]
    found = bootstrap(videos, 400, 1)
    whole = repeated(videos, [1] * 30)
    assert list(found) == ["CCC_V", "CCC_A", "VA", "EXPR", "AU", "P", *EXPRESSIONS, *UNITS]
    for name, score in (whole.scores() | whole.class_scores()).items():
        assert found[name].low < score < found[name].high


def test_draws_without_a_label_of_a_task_do_not_count() -> None:
    videos = [video(0, tasks="V"), video(1, tasks="V"), video(2, tasks="VE")]
    found = bootstrap(videos, 300, 1)
    assert math.isnan(found["AU"].low)
    for name in ("VA", "EXPR", "P"):
        assert math.isfinite(found[name].low)
        assert math.isfinite(found[name].high)
    assert found["P"].high < 2


def test_one_video_or_no_draws_give_no_interval() -> None:
    assert bootstrap([video(0)], 100, 1) == {}
    assert bootstrap([video(0), video(1)], 0, 1) == {}
    assert bootstrap([], 100, 1) == {}
    alone = compare([video(0)], [video(0, noise=0.9)], 100, 1)["VA"]
    assert alone.difference > 0
    assert math.isnan(alone.interval.low)
    assert math.isnan(alone.better)


def test_equal_predictions_do_not_differ() -> None:
    videos = [video(i) for i in range(5)]
    for each in compare(videos, videos, 100, 1).values():
        assert (each.difference, each.interval.low, each.interval.high) == (0, 0, 0)
        assert each.better == 0.5
        assert not each.interval.excludes_zero


def test_pairing_finds_a_small_difference_that_separate_intervals_hide() -> None:
    hard = [0.2 + 0.1 * i for i in range(8)]
    first = [video(i, 300, noise) for i, noise in enumerate(hard)]
    second = [video(i, 300, noise + 0.03) for i, noise in enumerate(hard)]
    apart = [bootstrap(each, 500, 1)["VA"] for each in (first, second)]
    assert apart[0].low < apart[1].high
    together = compare(first, second, 500, 1)["VA"]
    assert together.interval.excludes_zero
    assert together.better == 1
    back = compare(second, first, 500, 1)["VA"]
    assert back.interval.high == pytest.approx(-together.interval.low)
    assert back.difference == pytest.approx(-together.difference)
    assert back.better == 0


def test_unequal_numbers_of_videos_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="2 and 1 videos"):
        compare([video(0), video(1)], [video(0)], 10, 1)


def test_percentiles_of_draws() -> None:
    values = np.append(np.arange(101.0), np.nan)
    assert (interval_of(values).low, interval_of(values).high) == pytest.approx((2.5, 97.5))
    assert math.isnan(interval_of(np.full(3, np.nan)).low)
