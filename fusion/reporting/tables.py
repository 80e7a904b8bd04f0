"""Tables of an evaluation: scores, classes, units, valence and arousal, clips, confusion, bins.

Evaluation + intervals > pandas tables of full precision > CSV, Markdown
(fusion.reporting.score_report).

Shares, F1 and errors are 0 to 1. A score without any label is NaN, and a dash in Markdown.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from fusion.metrics.bootstrap import Comparison, Interval
from fusion.metrics.calibration import Calibration, Reliability
from fusion.metrics.evaluation import Evaluation
from fusion.metrics.official import MetricAccumulator, counted_classes, expression_counts
from fusion.metrics.sufficient_statistics import f1_of, share
from fusion.tasks.labels import DIMENSIONS, EXPRESSIONS, UNITS

NO_INTERVAL = Interval(math.nan, math.nan)


def score_table(scores: Mapping[str, float], intervals: Mapping[str, Interval]) -> pd.DataFrame:
    """One row a score: `score`, value, and the interval's two ends."""
    return pd.DataFrame(
        {"score": list(scores), "value": list(scores.values()), **_ends(list(scores), intervals)}
    )


def class_table(
    metrics: MetricAccumulator, intervals: Mapping[str, Interval], edition: int
) -> pd.DataFrame:
    """One row an expression: frames in truth and prediction, precision, recall, F1."""
    classes = counted_classes(edition, metrics.expressions)
    counts = expression_counts(metrics.confusion, classes)
    names = [EXPRESSIONS[i] for i in classes]
    known = np.full(len(names), metrics.confusion[classes].any())
    table = {"expression": names, **_detection(counts, known), **_ends(names, intervals)}
    return pd.DataFrame(table)


def detection_table(
    title: str, names: Sequence[str], counts: np.ndarray, intervals: Mapping[str, Interval]
) -> pd.DataFrame:
    """One row a class, from (K, 3) counts: frames true and predicted, precision, recall, F1."""
    known = np.full(len(names), counts.any())
    table = {title: list(names), **_detection(counts, known), **_ends(list(names), intervals)}
    return pd.DataFrame(table)


def unit_table(
    metrics: MetricAccumulator, intervals: Mapping[str, Interval], calibration: Calibration
) -> pd.DataFrame:
    """One row a unit: valid frames, on in truth and prediction, precision ... calibration error."""
    counts, valid = metrics.units[:, :3], metrics.units[:, 3]
    table = pd.DataFrame({"unit": UNITS, "valid": valid, **_detection(counts, valid > 0)})
    ends = _ends(UNITS, intervals)
    accuracy = _ratio(valid - counts[:, 1:].sum(1), valid)
    return table.assign(**ends, accuracy=accuracy, ECE=calibration.au.errors())


def affect_table(metrics: MetricAccumulator) -> pd.DataFrame:
    """One row for valence and for arousal: bias and scale of the prediction, r, CCC.

    `bias` is mean predicted - mean true, `scale` the ratio of the standard deviations (ddof 0).
    """
    rows = []
    for name, m in zip(DIMENSIONS, metrics.va, strict=True):
        mean = m.mean if m.count else np.full(2, np.nan)
        true, predicted = m.deviation()
        rows.append(
            {
                "dimension": name,
                "frames": m.count,
                "mean true": mean[0],
                "mean predicted": mean[1],
                "bias": mean[1] - mean[0],
                "std true": true,
                "std predicted": predicted,
                "scale": predicted / true if true > 0 else math.nan,
                "r": m.correlation(),
                "CCC": m.ccc(),
            }
        )
    return pd.DataFrame(rows)


def confusion_table(metrics: MetricAccumulator, edition: int) -> pd.DataFrame:
    """Frames by expression: a row a true class, a column a predicted one."""
    classes = counted_classes(edition, metrics.expressions)
    table = pd.DataFrame(metrics.confusion[classes], columns=list(EXPRESSIONS))
    table.insert(0, "true \\ predicted", [EXPRESSIONS[i] for i in classes])
    return table


def clip_table(evaluation: Evaluation, edition: int) -> pd.DataFrame:
    """One row a scored clip, in order of the ids.

    F1 is the mean over the classes or units that occur in the clip's truth or prediction: few clips
    show all of them, and the official mean would count the others as 0.
    """
    rows = []
    for name in sorted(evaluation.scored):
        clip, metrics = evaluation.clips[name], evaluation.scored[name]
        valence, arousal = (moments.ccc() for moments in metrics.va)
        rows.append(
            {
                "id": name,
                "video": clip.video,
                "frames": evaluation.frames[name],
                "VA frames": metrics.va[0].count,
                "CCC_V": valence,
                "CCC_A": arousal,
                **_clip_expressions(metrics, edition),
                **_clip_units(metrics),
            }
        )
    return pd.DataFrame(rows)


def comparison_table(comparisons: Mapping[str, Comparison]) -> pd.DataFrame:
    """One row a score of two sets of predictions."""
    return pd.DataFrame(
        {
            "score": list(comparisons),
            "first": [c.first for c in comparisons.values()],
            "second": [c.second for c in comparisons.values()],
            "difference": [c.difference for c in comparisons.values()],
            "low": [c.interval.low for c in comparisons.values()],
            "high": [c.interval.high for c in comparisons.values()],
            "first better": [c.better for c in comparisons.values()],
        }
    )


def bin_table(calibration: Calibration) -> pd.DataFrame:
    """One row a bin that has frames, quantity by quantity: range, frames, both means."""
    parts = [
        _bins("confidence", calibration.expr, 0),
        *(_bins(unit, calibration.au, i) for i, unit in enumerate(UNITS)),
        *(_bins(name, calibration.va, i) for i, name in enumerate(DIMENSIONS)),
    ]
    return pd.concat(parts, ignore_index=True)


def to_markdown(table: pd.DataFrame, digits: int = 3) -> str:
    """A Markdown table with aligned columns: numbers to the right, a dash for NaN."""
    columns = [[str(name), *(_cell(v, digits) for v in table[name])] for name in table]
    right = [pd.api.types.is_numeric_dtype(table[name]) for name in table]
    widths = [max(3, *map(len, cells)) for cells in columns]
    lines = [
        [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)]
        for row in zip(*columns, strict=True)
    ]
    rule = ["-" * (w - 1) + (":" if r else "-") for w, r in zip(widths, right, strict=True)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def _cell(value: object, digits: int) -> str:
    if isinstance(value, float | np.floating):
        return "-" if math.isnan(value) else f"{value:.{digits}f}"
    return str(value).replace("|", "\\|")


def _ends(names: list[str] | tuple[str, ...], intervals: Mapping[str, Interval]) -> dict:
    found = [intervals.get(name, NO_INTERVAL) for name in names]
    return {"low": [each.low for each in found], "high": [each.high for each in found]}


def _detection(counts: np.ndarray, known: np.ndarray) -> dict[str, np.ndarray]:
    """Columns from (K, 3) both, only predicted, only true; F1 is NaN where not (K,) `known`."""
    both, predicted, true = counts.T
    return {
        "true": both + true,
        "predicted": both + predicted,
        "precision": _ratio(both, both + predicted),
        "recall": _ratio(both, both + true),
        "F1": np.where(known, f1_of(counts), np.nan),
    }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`, NaN where the whole is 0."""
    return np.where(whole > 0, share(part, whole), np.nan)


def _clip_expressions(metrics: MetricAccumulator, edition: int) -> dict[str, float]:
    classes = counted_classes(edition, metrics.expressions)
    counts = expression_counts(metrics.confusion, classes)
    frames = int(metrics.confusion[classes].sum())
    return {
        "EXPR frames": frames,
        "EXPR accuracy": float(counts[:, 0].sum()) / frames if frames else math.nan,
        "EXPR F1": _mean_f1_of_present(counts),
    }


def _clip_units(metrics: MetricAccumulator) -> dict[str, float]:
    elements = int(metrics.units[:, 3].sum())
    wrong = int(metrics.units[:, 1:3].sum())
    f1 = _mean_f1_of_present(metrics.units[:, :3])
    return {
        "AU frames": int(metrics.exact[1]),
        "AU accuracy": 1 - wrong / elements if elements else math.nan,
        "AU F1": f1 if elements else math.nan,
    }


def _mean_f1_of_present(counts: np.ndarray) -> float:
    """Mean F1 over the rows of (K, 3) counts that are not all 0; NaN if there is none."""
    present = counts.any(1)
    return float(f1_of(counts[present]).mean()) if present.any() else math.nan


def _bins(name: str, reliability: Reliability, index: int) -> pd.DataFrame:
    predicted, observed, frames = (values[index] for values in reliability.curves())
    edges = np.linspace(reliability.low, reliability.high, len(frames) + 1)
    table = pd.DataFrame(
        {
            "quantity": name,
            "from": edges[:-1],
            "to": edges[1:],
            "frames": frames.astype(np.int64),
            "mean predicted": predicted,
            "mean observed": observed,
        }
    )
    return table[table["frames"] > 0]
