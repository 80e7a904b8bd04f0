"""Members of an ensemble: checkpoints and folders of predictions, all as folders.

Data flow: checkpoint + tracks > folder of predictions; folder > predictions of one clip by all.

A checkpoint's predictions are kept, so that an ensemble that was stopped goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from features.cli.default_corpus import root_or_demo
from features.cli.progress import ProgressReport
from features.cli.wording import counted
from features.errors import UserError
from features.store.fingerprint import settings_hash
from features.store.track_store import TrackStore
from fusion.data.prediction_files import (
    list_predictions,
    read_made_of,
    read_predictions,
    read_provenance,
    write_predictions,
)
from fusion.data.predictions import FramePredictions
from fusion.ensembling.averaging import FolderMoments, ValueStatistics, require_same_frames
from fusion.evaluation.scored_clips import CorpusSettings
from fusion.tasks.clips import Clip
from fusion.tasks.registry import Tasks, title_of


@dataclass(frozen=True)
class Member:
    """One member.

    Attributes:
        name: As the user calls it.
        folder: Of its predictions.
        files: Its predictions by id.
    """

    name: str
    folder: Path
    files: dict[str, Path] = field(default_factory=dict)

    def provenance(self, track_id: str) -> dict[str, str]:
        """What the predictions of a clip say of what made them."""
        return read_provenance(self.files[track_id])

    @cached_property
    def tasks(self) -> Tasks:
        """What its first file says of each frame; all of its files must say as much.

        Raises:
            UserError: If that cannot be read.
        """
        return read_predictions(next(iter(self.files.values()))).tasks if self.files else {}


def folder_member(path: Path) -> Member:
    """A folder of predictions as a member.

    Raises:
        UserError: If there are none.
    """
    files = list_predictions(path)
    if not files:
        raise UserError(f"{path}: no predictions in it; fusion.predict makes some")
    return Member(str(path), path, files=files)


def checkpoint_member(
    path: Path,
    store: TrackStore,
    clips: Sequence[Clip],
    keep: Path,
    data: CorpusSettings,
    *,
    cross_fitted: bool = False,
    device: str = "auto",
) -> Member:
    """A checkpoint as a member: predicts the clips into a folder of its own below `keep`.

    What it predicted of the same tracks before is found there.

    Args:
        path: The checkpoint.
        store: The tracks.
        clips: What to predict, known by ids alone.
        keep: Where the folders of members lie.
        data: Says who is seen in the clips, and where aligned tracks are kept.
        cross_fitted: As to `predict_clips`; such predictions have a folder of their own.
        device: Where the model computes.

    Raises:
        UserError: If the checkpoint cannot be read or its tracks are of another encoder.
    """
    from fusion.inference.checkpoint import load_checkpoint  # torch is not needed for folders alone
    from fusion.inference.predictor import known_people, predict_clips, predictions_made_of

    checkpoint = load_checkpoint(path, device)
    root = root_or_demo(data.root) if checkpoint.adaptation.kind == "person" else None
    clips = known_people(checkpoint, clips, root, data.annotations(checkpoint.config))
    where = settings_hash(str(store.root.resolve()))
    folder = keep / f"{checkpoint.revision}-{where}{'-cross-fitted' if cross_fitted else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    made = predictions_made_of(checkpoint, store, clips, cross_fitted=cross_fitted)
    kept = list_predictions(folder)
    todo = {
        clip.id: clip
        for clip in clips
        if clip.id not in kept or read_made_of(kept[clip.id]) != made[clip.id]
    }
    for name in kept.keys() & todo.keys():
        kept[name].unlink()  # so that nothing stale is left of clips without tracks by now
    if todo:
        absent = list(todo.values())
        for one in predict_clips(
            checkpoint, store, absent, clips, data.cache, cross_fitted=cross_fitted
        ):
            write_predictions(one, folder)
    return Member(str(path), folder, list_predictions(folder))


def shared_tasks(members: Sequence[Member]) -> Tasks:
    """What all members say of each frame, in the first one's order.

    Raises:
        UserError: If there is nothing, or a task has other classes or columns in another member.
    """
    first = members[0]
    shared = {n: t for n, t in first.tasks.items() if all(n in one.tasks for one in members)}
    if not shared:
        said = "; ".join(f"{m.name}: {', '.join(map(title_of, m.tasks))}" for m in members)
        raise UserError(f"the members of an ensemble must share a task ({said})")
    for name, member in ((name, member) for member in members[1:] for name in shared):
        _require_labels(member.name, shared[name].columns, member.tasks[name].columns)
    return shared


def _require_labels(name: str, wanted: Sequence[str], held: Sequence[str]) -> None:
    """UserError if a member's columns of a task are not those of the first member."""
    if tuple(wanted) != tuple(held):
        lacking = [column for column in wanted if column not in held]
        said = f"no {', '.join(lacking)}" if lacking else ", ".join(held)
        raise UserError(
            f"{name}: made for another set of labels ({said});"
            " the members of an ensemble must share theirs"
        )


def read_clip(members: Sequence[Member], tasks: Tasks, track_id: str) -> list[FramePredictions]:
    """All members' predictions of one clip.

    Args:
        members: Of the ensemble.
        tasks: What each of them must say of it.
        track_id: The clip.

    Raises:
        UserError: If a file is damaged, lacks a task, or is of other frames than the first one's.
    """
    predictions = [read_predictions(member.files[track_id]) for member in members]
    for member, one in zip(members, predictions, strict=True):
        for name, task in tasks.items():
            held = one.tasks[name].columns if name in one.tasks else ()
            _require_labels(str(member.files[track_id]), task.columns, held)
    require_same_frames(predictions, [member.name for member in members])
    return predictions


def require_clips(members: Sequence[Member], ids: Sequence[str]) -> None:
    """Checks that each member has predictions of each id.

    Raises:
        UserError: If not; names the member and the first id.
    """
    for member in members:
        absent = [name for name in ids if name not in member.files]
        if absent:
            raise UserError(
                f"{member.name}: no predictions of {len(absent)} of {counted(len(ids), 'clip')},"
                f" such as '{absent[0]}'; predict them, or leave this member out"
            )


def folder_statistics(
    members: Sequence[Member], tasks: Tasks, ids: Sequence[str]
) -> dict[str, ValueStatistics]:
    """Statistics of the members over all clips, by task.

    Raises:
        UserError: If one gives a class no probability on any frame that another knows.
    """
    moments, count = FolderMoments(tasks, len(members)), len(members)
    classes = {name: task.columns for name, task in tasks.items() if task.kind == "classes"}
    known = {name: np.zeros((count, len(columns)), bool) for name, columns in classes.items()}
    with ProgressReport("read", len(ids)) as progress:
        for name in ids:
            clip = read_clip(members, tasks, name)
            moments.add(clip)
            for task, seen in known.items():
                seen |= np.array([(one.values[task] > 0).any(axis=0) for one in clip])
            progress.step(name)
    for task, seen in known.items():
        _require_classes(members, classes[task], seen)
    return moments.statistics()


def _require_classes(members: Sequence[Member], names: Sequence[str], seen: np.ndarray) -> None:
    """UserError if a member never says a class that another says; `seen` is (M, C)."""
    for member, classes in zip(members, seen, strict=True):
        if unknown := np.flatnonzero(seen.any(axis=0) & ~classes).tolist():
            raise UserError(
                f"{member.name}: made for another set of labels (no {names[unknown[0]]} on"
                " any frame); the members of an ensemble must share theirs"
            )
