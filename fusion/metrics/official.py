"""Official scores of all tasks.

labels and decided values, clip by clip > MetricAccumulator > scores pooled over all valid frames.

Everything is float64 and counts; memory does not grow with the data, and the result does not
depend on how the frames are cut into pieces. How a task is scored, the task says
(`Task.statistics`, `Task.official`); fusion/tasks/scoring says by which formulas.

On a data set that is not ABAW's, classes are those that it has, and a binary vector on any data
those elements that have a label: what cannot be right or wrong is no 0. `counted` says which.

Letters: F frames, N pooled valid frames, C classes, U elements of a binary vector.
"""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from fusion.tasks.labels import FrameLabels
from fusion.tasks.registry import Tasks
from fusion.tasks.scoring.interface import EDITIONS, LATEST, Rules
from fusion.tasks.scoring.statistics import (
    PairMoments,
    confusion_of,
    f1_of,
    one_against_rest,
    unit_counts_of,
)

T = TypeVar("T")
TOTAL = "P"
"""Sum of the official scores of all tasks that are scored."""


class UndefinedScore(UserWarning):
    """A class that is neither in the truth nor predicted; its F1 counts as 0."""


def ccc(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Concordance correlation coefficient (Lin, 1989) with population moments (ddof 0).

    `2 cov / (var_x + var_y + (mean_x - mean_y)^2)`; 0 if either side is constant.

    Args:
        truth: (N,) values.
        prediction: (N,) values.

    Raises:
        ValueError: If the arrays are empty, not finite, or of unequal shape.
    """
    moments = PairMoments.of(truth, prediction)
    if moments.count == 0:
        raise ValueError("no frame to score")
    return moments.ccc()


def macro_f1(truth: np.ndarray, prediction: np.ndarray, classes: int) -> float:
    """Mean over the classes of F1; a class in neither counts as 0, with a warning.

    Args:
        truth: (N,) integers below `classes`.
        prediction: (N,) integers below `classes`.
        classes: C.
    """
    counts = one_against_rest(confusion_of(truth, prediction, classes))
    _warn_of([f"class {i}" for i, row in enumerate(counts) if not row.any()])
    return float(f1_of(counts).mean())


def mean_binary_f1(
    truth: np.ndarray, prediction: np.ndarray, mask: np.ndarray | None = None
) -> float:
    """Mean over the elements of the F1 of "on"; one that is never on counts as 0, with a warning.

    Elements without a single valid label are left out of the mean.

    Args:
        truth: (N, U) 0 or 1.
        prediction: (N, U) 0 or 1, integer or bool: decided, not logits.
        mask: (N, U) bool, elements that count; all of them if None.
    """
    valid = np.ones(truth.shape, bool) if mask is None else mask
    counts = unit_counts_of(truth, prediction, valid)
    seen = np.flatnonzero(counts[:, 3])
    _warn_of([f"unit {i}" for i in seen if not counts[i, :3].any()])
    return float(f1_of(counts[seen, :3]).mean()) if len(seen) else math.nan


class MetricAccumulator:
    """Collects labels and decided values of any number of clips, then gives the official scores.

    Args:
        tasks: What is scored.
        classes: Task to the names of the classes that the data has; one that is not there has all.

    Attributes:
        statistics: Task to what is kept of it.
    """

    def __init__(self, tasks: Tasks, classes: Mapping[str, frozenset[str]] | None = None) -> None:
        self.tasks, self.classes = dict(tasks), dict(classes or {})
        self.statistics: dict[str, Any] = {n: t.no_statistics() for n, t in self.tasks.items()}

    def add(
        self,
        labels: FrameLabels,
        values: Mapping[str, np.ndarray],
        thresholds: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Adds frames; those without a label do not count.

        Args:
            labels: F frames; use `labels.resized(F)` where predictions are fewer or more.
            values: Task to its final values (F, C).
            thresholds: Task to the thresholds of its values, of tasks that have any.

        Raises:
            ValueError: If a shape or type is another, or a value that counts is not finite.
        """
        for name, task in self.tasks.items():
            own, said = task.scored_rows(task.labels_in(labels), values[name])
            if len(said) != len(own):
                raise ValueError(f"{name}: predictions {said.shape}, labels {own.values.shape}")
            decided = task.said_of(said, (thresholds or {}).get(name))
            self.statistics[name] = self.statistics[name].merged(task.statistics(own, decided))

    def add_decided(self, labels: FrameLabels, decided: Mapping[str, np.ndarray]) -> None:
        """As `add`, of what has been decided already (see `Task.decided`)."""
        for name, task in self.tasks.items():
            new = task.statistics(task.labels_in(labels), decided[name])
            self.statistics[name] = self.statistics[name].merged(new)

    def merge(self, other: "MetricAccumulator") -> None:
        """Adds what another accumulator (of another process, say) has collected."""
        for name, task in other.tasks.items():
            held, new = self.statistics.get(name), other.statistics[name]
            self.tasks.setdefault(name, task)
            self.statistics[name] = new if held is None else held.merged(new)
        for name, found in other.classes.items():
            self.classes[name] = self.classes.get(name, frozenset()) | found

    def rules(self, task: str, edition: int = LATEST, exact: bool = False) -> Rules:
        """By which a task is scored."""
        return Rules(edition, exact, self.classes.get(task, frozenset()))

    def scores(self, edition: int = LATEST, exact: bool = False) -> dict[str, float]:
        """Official scores; NaN for a task that had no label at all.

        Args:
            edition: Number of the challenge, 2 to 11.
            exact: In edition 2, accuracy of binary vectors by whole frames, not by elements.

        Returns:
            The scores of each task (`Task.official`); `P`, the sum of those under the tasks' titles
            (the MTL score). Tasks without a label are left out of P, so compare P only where the
            same tasks are labelled.
        """
        if edition not in EDITIONS:
            raise ValueError(f"editions are {EDITIONS[0]} to {EDITIONS[-1]}, not {edition}")
        found: dict[str, float] = {}
        for name, task in self.tasks.items():
            rules = self.rules(name, edition, exact)
            _warn_of(task.absent(self.statistics[name], rules))
            found |= task.official(self.statistics[name], rules)
        scored = [s for t in self.tasks.values() if not math.isnan(s := found[t.title])]
        return {**found, TOTAL: sum(scored) if scored else math.nan}

    def class_scores(self, edition: int = LATEST) -> dict[str, float]:
        """Score of each class, value or element by its name, NaN without a label."""
        return {
            key: score
            for name, task in self.tasks.items()
            for key, score in task.class_scores(
                self.statistics[name], self.rules(name, edition)
            ).items()
        }

    def counted(self, edition: int = LATEST) -> list[str]:
        """What scores are means over, a line each, where it is not all that there is."""
        return [
            line
            for name, task in self.tasks.items()
            for line in task.counted(self.statistics[name], self.rules(name, edition))
        ]


def without_lone_total(scores: Mapping[str, T], tasks: Tasks) -> dict[str, T]:
    """What is said by the names of scores, without the sum where there is one task alone."""
    return {name: each for name, each in scores.items() if name != TOTAL or len(tasks) != 1}


def pooled(parts: Iterable[MetricAccumulator]) -> MetricAccumulator:
    """Statistics of all parts together."""
    total = MetricAccumulator({})
    for part in parts:
        total.merge(part)
    return total


def _warn_of(absent: Sequence[str]) -> None:
    """Warns of classes that scikit-learn, too, gives F1 0."""
    if absent:
        warnings.warn(
            f"neither labelled nor predicted, so F1 is 0: {', '.join(absent)}",
            UndefinedScore,
            stacklevel=3,
        )
