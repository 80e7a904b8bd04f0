"""What an imitation of Aff-Wild2's labels is like, beside what the real files are like.

tracks as written > `figures_table` > Markdown: one row a figure, imitation and original.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from experiments.studies.simulation.affwild2_figures import (
    QUANTILES,
    TRAIN,
    TRAIN_LABELS,
    VALIDATION,
    VALIDATION_LABELS,
    LabelFigures,
    SplitFigures,
)
from experiments.studies.simulation.affwild2_tracks import (
    autocorrelation,
    histogram_of,
    share_between,
    share_held,
)

NO_LABEL = -5.0


def figures_table(tracks: Mapping[str, Sequence[np.ndarray]], scale: float = 1.0) -> str:
    """Markdown table of the splits `train` and `validation`.

    Args:
        tracks: (F, 2) values as written, by split.
        scale: Share of the real lengths that the imitation has.
    """
    lines = ["| | figure | imitation | Aff-Wild2 |", "|---|---|---|---|"]
    for split, labels in ((TRAIN, TRAIN_LABELS), (VALIDATION, VALIDATION_LABELS)):
        for name, mine, real in _figures(split, labels, tracks[split.name], scale):
            lines.append(f"| {split.name} | {name} | {_text(mine)} | {_text(real)} |")
    return "\n".join(lines)


def _figures(
    split: SplitFigures, labels: LabelFigures, tracks: Sequence[np.ndarray], scale: float
) -> Iterator[tuple[str, ArrayLike, ArrayLike]]:
    """Name, imitation's and original's figures of one split."""
    lengths = np.array(list(map(len, tracks)))
    pooled = np.concatenate(tracks)
    valid = [track[track[:, 0] != NO_LABEL] for track in tracks]
    values = np.concatenate(valid)
    steps = np.concatenate([np.diff(track, axis=0) for track in valid])
    yield "files", [len(tracks)], [split.files]
    yield "rows", [len(pooled)], [split.rows * scale]
    yield "unlabelled rows", [len(pooled) - len(values)], [split.invalid_rows * scale]
    quantiles = np.quantile(lengths, QUANTILES)
    yield "frames of a file, quantiles", quantiles, np.array(split.lengths) * scale
    yield "mean, V and A", values.mean(0), labels.mean
    yield "standard deviation", values.std(0), labels.std
    yield "exactly 0, %", (values == 0).mean(0) * 100, np.array(labels.zeros) * 100
    yield "exactly -1 or 1, %", (np.abs(values) == 1).mean(0) * 100, np.array(labels.ends) * 100
    yield "variance between videos", share_between(valid), labels.between
    yield "steps in which V, A, both stay", share_held(valid), labels.held
    yield "autocorrelation at 30 frames", autocorrelation(valid, 30), labels.lag30
    yield "deviation of the first difference", steps.std(0), labels.step
    off = np.abs(histogram_of(values) - labels.histogram)
    yield "joint histogram, largest error in %", [off.max()], [0]
    yield "joint histogram, misplaced %", [off.sum() / 2], [0]


def _text(values: ArrayLike) -> str:
    """Whole numbers with thousands separated, others with three or four digits."""
    return ", ".join(
        f"{v:,.0f}" if float(v).is_integer() else f"{v:.4g}" for v in np.asarray(values, float)
    )
