"""How far predictions agree with people's own labels: kappa, CCC and ICC over all labelled time.

Data flow: pairs > sums of each person, which add up > scores > intervals by resampling people.

Classes and on-off: Cohen's kappa (1960) of the table of time. Values: concordance (Lin 1989), and
ICC(A,1), absolute agreement of single ratings in a two-way model (McGraw and Wong 1996).

Letters: P people, B draws, C classes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fusion.statistics.own_labels.matching import Pairs

FEWEST = 3
"""People below which there is no interval."""
COUNT, X, Y, XX, YY, XY = range(6)
"""Sums of pairs: samples, labelled, said, and their products."""


@dataclass
class Agreement:
    """One score.

    Attributes:
        name: What was labelled.
        score: `kappa`, `ccc` or `icc`.
        value: Over all people.
        low, high: 95 % interval by resampling people.
        people: How many.
        seconds: Labelled, with a prediction.
        why_blank: Why something is not said.
    """

    name: str
    score: str
    value: float
    low: float = np.nan
    high: float = np.nan
    people: int = 0
    seconds: float = 0.0
    why_blank: str = ""


COLUMNS = tuple(Agreement.__dataclass_fields__)


def kappa(table: np.ndarray) -> np.ndarray:
    """Of (..., C, C) tables; NaN where only one class was labelled and said."""
    total = table.sum((-2, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        same = np.trace(table, axis1=-2, axis2=-1) / total
        chance = (table.sum(-1) * table.sum(-2)).sum(-1) / total**2
        found = (same - chance) / (1 - chance)
    return np.asarray(np.where(1 - chance > 1e-12, found, np.nan))


def ccc(sums: np.ndarray) -> np.ndarray:
    """Of (..., 6) sums, with population moments; NaN if both are constant and alike."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = (xx - x**2 / n) + (yy - y**2 / n) + (x - y) ** 2 / n
        found = 2 * (xy - x * y / n) / spread
    return np.asarray(np.where(spread > 1e-12 * np.maximum(n, 1), found, np.nan))


def icc(sums: np.ndarray) -> np.ndarray:
    """ICC(A,1) of (..., 6) sums of two ratings."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (x + y) / (2 * n)
        rows = (xx + 2 * xy + yy) / 2 - 2 * n * mean**2
        raters = n * ((x / n - mean) ** 2 + (y / n - mean) ** 2)
        error = np.maximum(xx + yy - 2 * n * mean**2 - rows - raters, 0.0) / (n - 1)
        rows = rows / (n - 1)
        bottom = rows + error + 2 / n * (raters - error)
        found = (rows - error) / bottom
    return np.asarray(np.where(bottom > 1e-12, found, np.nan))


def table_of(pairs: Pairs) -> np.ndarray:
    """(C, C) seconds by labelled and said class."""
    many = len(pairs.classes)
    codes = pairs.labelled * many + pairs.said
    return np.bincount(codes, pairs.weights, many * many).reshape(many, many)


def sums_of(pairs: Pairs) -> np.ndarray:
    """(6,) sums in which a sample counts as long as it lasts, and one on average."""
    weights = pairs.weights / pairs.weights.mean()
    x, y = pairs.labelled, pairs.said
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y])
    return np.asarray((terms * weights).sum(axis=1))


def by_person(pairs: Iterable[Pairs], of: Callable[[Pairs], np.ndarray]) -> np.ndarray:
    """(P, ...) sums of each person, over clips, in order of their ids."""
    found: dict[str, np.ndarray] = {}
    for each in pairs:
        found[each.participant] = found.get(each.participant, 0) + of(each)
    return np.stack([found[who] for who in sorted(found)])


def agreements(pairs: Sequence[Pairs], draws: int, seed: int) -> list[dict[str, Any]]:
    """Rows of agreement.csv."""
    groups: dict[tuple[str, str], list[Pairs]] = {}
    for each in pairs:
        groups.setdefault((each.kind, each.name), []).append(each)
    rows = []
    for (kind, name), own in groups.items():
        seconds = float(sum(each.weights.sum() for each in own))
        scores = {"ccc": ccc, "icc": icc} if kind == "values" else {"kappa": kappa}
        people = by_person(own, sums_of if kind == "values" else table_of)
        for score, of in scores.items():
            row = Agreement(name, score, float(of(people.sum(axis=0))), people=len(people))
            row.seconds = seconds
            _judge(row, people, of, draws, seed)
            rows.append(asdict(row))
    return rows


def _judge(
    row: Agreement,
    people: np.ndarray,
    of: Callable[[np.ndarray], np.ndarray],
    draws: int,
    seed: int,
) -> None:
    if np.isnan(row.value):
        row.why_blank = "labels or predictions are all alike"
        return
    if len(people) < FEWEST:
        row.why_blank = f"no interval with fewer than {FEWEST} people"
        return
    picked = np.random.default_rng(seed).multinomial(
        len(people), np.full(len(people), 1 / len(people)), size=draws
    )
    drawn = of(np.tensordot(picked, people, axes=1))
    if not np.isnan(drawn).all():
        row.low, row.high = (float(each) for each in np.nanpercentile(drawn, (2.5, 97.5)))
