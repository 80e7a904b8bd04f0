"""Groups or conditions held against each other, with people as the unit.

Data flow: summary rows > mean of each person and level > pairs of levels > difference, interval,
test, effect size > correction over all tests > compare.csv.

Clips of one person under one level are one value, their mean by seconds with a value. Where at
least half of the people are in both levels, differences within them are taken (paired) and those
who are in one only are left out; else those who are in both are left out, so that nobody counts
twice.

Interval: bias-corrected bootstrap over people (Efron 1987). p: permutation of people between
groups, or of signs of their differences. Effect: Hedges' g, or paired, the mean difference by the
standard deviation of differences, with the same correction for few people.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import gammaln

from features.errors import UserError
from fusion.tables.extras import needed

MOST_LEVELS = 8
FEWEST = 3
"""People a level, below which there is no interval and no test."""
EXTRA = "statistics"
PERMUTATIONS = 10_000
"""Least p is two of so many, which must be small enough to survive correction."""
ALIKE = 1e-6
"""Relative spread that is rounding of stored values."""


@dataclass
class Comparison:
    """One measure in two levels.

    Attributes:
        measure: Column of the summary.
        first, second: The levels.
        people_first, people_second: Who count.
        left_out: People with a value in one level only of a paired comparison.
        paired: Whether differences are within people.
        mean_first, mean_second: Over people.
        difference: First less second.
        low, high: Its 95 % interval.
        effect: Size by its name.
        effect_name: `Hedges g` or `Hedges g, paired`.
        p: Of no difference.
        p_holm, p_fdr: Corrected over all rows of the table.
        why_blank: Why something is not said.
    """

    measure: str
    first: str
    second: str
    people_first: int
    people_second: int
    left_out: int
    paired: bool
    mean_first: float = np.nan
    mean_second: float = np.nan
    difference: float = np.nan
    low: float = np.nan
    high: float = np.nan
    effect: float = np.nan
    effect_name: str = ""
    p: float = np.nan
    p_holm: float = np.nan
    p_fdr: float = np.nan
    why_blank: str = ""


COLUMNS = tuple(Comparison.__dataclass_fields__)
Levels = dict[str, dict[str, float]]
"""Level to people to their value."""


def compared(
    rows: Sequence[Mapping[str, Any]],
    measures: Sequence[str],
    group: str,
    id: str,
    *,
    draws: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Rows of compare.csv.

    Args:
        rows: Of the summary; those without a level do not count.
        measures: Columns to compare.
        group: Column of the levels.
        id: Column of the people.
        draws: Of the interval.
        seed: Of the draws.

    Raises:
        UserError: If there are no two levels, or too many to be groups; or statsmodels is missing.
    """
    levels = sorted({str(row[group]) for row in rows if row.get(group) is not None})
    if not 2 <= len(levels) <= MOST_LEVELS:
        raise UserError(
            f"'{group}' has {len(levels)} values; 2 to {MOST_LEVELS} can be compared, each a group"
        )
    multitest = needed("statsmodels.stats.multitest", "compare.csv", EXTRA)
    found = []
    for measure in measures:
        values = by_level(rows, measure, group, id)
        for first, second in combinations(levels, 2):
            pair = values.get(first, {}), values.get(second, {})
            found.append(_one(measure, first, second, *pair, draws=draws, seed=seed))
    tested = [each for each in found if not np.isnan(each.p)]
    if tested:
        p = [each.p for each in tested]
        holm = multitest.multipletests(p, method="holm")[1]
        fdr = multitest.multipletests(p, method="fdr_bh")[1]
        for each, corrected, rate in zip(tested, holm, fdr, strict=True):
            each.p_holm, each.p_fdr = float(corrected), float(rate)
    return [asdict(each) for each in found]


def by_level(rows: Sequence[Mapping[str, Any]], measure: str, group: str, id: str) -> Levels:
    """Value of each person and level: the mean over clips by seconds with a value."""
    sums: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in rows:
        value = row.get(measure, np.nan)
        if row.get(group) is None or value is None or np.isnan(value):
            continue
        valid = row.get(f"{measure.rpartition('_')[0]}_valid", 1.0)
        weight = float(row["seconds"]) * float(valid)
        sums.setdefault(str(row[group]), {}).setdefault(str(row[id]), []).append((value, weight))
    return {
        level: {
            who: float(np.average([v for v, _ in each], weights=[w for _, w in each]))
            for who, each in people.items()
        }
        for level, people in sums.items()
    }


def _one(
    measure: str,
    first: str,
    second: str,
    a: Mapping[str, float],
    b: Mapping[str, float],
    *,
    draws: int,
    seed: int,
) -> Comparison:
    both = sorted(a.keys() & b.keys())
    paired = bool(both) and 2 * len(both) >= len(a.keys() | b.keys())
    first_people = both if paired else sorted(a.keys() - set(both))
    second_people = both if paired else sorted(b.keys() - set(both))
    x, y = np.array([a[who] for who in first_people]), np.array([b[who] for who in second_people])
    left_out = len(a.keys() | b.keys()) - len({*first_people, *second_people})
    row = Comparison(measure, first, second, len(x), len(y), left_out, paired)
    if not len(x) or not len(y):
        row.why_blank = f"nobody with a value in {second if len(x) else first}"
        return row
    row.mean_first, row.mean_second = float(x.mean()), float(y.mean())
    row.difference = row.mean_first - row.mean_second
    if min(len(x), len(y)) < FEWEST:
        row.why_blank = f"fewer than {FEWEST} people"
        return row
    if np.ptp([*x, *y]) <= ALIKE * max(abs(row.mean_first), abs(row.mean_second)):
        row.why_blank = "all people are alike"
        return row
    row.effect_name = "Hedges g, paired" if paired else "Hedges g"
    row.effect = hedges(x, y, paired)
    row.low, row.high = interval(x, y, paired, draws, seed)
    row.p = permutation(x, y, paired, seed)
    return row


def hedges(x: np.ndarray, y: np.ndarray, paired: bool) -> float:
    """Standardised difference, corrected for few people (Hedges 1981); NaN without any spread."""
    freedom = len(x) - 1 if paired else len(x) + len(y) - 2
    if paired:
        spread = float((x - y).std(ddof=1))
    else:
        spread = float(np.sqrt((x.var() * len(x) + y.var() * len(y)) / freedom))
    exact = np.exp(gammaln(freedom / 2) - gammaln((freedom - 1) / 2)) / np.sqrt(freedom / 2)
    return float((x.mean() - y.mean()) / spread * exact) if spread > 0 else np.nan


def interval(
    x: np.ndarray, y: np.ndarray, paired: bool, draws: int, seed: int
) -> tuple[float, float]:
    """95 % interval of the difference of means by resampling people."""
    if paired:
        data: tuple[np.ndarray, ...] = (x - y,)
    else:
        data = (x, y)
    if all(np.ptp(each) == 0 for each in data):
        difference = float(x.mean() - y.mean())
        return difference, difference
    for method in ("BCa", "percentile"):  # the correction is not defined for all data
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            found = stats.bootstrap(
                data,
                _mean if paired else _difference,
                n_resamples=draws,
                method=method,
                vectorized=True,
                rng=np.random.default_rng(seed),
            ).confidence_interval
        if np.isfinite([found.low, found.high]).all():
            break
    return float(found.low), float(found.high)


def permutation(x: np.ndarray, y: np.ndarray, paired: bool, seed: int) -> float:
    """Two-sided p of no difference; exact where there are fewer than `PERMUTATIONS`."""
    rng = np.random.default_rng(seed)
    if paired:
        found = stats.permutation_test(
            (x - y,),
            _mean,
            permutation_type="samples",
            n_resamples=PERMUTATIONS,
            vectorized=True,
            rng=rng,
        )
    else:
        found = stats.permutation_test(
            (x, y),
            _difference,
            permutation_type="independent",
            n_resamples=PERMUTATIONS,
            vectorized=True,
            rng=rng,
        )
    return float(found.pvalue)


def _mean(x: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.asarray(np.mean(x, axis=axis))


def _difference(x: np.ndarray, y: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.asarray(np.mean(x, axis=axis) - np.mean(y, axis=axis))
