"""Whether scores mean what they say: probabilities as frequencies, values as values.

labels and predictions, clip by clip > Calibration > expected calibration errors, reliability.

What is held against what, the task says (`Task.reliability`): of classes the confidence
(probability of the decided class) against whether it was right; of a binary vector each element's
probability against whether it was on; of values the value against the label.

Letters: F frames.
"""

from dataclasses import dataclass, field

from fusion.data.predictions import FramePredictions
from fusion.tasks.base import Task
from fusion.tasks.labels import FrameLabels
from fusion.tasks.scoring.reliability import Reliability


@dataclass
class Calibration:
    """Reliability of all that is predicted, collected clip by clip.

    Attributes:
        tasks: Those of which anything was added.
        kept: Task to the reliability of its values.
    """

    tasks: dict[str, Task] = field(default_factory=dict)
    kept: dict[str, Reliability] = field(default_factory=dict)

    def add(self, labels: FrameLabels, predictions: FramePredictions) -> None:
        """Adds the frames of one clip, of which labels and predictions have equally many."""
        for name, task in predictions.tasks.items():
            self.tasks.setdefault(name, task)
            kept = self.kept.setdefault(name, task.no_reliability())
            own = task.scored_rows(task.labels_in(labels), predictions.values[name])
            task.reliability(kept, *own)

    def of_kinds(self) -> list[tuple[Task, Reliability]]:
        """Tasks with their reliability: classes, then binary vectors, then values."""
        order = ("classes", "binary", "values")
        every = sorted(self.tasks.items(), key=lambda item: order.index(item[1].kind))
        return [(task, self.kept[name]) for name, task in every]

    def errors(self) -> dict[str, float]:
        """Expected calibration error of each task that says probabilities, under its title."""
        return {
            title: error
            for name, task in self.tasks.items()
            for title, error in task.calibration_errors(self.kept[name]).items()
        }
