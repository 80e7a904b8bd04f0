"""From a few labelled minutes to a scale of one's own, judged on people it was not chosen by.

Data flow: pairs of each person > scale or threshold from all others > score on this one > pooled
score before and after > recalibration.csv; what all people give > recalibrated.yaml, for `--rules`.

Values: `intercept + slope * value` gives labels' mean and spread (what raises the concordance of
a given correlation most). On-off: the threshold with the best kappa. With one person there is
nobody to judge it on; the row says so.

Letters: P people, H thresholds.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from features.store.atomic_file import write_atomically
from fusion.statistics.own_labels.agreement import (
    COUNT,
    XX,
    XY,
    YY,
    X,
    Y,
    by_person,
    ccc,
    kappa,
    sums_of,
)
from fusion.statistics.own_labels.matching import HALF, Pairs

THRESHOLDS = np.round(np.arange(0.05, 0.96, 0.05), 2)


@dataclass
class Recalibration:
    """One column.

    Attributes:
        name: What was labelled.
        column: Of the predictions.
        score: `ccc` or `kappa`.
        before: As predicted.
        after: Recalibrated, each person by the others.
        slope, intercept: Of a column of values, from all people.
        threshold: Of an on-off column, from all people.
        people: How many.
        why_blank: Why something is not said.
    """

    name: str
    column: str
    score: str
    before: float
    after: float = np.nan
    slope: float = np.nan
    intercept: float = np.nan
    threshold: float = np.nan
    people: int = 0
    why_blank: str = ""


COLUMNS = tuple(Recalibration.__dataclass_fields__)


def recalibrations(pairs: Sequence[Pairs]) -> list[Recalibration]:
    """Of all columns of values, and of on-off labels of columns."""
    groups: dict[tuple[str, str], list[Pairs]] = {}
    for each in pairs:
        if each.column:
            groups.setdefault((each.name, each.column), []).append(each)
    return [
        _scaled(name, column, own) if own[0].kind == "values" else _switched(name, column, own)
        for (name, column), own in groups.items()
    ]


def scale_of(sums: np.ndarray) -> tuple[float, float]:
    """Intercept and slope that give predictions the mean and spread of the labels."""
    n = sums[COUNT]
    spread = np.sqrt(max(sums[XX] - sums[X] ** 2 / n, 0) / max(sums[YY] - sums[Y] ** 2 / n, 1e-12))
    return float(sums[X] / n - spread * sums[Y] / n), float(spread)


def scaled(sums: np.ndarray, intercept: float, slope: float) -> np.ndarray:
    """Sums of the same pairs with `intercept + slope * said`."""
    found = sums.copy()
    found[Y] = intercept * sums[COUNT] + slope * sums[Y]
    found[YY] = intercept**2 * sums[COUNT] + 2 * intercept * slope * sums[Y] + slope**2 * sums[YY]
    found[XY] = intercept * sums[X] + slope * sums[XY]
    return found


def _scaled(name: str, column: str, pairs: Sequence[Pairs]) -> Recalibration:
    people = by_person(pairs, sums_of)
    total = people.sum(axis=0)
    row = Recalibration(name, column, "ccc", float(ccc(total)), people=len(people))
    row.intercept, row.slope = scale_of(total)
    if len(people) < 2:
        row.why_blank = "one person: nobody to judge it on"
        return row
    after = [scaled(own, *scale_of(total - own)) for own in people]
    row.after = float(ccc(np.sum(after, axis=0)))
    return row


def _switched(name: str, column: str, pairs: Sequence[Pairs]) -> Recalibration:
    people = by_person(pairs, _tables)  # (P, H, 2, 2)
    total = people.sum(axis=0)
    usual = int(np.flatnonzero(np.isclose(THRESHOLDS, HALF))[0])
    row = Recalibration(name, column, "kappa", float(kappa(total[usual])), people=len(people))
    row.threshold = float(THRESHOLDS[_best(total)])
    if len(people) < 2:
        row.why_blank = "one person: nobody to judge it on"
        return row
    row.after = float(kappa(np.sum([own[_best(total - own)] for own in people], axis=0)))
    return row


def _tables(pairs: Pairs) -> np.ndarray:
    """(H, 2, 2) seconds by labelled and said, at each threshold."""
    assert pairs.level is not None
    on = pairs.level >= THRESHOLDS[:, None]
    codes = pairs.labelled * 2 + on + 4 * np.arange(len(THRESHOLDS))[:, None]
    weights = np.broadcast_to(pairs.weights, codes.shape)
    found = np.bincount(codes.ravel(), weights.ravel(), 4 * len(THRESHOLDS))
    return found.reshape(-1, 2, 2)


def _best(tables: np.ndarray) -> int:
    """Threshold with the best kappa; of equal ones the nearest to one half."""
    scores = np.nan_to_num(kappa(tables), nan=-np.inf)
    best = np.flatnonzero(scores >= scores.max() - 1e-12)
    return int(best[np.abs(THRESHOLDS[best] - HALF).argmin()])


def rows_of(found: Sequence[Recalibration]) -> list[dict[str, Any]]:
    """Rows of recalibration.csv."""
    return [asdict(each) for each in found]


def write_rules(found: Sequence[Recalibration], path: Path) -> Path:
    """Own measures and events that other commands take by `--rules`."""
    said: dict[str, dict[str, str]] = {"measures": {}, "events": {}}
    for each in found:
        if each.score == "ccc":
            formula = f"{each.intercept:.6g} + {each.slope:.6g} * '{each.column}'"
            said["measures"][f"{each.column}_recalibrated"] = formula
        else:
            said["events"][each.name] = f"'{each.column}' >= {each.threshold:g}"
    kept = {key: value for key, value in said.items() if value}
    write_atomically(path, yaml.safe_dump(kept, allow_unicode=True, sort_keys=False).encode())
    return path
