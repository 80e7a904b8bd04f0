"""What finished stages hand on: features that feed later stages, scores that teach them.

Data flow: best checkpoint + clips > features (F, D) and scores (F, C) of every clip > tracks in
RUNS/NAME/STAGE/outputs > windows of the stages that ask for them.

Letters: F frames of a clip, D features, C columns of scores, B windows, T frames of a window.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from features.errors import UserError
from features.store.feature_track import (
    DamagedTrack,
    FeatureTrack,
    TrackInfo,
    read_info,
    write_track,
)
from fusion.data.batch import Scores
from fusion.data.columns import parted, width
from fusion.data.seen import ClipsByTask, tasks_seen
from fusion.streams.clip_streams import Rows
from fusion.tasks.clips import Clip
from fusion.tasks.registry import Tasks

OUTPUTS = "outputs"
"""Folder of a stage's outputs, in the folder of its run."""
FEATURES, SCORES = "features", "scores"


@dataclass(frozen=True)
class StageOutputs:
    """The outputs of a finished stage.

    Attributes:
        name: Of the stage.
        checkpoint: Its best.
        folder: Of its outputs.
        revision: Hash of the checkpoint.
        tasks: Tasks that it has learnt: that have weight in its loss, and labels or a teacher.
        says: All tasks of which its scores say something, learnt or not.
        labels: Tasks whose labels it, or a stage before it, was trained on or chosen by.
        dim: D.
        streams: Stream name to dimensions, of all streams that it needs, its own feeds' too.
        feeds: Stage that feeds it to the revision of its checkpoint.
        seen: What it, or a stage before it, has been trained on: task to clips
        (fusion/data/seen.py).
        adapts: Whether it, or a stage that feeds it, adapts to people.
    """

    name: str
    checkpoint: Path
    folder: Path
    revision: str
    tasks: tuple[str, ...]
    says: Tasks
    labels: tuple[str, ...]
    dim: int
    streams: dict[str, int]
    feeds: dict[str, str]
    seen: ClipsByTask
    adapts: bool

    def path(self, kind: str, clip: Clip) -> Path:
        """File of a clip's features or scores."""
        return self.folder / kind / f"{clip.id}.safetensors"

    def rows(self, kind: str, clip: Clip, frames: int) -> Rows:
        """A clip's features (F, D) or scores (F, C), read when they are sliced."""
        columns = self.dim if kind == FEATURES else width(self.says)
        return Rows(self.path(kind, clip), (frames, columns))

    def is_there(self, clip: Clip, kinds: Sequence[str], made: str) -> bool:
        """Whether these outputs of a clip are there, whole and made of this (see `made_of`)."""
        wanted = self.revision, made
        try:
            found = [read_info(self.path(kind, clip)) for kind in kinds]
        except (FileNotFoundError, DamagedTrack):
            return False
        return all((info.revision, info.settings) == wanted for info in found)

    def write(
        self, clip: Clip, times: np.ndarray, outputs: Mapping[str, np.ndarray], made: str
    ) -> None:
        """Writes outputs of a clip, by rename.

        Args:
            clip: Whose.
            times: (F,) seconds.
            outputs: `features` (F, D) and `scores` (F, C), float32, or one of them.
            made: Fingerprint of what they are made of.
        """
        for kind, rows in outputs.items():
            info = TrackInfo(
                clip.video, "main", kind, self.name, self.revision, made, "", len(times)
            )
            every = np.ones(len(times), bool)
            write_track(FeatureTrack(rows, times, every, info), self.path(kind, clip))


@dataclass(frozen=True)
class ClipExtras:
    """What earlier stages say of one clip.

    Attributes:
        feeds: Stage name to features (F, D), sliced like an array.
        teachers: Teachers with their scores (F, C), sliced likewise.
    """

    feeds: Mapping[str, Rows | np.ndarray] = field(default_factory=dict)
    teachers: Sequence[tuple[StageOutputs, Rows]] = ()


@dataclass(frozen=True)
class StageInputs:
    """What a stage gets from earlier ones.

    Attributes:
        feeds: Stages whose features it is fed with.
        teachers: Stages whose scores it learns from.
        start: Part of the model (`""` for all) to the stage whose weights it starts from.
    """

    feeds: tuple[StageOutputs, ...] = ()
    teachers: tuple[StageOutputs, ...] = ()
    start: Mapping[str, StageOutputs] = field(default_factory=dict)

    def of_clip(self, clip: Clip, frames: int, *, taught: bool) -> ClipExtras:
        """What the stages say of a clip; the teachers' scores only if it is `taught`."""
        return ClipExtras(
            {one.name: one.rows(FEATURES, clip, frames) for one in self.feeds},
            [(one, one.rows(SCORES, clip, frames)) for one in self.teachers if taught],
        )

    def streams(self) -> dict[str, int]:
        """Streams with their dimensions that the stages before have needed."""
        return {name: dim for one in self.feeds for name, dim in one.streams.items()}

    def tasks(self) -> set[str]:
        """Tasks whose labels have come in by way of the stages."""
        stages = (*self.feeds, *self.teachers, *self.start.values())
        return {task for one in stages for task in one.labels}

    def trained(self) -> list[ClipsByTask]:
        """What the stages have been trained on."""
        return [one.seen for one in (*self.feeds, *self.teachers, *self.start.values())]

    def config(self) -> dict[str, Any]:
        """What makes a run another run, as plain values."""
        return {
            "feeds": {one.name: one.revision for one in self.feeds},
            "teachers": {one.name: one.revision for one in self.teachers},
            "start": {part: one.revision for part, one in self.start.items()},
        }

    def check(self, tasks: Tasks, held_out: Iterable[Clip]) -> None:
        """Checks that the stage can use what it gets.

        Args:
            tasks: Of the stage.
            held_out: Clips that are validated on.

        Raises:
            UserError: If a stage has trained on labels that are held out now, two teachers teach
                one task, or one teaches none that is learnt, or others under the same name.
        """
        clips = list(held_out)
        for one in (*self.feeds, *self.teachers, *self.start.values()):
            seen = {clip.id for clip in clips if tasks_seen(one.seen, clip)}
            if both := sorted(seen):
                raise UserError(
                    f"{one.checkpoint} has trained on clips held out now ({', '.join(both[:3])});"
                    " train it on this split"
                )
        learnt = {name for name, task in tasks.items() if task.weight}
        taught = dict[str, str]()
        for teacher in self.teachers:
            if not learnt & set(teacher.tasks):
                raise UserError(
                    f"teacher '{teacher.name}' knows {_listed(teacher.tasks)}, but the stage learns"
                    f" {_listed(learnt)}; leave the teacher out"
                )
            for task in teacher.tasks:
                if task in learnt and teacher.says[task].names != tasks[task].names:
                    raise UserError(
                        f"{teacher.checkpoint}: made for another set of labels"
                        f" ({task.upper()}: {', '.join(teacher.says[task].names)}); leave the"
                        " teacher out, or train it anew"
                    )
                if task in taught:
                    raise UserError(
                        f"teachers '{taught[task]}' and '{teacher.name}' both teach"
                        f" {task.upper()}; leave one of them out"
                    )
                taught[task] = teacher.name


NO_INPUTS = StageInputs()


def teacher_scores(teachers: Sequence[tuple[StageOutputs, Tensor]]) -> Scores:
    """What several teachers say of a window, each of the tasks that it has learnt.

    Args:
        teachers: Each with its scores (..., C).
    """
    return {
        task: scores
        for teacher, columns in teachers
        for task, scores in parted(columns, teacher.says).items()
        if task in teacher.tasks
    }


def _listed(tasks: Iterable[str]) -> str:
    return ", ".join(sorted(task.upper() for task in tasks)) or "nothing"
