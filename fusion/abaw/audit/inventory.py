"""What label files, lists and sample submissions a folder holds, file by file.

root > `find_layout` > each file read and counted, then forgotten > Inventory.

A file that cannot be read becomes an entry of `Inventory.faults`; the others are read all the same.

Letters: F frames of one file, C columns of a task (2 for VA, 8 classes, 12 units).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from features.cli.progress import ProgressReport
from features.errors import UserError
from fusion.abaw.challenges import TASKS
from fusion.abaw.reading.annotations import read_au, read_expr, read_mtl, read_va
from fusion.abaw.reading.compound import read_compound
from fusion.abaw.reading.layout import PEOPLE_FILE, LabelFile, find_layout, read_people, video_of
from fusion.abaw.reading.lists import read_listed_ids, read_template
from fusion.tasks.labels import FrameLabels
from fusion.tasks.registry import make_task

RATE_COLUMNS = ("video_name", "fps")


@dataclass(frozen=True)
class TaskCounts:
    """Sums over the labelled frames of one task, which add up over files.

    Attributes:
        labelled: Frames with a label of the task; of AU, with any.
        known: (C,) frames in which a column has a label.
        sums: (C,) sum of a column: frames of a class, frames in which a unit is on.
        squares: (C,) sum of a column's squares.
        names: Of the columns.
        classes: Whether they are classes, of which a frame has one.
    """

    labelled: int
    known: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    names: tuple[str, ...]
    classes: bool

    def __add__(self, other: "TaskCounts") -> "TaskCounts":
        """Counts of both."""
        return replace(
            self,
            labelled=self.labelled + other.labelled,
            known=self.known + other.known,
            sums=self.sums + other.sums,
            squares=self.squares + other.squares,
        )

    @property
    def mean(self) -> np.ndarray:
        """(C,) mean of each column, 0 where nothing is labelled."""
        return np.asarray(self.sums / np.maximum(self.known, 1))

    @property
    def std(self) -> np.ndarray:
        """(C,) population standard deviation of each column."""
        spread = self.squares / np.maximum(self.known, 1) - self.mean**2
        return np.asarray(np.sqrt(np.maximum(spread, 0)))


@dataclass(frozen=True, eq=False)
class Annotation:
    """One person's rows of one challenge.

    Attributes:
        path: The file; a multi-task file has many people.
        challenge: `VA`, `EXPR`, `AU`, `MTL` or `CE`.
        split: `train`, `validation` or `test`.
        id: Id of the person, e.g. `12_left`.
        rows: Label rows; of a multi-task file, those with any label.
        last: Highest frame number; the number of rows but in a multi-task file. 0 where rows have
            no frame numbers.
        counts: By task; empty for CE.
        constant: Whether all rows are the same, as in published test sets.
        video: Id of the raw video.
        dense: Whether there should be a row for every frame of the video.
        until: Seconds of the last row, where rows have times; else 0.
    """

    path: Path
    challenge: str
    split: str
    id: str
    rows: int
    last: int
    counts: dict[str, TaskCounts]
    constant: bool
    video: str
    dense: bool = True
    until: float = 0.0

    @property
    def labelled(self) -> int:
        """Rows with a label."""
        counts = self.counts.get(self.challenge)
        return self.rows if counts is None else counts.labelled


@dataclass
class Inventory:
    """What a folder holds.

    Attributes:
        annotations: All label files.
        lists: Ids of each list of a test set.
        samples: Highest frame number by id of each sample submission.
        sample_rows: Rows of each sample submission.
        people: Person by id or video, from `people.csv`.
        rates: Frame rate by video, from `videos_fps.csv`.
        origin: Which data set it is, if it is not ABAW's.
        faults: What is wrong with the files that could not be read.
    """

    annotations: list[Annotation] = field(default_factory=list)
    lists: dict[Path, list[str]] = field(default_factory=dict)
    samples: dict[Path, dict[str, int]] = field(default_factory=dict)
    sample_rows: dict[Path, int] = field(default_factory=dict)
    people: dict[str, str] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    origin: str = ""
    faults: list[str] = field(default_factory=list)

    def attempt(self, read: Callable[[], None]) -> None:
        """Calls `read`, and keeps its complaint about a file."""
        try:
            read()
        except (UserError, OSError) as error:
            self.faults.append(str(error))

    def listed(self) -> set[str]:
        """Ids that lists and sample submissions ask for."""
        return {i for ids in (*self.lists.values(), *self.samples.values()) for i in ids}


def take_inventory(root: Path) -> Inventory:
    """Reads all that lies below a folder, as `find_layout` finds it.

    Raises:
        UserError: If there is no such folder, or a folder of annotations is empty.
    """
    layout, found = find_layout(root), Inventory()
    jobs: list[tuple[Path, Callable[[], None]]] = [
        *((file.path, partial(_add_labels, found, file)) for file in layout.labels),
        *((path, partial(_add_mtl, found, path, split)) for path, split in layout.mtl),
        *((path, partial(_add_list, found, path)) for path in layout.test_lists),
        *((path, partial(_add_sample, found, path)) for path in layout.samples),
        *((path, partial(_add_rates, found, path)) for path in layout.rates),
        (root / PEOPLE_FILE, partial(_add_people, found, root)),
    ]
    with ProgressReport("reading", len(jobs)) as progress:
        for path, job in jobs:
            found.attempt(job)
            progress.step(path.name)
    return found


_READERS = {"VA": read_va, "EXPR": read_expr, "AU": read_au}


def _add_labels(found: Inventory, file: LabelFile) -> None:
    counts, constant = {}, False
    if file.task == "CE":
        frames = len(read_compound(file.path))
    else:
        labels = _READERS[file.task](file.path)
        values = labels[file.task.lower()].values
        frames, constant = len(labels), bool((values == values[0]).all())
        counts = {file.task: count_task(labels, file.task)}
    found.annotations.append(
        Annotation(
            path=file.path,
            challenge=file.task,
            split=file.split,
            id=file.id,
            rows=frames,
            last=frames,
            counts=counts,
            constant=constant,
            video=video_of(file.id),
        )
    )


def _add_mtl(found: Inventory, path: Path, split: str) -> None:
    for track_id, labels in read_mtl(path).items():
        counts = {task: count_task(labels, task) for task in TASKS}
        listed = int(labels.rows.sum())
        found.annotations.append(
            Annotation(
                path=path,
                challenge="MTL",
                split=split,
                id=track_id,
                rows=listed,
                last=len(labels),
                counts=counts,
                constant=False,
                video=video_of(track_id),
                dense=False,
            )
        )


def _add_list(found: Inventory, path: Path) -> None:
    found.lists[path] = read_listed_ids(path)


def _add_sample(found: Inventory, path: Path) -> None:
    template = read_template(path)
    found.samples[path] = template.last_frames()
    found.sample_rows[path] = len(template)


def _add_people(found: Inventory, root: Path) -> None:
    found.people |= read_people(root)


def _add_rates(found: Inventory, path: Path) -> None:
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype={RATE_COLUMNS[0]: str})[list(RATE_COLUMNS)]
        rates = table[RATE_COLUMNS[1]].astype(float)
    except (ValueError, KeyError) as error:  # pandas' own errors are ValueErrors
        raise UserError(f"{path}: not a CSV file with columns video_name,fps; mend it") from error
    names = (Path(name).stem for name in table[RATE_COLUMNS[0]].astype(str))
    found.rates |= dict(zip(names, rates.tolist(), strict=True))


def count_task(labels: FrameLabels, task: str) -> TaskCounts:
    """Sums of one task of a file."""
    own = labels[task.lower()]
    names, classes = own.names or make_task(task.lower()).names, own.values.ndim == 1
    values = np.eye(len(names))[own.values] if classes else own.values
    columns = np.repeat(own.mask[:, None], len(names), axis=1) if own.mask.ndim == 1 else own.mask
    known = np.where(columns, values, 0).astype(np.float64)
    sums, squares = known.sum(0), (known**2).sum(0)
    return TaskCounts(int(own.rows.sum()), columns.sum(0), sums, squares, names, classes)
