"""Comparisons of groups and conditions against hand and scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from features.errors import UserError
from fusion.statistics.comparing import by_level, compared, hedges, interval, permutation
from fusion.statistics.curves import curve

RNG = np.random.default_rng(3)


def rows(values: dict[str, dict[str, float]], measure: str = "m_mean") -> list[dict]:
    return [
        {"id": who, "level": level, "seconds": 10.0, measure: value}
        for level, people in values.items()
        for who, value in people.items()
    ]


def people(prefix: str, values: np.ndarray) -> dict[str, float]:
    return {f"{prefix}{i}": float(v) for i, v in enumerate(values)}


def table(values: dict[str, dict[str, float]]) -> dict:
    (row,) = compared(rows(values), ["m_mean"], "level", "id", draws=500, seed=1)
    return row


def test_groups_of_other_people_are_compared_between_them() -> None:
    a, b = RNG.normal(1, 1, 9), RNG.normal(0, 2, 14)
    row = table({"a": people("a", a), "b": people("b", b)})
    assert (row["paired"], row["people_first"], row["people_second"]) == (False, 9, 14)
    assert row["difference"] == pytest.approx(a.mean() - b.mean())
    pooled = math.sqrt((8 * a.var(ddof=1) + 13 * b.var(ddof=1)) / 21)
    correction = math.gamma(21 / 2) / (math.sqrt(21 / 2) * math.gamma(20 / 2))
    assert row["effect"] == pytest.approx((a.mean() - b.mean()) / pooled * correction)
    assert row["low"] < row["difference"] < row["high"]
    welch = stats.ttest_ind(a, b, equal_var=False)
    assert row["p"] == pytest.approx(welch.pvalue, abs=0.05)
    low, high = welch.confidence_interval()
    assert (row["low"], row["high"]) == (pytest.approx(low, abs=0.5), pytest.approx(high, abs=0.5))


def test_the_same_people_are_compared_within_themselves() -> None:
    base = RNG.normal(0, 5, 8)
    gain = RNG.normal(1, 0.2, 8)
    before, after = people("p", base), people("p", base + gain)
    row = table({"after": {**after, "late": 90.0}, "before": before})
    assert (row["paired"], row["people_first"], row["left_out"]) == (True, 8, 1)
    assert row["difference"] == pytest.approx(gain.mean())
    assert row["p"] == pytest.approx(2 / 2**8), "every sign is another way, all as far or less"
    correction = math.gamma(7 / 2) / (math.sqrt(7 / 2) * math.gamma(6 / 2))
    assert row["effect"] == pytest.approx(gain.mean() / gain.std(ddof=1) * correction)
    assert 0.7 < row["low"] < row["high"] < 1.3


def test_few_who_are_in_both_groups_count_in_neither() -> None:
    a, b = people("a", RNG.normal(size=9)), people("b", RNG.normal(size=9))
    row = table({"a": {**a, "both": 5.0}, "b": {**b, "both": 6.0}})
    assert (row["paired"], row["left_out"], row["people_first"]) == (False, 1, 9)
    assert row["mean_first"] == pytest.approx(np.mean(list(a.values())))


def test_an_exact_permutation_by_hand() -> None:
    x, y = np.array([4.0, 5.0, 6.0]), np.array([1.0, 2.0, 3.0])
    assert permutation(x, y, False, 0) == pytest.approx(2 / math.comb(6, 3))
    assert permutation(x, y, True, 0) == pytest.approx(2 / 2**3)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(60):
        low, high = interval(rng.normal(1, 1, 25), rng.normal(0, 1, 25), False, 400, seed)
        hits += low <= 1 <= high
    assert 50 <= hits <= 60


def test_clips_of_a_person_are_one_value_by_their_seconds() -> None:
    said = rows({"a": {"p": 1.0}}) + rows({"a": {"p": 4.0}})
    said[1] |= {"seconds": 20.0, "m_valid": 0.25}
    said.append({"id": "p", "level": None, "seconds": 1.0, "m_mean": 99.0})
    said.append({"id": "q", "level": "a", "seconds": 1.0, "m_mean": math.nan})
    assert by_level(said, "m_mean", "level", "id") == {"a": {"p": pytest.approx(2.0)}}


def test_corrections_for_many_measures_by_hand() -> None:
    rng = np.random.default_rng(5)
    groups = {"a": people("a", np.zeros(8)), "b": people("b", np.zeros(8))}
    said = rows(groups)
    shifts = {"m1_mean": 3.0, "m2_mean": 1.0, "m3_mean": 0.0, "same_mean": None}
    for row in said:
        for name, shift in shifts.items():
            moved = 0.0 if shift is None else rng.normal() + shift * (row["level"] == "b")
            row[name] = moved
    found = compared(said, list(shifts), "level", "id", draws=200, seed=0)
    assert found[3]["why_blank"] == "all people are alike"
    assert math.isnan(found[3]["p"])
    p = np.array([row["p"] for row in found[:3]])
    order = np.argsort(p)
    holm = np.minimum(np.maximum.accumulate(p[order] * [3, 2, 1]), 1)
    rate = np.minimum(np.minimum.accumulate((p[order] * 3 / [1, 2, 3])[::-1])[::-1], 1)
    np.testing.assert_allclose([found[i]["p_holm"] for i in order], holm)
    np.testing.assert_allclose([found[i]["p_fdr"] for i in order], rate)


def test_too_few_people_are_told() -> None:
    row = table({"a": people("a", np.arange(2.0)), "b": people("b", np.arange(5.0))})
    assert row["why_blank"] == "fewer than 3 people"
    assert (row["difference"], math.isnan(row["p"])) == (-1.5, True)
    nobody = {"a": people("a", np.full(4, np.nan)), "b": people("b", np.arange(5.0))}
    assert table(nobody)["why_blank"] == "nobody with a value in a"


@pytest.mark.parametrize("levels", [["a"], [str(i) for i in range(30)]])
def test_what_is_no_group_is_refused(levels: list[str]) -> None:
    said = rows({level: {f"p{level}": 1.0} for level in levels})
    with pytest.raises(UserError, match=f"'level' has {len(levels)} values; 2 to 8"):
        compared(said, ["m_mean"], "level", "id", draws=10, seed=0)


def test_no_spread_has_no_effect_size() -> None:
    assert math.isnan(hedges(np.ones(3), np.zeros(3), False))
    assert interval(np.ones(3), np.zeros(3), True, 100, 0) == (1, 1)


def test_a_curve_is_the_mean_over_people_who_are_there() -> None:
    data = np.array([[1.0, 2.0, np.nan], [3.0, 4.0, np.nan], [5.0, np.nan, 7.0]])
    found = curve(data, 2000, 0)
    np.testing.assert_allclose(found["mean"], [3, 3, 7])
    np.testing.assert_array_equal(found["people"], [3, 2, 1])
    assert np.isnan(found["low"][1:]).all()
    # One in 27 draws is three times the least, which is more than 2.5 %.
    assert (found["low"][0], found["high"][0]) == (1, 5)
