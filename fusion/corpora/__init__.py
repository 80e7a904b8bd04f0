"""Labels of every data set that is known, by one interface.

Data flow: root folder > its files > the data set they belong to > its reader > list of Clips.

Data sets are the files of `readers`, and what else has registered itself (`registry`). The page
README.md beside this file says which layouts are known.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from features.cli.default_corpus import default_store
from features.errors import UserError
from features.media.folders import walk
from features.media.kinds import by_ending
from features.store.track_store import TrackStore
from fusion.abaw.reading.annotations import CorpusKind
from fusion.abaw.reading.layout import SPLITS, read_people
from fusion.corpora.registry import DataSet, data_sets
from fusion.streams.clip_tracks import explained
from fusion.tasks.clips import Clip
from fusion.tasks.registry import make_task

NOT_SEARCHED = ("cropped_aligned", "__macosx", ".")
"""Folders whose names start so hold millions of crops, or litter."""


def read_corpus(root: Path, challenge: CorpusKind = "auto") -> list[Clip]:
    """Reads the labels of whatever data set lies in a folder.

    `people.csv` (`id,person`) in the folder gives the persons, whatever the data set.

    Args:
        root: The folder.
        challenge: Which of ABAW's annotations count in a folder that holds both kinds.

    Returns:
        Clips by split, then id.

    Raises:
        UserError: If the folder holds no data set that is known, or labels of two, or bad ones.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; check the path of the data")
    files = visible_files(root)
    found = _found(root, files)
    if not found:
        expected = "; or ".join(f"{known.layout} ({known.name})" for known in data_sets())
        near = "".join(known.near_miss(root) for known in data_sets())
        raise UserError(f"{root}: no annotations found; expected {expected}{near}")
    if len(found) > 1:
        names = " and ".join(known.name for known, _ in found)
        raise UserError(f"{root}: holds {names}; keep the labels of one data set in a folder")
    ((known, paths),) = found
    read = known.kinds.get(challenge, known.read)(paths)
    clips = _described(_of_their_videos(read, root, files), known, root)
    return sorted(clips, key=lambda clip: (SPLITS.index(clip.split), clip.id))


def _described(clips: Sequence[Clip], known: DataSet, root: Path) -> list[Clip]:
    """The clips with what can be told of any data set, where their reader has not told."""
    people, classes = read_people(root), classes_in(clips)
    return [
        clip
        if clip.origin
        else replace(
            clip,
            group=people.get(clip.id) or people.get(clip.video) or clip.group,
            origin=known.name,
            classes=classes,
        )
        for clip in clips
    ]


def classes_in(clips: Sequence[Clip]) -> dict[str, frozenset[str]]:
    """Task to the names of the classes that occur in labels: those that the data set has."""
    numbers: dict[str, set[int]] = {}
    for clip in clips:
        for task, labels in clip.labels.by_task.items():
            if labels.values.dtype.kind == "i" and not labels.names:
                found = np.unique(labels.values[labels.mask]).tolist()
                numbers.setdefault(task, set()).update(found)
    return {
        task: frozenset(make_task(task).names[number] for number in found)
        for task, found in numbers.items()
    }


def with_persons(
    clips: Sequence[Clip], root: Path | None, challenge: CorpusKind = "auto"
) -> list[Clip]:
    """Clips that are known by their ids alone, with the persons that the data set says.

    So a person has the same frames in all commands, whether these read the labels or not.

    Args:
        clips: With a group that stands where the data set says nothing.
        root: Folder of the data set, or one with `people.csv` alone; None: nothing is known.
        challenge: As in `read_corpus`.
    """
    if root is None or not root.is_dir():
        return list(clips)
    labelled = bool(_found(root, visible_files(root)))
    known = {clip.id: clip.group for clip in read_corpus(root, challenge)} if labelled else {}
    people = read_people(root)
    return [
        replace(
            clip,
            group=known.get(clip.id) or people.get(clip.id) or people.get(clip.video) or clip.group,
        )
        for clip in clips
    ]


def _of_their_videos(clips: Sequence[Clip], root: Path, files: Iterable[Path]) -> list[Clip]:
    """The clips, those of videos that are themselves called `x_left` made clips of these.

    By its name alone, `x_left` is the left person of `x`. The videos in the folder tell better,
    and so do its tracks. Such a video is not kept together with others called `x_...` in folds.
    """
    doubtful = {clip.id for clip in clips if clip.video != clip.id}
    own = doubtful & {file.stem for file in files if by_ending(file)}
    store = TrackStore(default_store(root))
    with explained():
        told = {name: store.told(name) for name in doubtful - own}
    own |= {name for name, info in told.items() if info and info.video == name}
    return [
        replace(clip, video=clip.id, group=clip.id if clip.group == clip.video else clip.group)
        if clip.id in own
        else clip
        for clip in clips
    ]


def _found(root: Path, files: Sequence[Path]) -> list[tuple[DataSet, list[Path]]]:
    """Data sets that lie in a folder, with their files."""
    return [(known, paths) for known in data_sets() if (paths := known.find(root, files))]


def visible_files(root: Path) -> list[Path]:
    """All files at any depth but hidden ones and those in folders of `NOT_SEARCHED`, by name."""
    files: list[Path] = []
    for folder, children, names in walk(root):
        children[:] = [c for c in children if not c.lower().startswith(NOT_SEARCHED)]
        files += [folder / name for name in names if not name.startswith(".")]
    return files
