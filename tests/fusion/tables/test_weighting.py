"""Statistics over frames that last differently long."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fusion.tables.weighting import (
    durations,
    weighted_mean,
    weighted_quantiles,
    weighted_sd,
)

QUARTERS = np.array([0.25, 0.5, 0.75])
frames = st.lists(st.tuples(st.integers(1, 5), st.integers(-20, 20)), min_size=1, max_size=30)


@given(frames)
def test_a_frame_that_lasts_three_times_as_long_counts_as_three(rows: list) -> None:
    repeats, values = np.array(rows).T
    values = values.astype(float)
    weights, spread = repeats * 0.04, np.repeat(values, repeats)
    np.testing.assert_allclose(weighted_mean(values, weights), spread.mean(), atol=1e-9)
    np.testing.assert_allclose(weighted_sd(values, weights), spread.std(), atol=1e-9)
    expected = np.quantile(spread, QUARTERS, method="inverted_cdf")
    np.testing.assert_array_equal(weighted_quantiles(values, weights, QUARTERS), expected)


@given(frames, st.integers(0, 2**32 - 1))
def test_what_has_no_value_or_no_weight_counts_for_nothing(rows: list, seed: int) -> None:
    repeats, values = np.array(rows, float).T
    rng = np.random.default_rng(seed)
    more = rng.integers(0, 2, 5)
    padded = np.append(values, np.where(more, np.nan, 99.0))
    weights = np.append(repeats, more.astype(float))  # NaN with weight, 99 without
    order = rng.permutation(len(padded))
    padded, weights = padded[order], weights[order]
    for one in (weighted_mean, weighted_sd):
        np.testing.assert_allclose(one(padded, weights), one(values, repeats), atol=1e-9)
    np.testing.assert_array_equal(
        weighted_quantiles(padded, weights, QUARTERS),
        weighted_quantiles(values, repeats, QUARTERS),
    )


def test_nothing_has_no_statistics() -> None:
    none, weights = np.array([np.nan, np.nan]), np.ones(2)
    assert np.isnan([weighted_mean(none, weights), weighted_sd(none, weights)]).all()
    assert np.isnan(weighted_quantiles(none, weights, QUARTERS)).all()
    assert len(durations(np.empty(0))) == 0


def test_a_frame_lasts_until_the_next_one_but_not_over_a_pause() -> None:
    times = np.array([0.0, 0.1, 0.3, 0.4, 9.0, 9.1])
    np.testing.assert_allclose(durations(times), [0.1, 0.2, 0.1, 0.1, 0.1, 0.1])
    np.testing.assert_allclose(durations(np.array([3.0])), [0.04])
