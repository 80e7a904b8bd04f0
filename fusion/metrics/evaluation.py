"""Predictions against labels: the statistics that all scores, tables and pictures come from.

predictions, one clip at a time + labels > Evaluation (counts by clip) > fusion.metrics.official,
fusion.metrics.bootstrap, fusion.reporting.tables, fusion.reporting.figures.

Only counts are kept, so memory does not grow with the frames. Row i of the labels is frame i + 1,
as is row i of the predictions; where one has more rows than the other the surplus is not scored.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from features.cli.progress import ProgressReport
from features.cli.wording import counted
from features.errors import UserError
from fusion.data.prediction_files import list_predictions, read_predictions
from fusion.data.predictions import FramePredictions
from fusion.data.seen import KINDS, LEARNT, in_order, said_of
from fusion.metrics.calibration import Calibration
from fusion.metrics.official import MetricAccumulator, pooled
from fusion.tasks.clips import Clip, once_each
from fusion.tasks.registry import DEFAULT, made_of, make_task, sources_of, title_of

FEW_FRAMES = 2
"""Containers and decoders may differ by so many frames; more is another video."""


@dataclass
class Marked:
    """What models knew of the clips that they are scored on.

    Attributes:
        marks: Id to what the model knew of the clip: kind (fusion/data/seen.py) to the tasks.
    """

    marks: dict[str, dict[str, list[str]]] = field(default_factory=dict, kw_only=True)

    def of_kind(self, kind: str) -> list[str]:
        """Tasks, as users call them, of whose labels the model knew something by a kind of mark."""
        found = {task for marks in self.marks.values() for task in marks.get(kind, ())}
        return [title_of(task) for task in in_order(found)]

    def marked(self, kind: str) -> list[str]:
        """Ids of the scored clips that have a kind of mark."""
        return sorted(name for name, marks in self.marks.items() if marks.get(kind))

    def mark(self, predictions: FramePredictions, tasks: Collection[str]) -> None:
        """Keeps what predictions say that their model knew of labels which are scored."""
        kinds = {kind: said_of(predictions.provenance, kind) or () for kind in KINDS}
        self.marks[predictions.id] = {
            kind: [task for task in said if task in tasks] for kind, said in kinds.items()
        }


@dataclass
class Evaluation(Marked):
    """What is known of a set of predictions after it was held against labels.

    Attributes:
        clips: The labelled clips, by id.
        scored: Statistics of each clip that has a prediction, by id.
        calibration: Reliability over all scored frames.
        frames: Predicted frames of each scored clip, by id.
        remarks: Id to what is odd, though scored.
        faults: Id to what is wrong: another length by many, a damaged file.
        unlearnt: Tasks with labels, ABAW's or predicted ones, that some model has not learnt, and
            which are not scored there.
    """

    clips: dict[str, Clip]
    scored: dict[str, MetricAccumulator] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)
    frames: dict[str, int] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    unlearnt: set[str] = field(default_factory=set)

    @staticmethod
    def of(clips: Sequence[Clip]) -> "Evaluation":
        """Nothing scored yet of some labelled clips; an id may be there twice, for other tasks."""
        return Evaluation({clip.id: clip for clip in once_each(clips)})

    def add(
        self,
        predictions: FramePredictions,
        frames: int | None = None,
        tasks: Collection[str] | None = None,
    ) -> None:
        """Scores one clip.

        Args:
            predictions: Of a labelled clip that was not scored before.
            frames: Score so many frames at most; None: all.
            tasks: Score these alone; None: those that the model has learnt.

        Raises:
            UserError: If a labelled task is made of another, and the model has learnt neither.
        """
        clip = self.clips[predictions.id]
        predictions = as_scored(predictions, clip)
        tasks = learnt_by(predictions) if tasks is None else tasks
        asked = {*DEFAULT, *predictions.tasks}  # a data set may tell more than anyone asks for
        self.unlearnt |= (set(clip.labels.tasks()) & asked) - set(tasks)
        rows = clip.labels.rows_for(len(predictions))
        compare_lengths(self, predictions.id, rows, len(predictions))
        shown = predictions if frames is None else predictions.first(frames)
        labels = clip.labels_on(shown.times).of_tasks(tasks)
        self.mark(predictions, sources_of(labels.tasks()))
        metrics = MetricAccumulator(shown.tasks, clip.classes)
        metrics.add(labels, shown.values, shown.thresholds)
        self.scored[predictions.id] = metrics
        self.frames[predictions.id] = len(shown)
        self.calibration.add(labels, shown)

    @property
    def metrics(self) -> MetricAccumulator:
        """All scored clips together."""
        return pooled(self.scored.values())

    @property
    def missing(self) -> list[str]:
        """Ids of labelled clips of which there is no prediction, in order."""
        known = self.scored.keys() | self.faults.keys() | self.remarks.keys()
        return sorted(self.clips.keys() - known)

    def videos(self) -> dict[str, MetricAccumulator]:
        """Statistics of each video with all its people, by video id, in order of the ids."""
        people: dict[str, list[MetricAccumulator]] = {}
        for name in sorted(self.scored):
            people.setdefault(self.clips[name].video, []).append(self.scored[name])
        return {video: pooled(each) for video, each in sorted(people.items())}


class HasRemarks(Protocol):
    """What `compare_lengths` adds to."""

    remarks: dict[str, str]
    faults: dict[str, str]


def compare_lengths(evaluation: HasRemarks, name: str, rows: int, frames: int) -> None:
    """Says of a clip that its labels have more or fewer rows than its prediction, if so."""
    text = f"{counted(rows, 'row')} of labels, {counted(frames, 'frame')} predicted"
    text += "; matched by frame number"
    if abs(rows - frames) > FEW_FRAMES:
        scored = min(rows, frames)
        evaluation.faults[name] = f"{text}, only frames 1 to {scored} are scored; is it this video?"
    elif rows != frames:
        evaluation.remarks[name] = text


def learnt_by(predictions: FramePredictions) -> list[str]:
    """Tasks that the model of predictions has learnt, or what these are made into.

    All if the predictions do not say.
    """
    said = said_of(predictions.provenance, LEARNT)
    every = predictions.tasks.items()
    return [name for name, task in every if said is None or {name, task.made_of} & set(said)]


def as_scored(predictions: FramePredictions, clip: Clip) -> FramePredictions:
    """Predictions with the tasks that are scored.

    A task that is made of another's labels is scored where it has labels of its own, derived from
    the other's predictions if the model has not learnt it; where a clip has only such labels, no
    other task is.

    Raises:
        UserError: If the model has learnt neither of the two.
    """
    labelled, learnt = clip.labels.by_task, learnt_by(predictions)
    made = {name: of for name in labelled if (of := made_of(name))}
    others = labelled.keys() - made.keys() or not made
    tasks = {n: t for n, t in predictions.tasks.items() if n in made or (others and not t.made_of)}
    if tasks.keys() == predictions.tasks.keys() and made.keys() <= tasks.keys():
        return predictions
    values = {name: predictions.values[name] for name in tasks}
    for name in made.keys() - tasks.keys():
        task, source = make_task(name), make_task(made[name])
        derived = task.derived(predictions.values) if source.name in learnt else None
        if derived is None:
            raise UserError(
                f"{predictions.id}: its model has not learnt {source.heading.lower()}, of which"
                f" {task.heading.lower()} are made; train with labels of {source.title}"
            )
        tasks[name], values[name] = task, derived
    return replace(predictions, tasks=tasks, values=values)


def score_store(folder: Path, clips: Sequence[Clip]) -> Evaluation:
    """Scores the stored predictions of labelled clips, one file at a time.

    A damaged file is a fault of the evaluation and does not stop the others; files of clips
    without labels are not looked at.

    Raises:
        UserError: If there is no such folder, or it holds no labelled clip.
    """
    evaluation = Evaluation.of(clips)
    paths = _wanted(folder, evaluation.clips)
    with ProgressReport("score", len(paths)) as progress:
        for name, path in paths.items():
            predictions = _read(path, evaluation)
            if predictions is not None:
                evaluation.add(predictions)
            progress.step(name)
    return evaluation


def score_pair(first: Path, second: Path, clips: Sequence[Clip]) -> tuple[Evaluation, Evaluation]:
    """Scores two folders of predictions on the frames that both have.

    Raises:
        UserError: If there is no such folder, or the two share no labelled clip.
    """
    pair = Evaluation.of(clips), Evaluation.of(clips)
    paths = [_wanted(folder, pair[0].clips) for folder in (first, second)]
    shared = [name for name in paths[0] if name in paths[1]]
    if not shared:
        raise UserError(f"{first} and {second} share no labelled clip; predict the same clips")
    with ProgressReport("compare", len(shared)) as progress:
        for name in shared:
            read = [_read(p[name], one) for p, one in zip(paths, pair, strict=True)]
            readable = [each for each in read if each is not None]
            if len(readable) == len(pair):  # scored in both sets or in neither
                frames = min(map(len, readable))
                tasks = set(learnt_by(readable[0])) & set(learnt_by(readable[1]))
                for one, predictions in zip(pair, readable, strict=True):
                    one.add(predictions, frames, tasks)
            progress.step(name)
    for held, one in zip(paths, pair, strict=True):
        left = held.keys() - one.scored.keys() - one.faults.keys()
        one.remarks |= dict.fromkeys(sorted(left), "left out: only one of the two can be scored")
    return pair


def _wanted(folder: Path, clips: dict[str, Clip]) -> dict[str, Path]:
    """Files of labelled clips by id; UserError if there is none."""
    held = list_predictions(folder)
    wanted = {name: path for name, path in held.items() if name in clips}
    if not wanted:
        holds = f"predictions such as {next(iter(held))}" if held else "no predictions"
        raise UserError(
            f"{folder}: {holds}, none of the labelled clips, such as {min(clips)};"
            " see --split, --data.truth"
        )
    return wanted


def _read(path: Path, evaluation: Evaluation) -> FramePredictions | None:
    """The file's predictions; None if they cannot be scored, which the evaluation then knows."""
    try:
        return as_scored(read_predictions(path), evaluation.clips[path.stem])
    except UserError as error:
        evaluation.faults[path.stem] = str(error)
        return None
