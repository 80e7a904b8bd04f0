"""Labels of every data set that is known, by one interface.

Data flow: root folder > its files > the data set they belong to > its reader > list of Clips.

ABAW's folders are read by fusion.abaw; every other data set is one file here and one line of
`DATA_SETS`. The page README.md beside this file says which layouts are known.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from features.cli.default_corpus import default_store
from features.errors import UserError
from features.media.folders import walk
from features.media.kinds import by_ending
from features.store.track_store import TrackStore
from fusion.abaw.reading import annotations
from fusion.abaw.reading.layout import SPLITS, find_layout, read_people
from fusion.corpora import afew_va, emodb, ravdess, table
from fusion.streams.clip_streams import explained
from fusion.tasks.labels import EXPRESSIONS, Clip


@dataclass(frozen=True)
class DataSet:
    """How a data set is recognised and read.

    Attributes:
        name: What to call it.
        find: Root and all visible files below it > the files that hold (or tell) its labels;
            none if the folder is not this data set.
        read: Those files > clips.
    """

    name: str
    find: Callable[[Path, Sequence[Path]], list[Path]]
    read: Callable[[Sequence[Path]], list[Clip]]


DATA_SETS = (
    DataSet("a table labels.csv", table.find, table.read),
    DataSet("RAVDESS", ravdess.find, ravdess.read),
    DataSet("AFEW-VA", afew_va.find, afew_va.read),
    DataSet("EmoDB", emodb.find, emodb.read),
)
NOT_SEARCHED = ("cropped_aligned", "__macosx", ".")
"""Folders whose names start so hold millions of crops, or litter."""


def read_corpus(root: Path, challenge: annotations.CorpusKind = "auto") -> list[Clip]:
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
    found = _data_sets(root, files)
    names = [known.name for known, _ in found] + ["ABAW's annotations"] * _is_abaw(root)
    if not names:
        raise UserError(
            f"{root}: no annotations found; expected ABAW's folders (VA_Estimation_Challenge/"
            f"Train_Set with .txt files or the like), {table.FILE} with a column id, or the files"
            f" of RAVDESS, EmoDB or AFEW-VA{table.why_not(root)}"
        )
    if len(names) > 1:
        raise UserError(
            f"{root}: holds {' and '.join(names)}; keep the labels of one data set in a folder"
        )
    if not found:
        return _of_their_videos(annotations.read_corpus(root, challenge), root, files)
    (known, paths), people = found[0], read_people(root)
    read = _of_their_videos(known.read(paths), root, files)
    expressions = expressions_in(read)
    clips = [
        replace(
            clip,
            group=people.get(clip.id) or people.get(clip.video) or clip.group,
            origin=known.name,
            expressions=expressions,
        )
        for clip in read
    ]
    return sorted(clips, key=lambda clip: (SPLITS.index(clip.split), clip.id))


def expressions_in(clips: Sequence[Clip]) -> frozenset[str]:
    """Names of the expressions that occur in labels: those that the data set has."""
    numbers = {int(n) for clip in clips for n in np.unique(clip.labels.expr[clip.labels.expr_mask])}
    return frozenset(EXPRESSIONS[number] for number in numbers)


def with_persons(
    clips: Sequence[Clip], root: Path | None, challenge: annotations.CorpusKind = "auto"
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
    labelled = bool(_data_sets(root, visible_files(root))) or _is_abaw(root)
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


def _data_sets(root: Path, files: Sequence[Path]) -> list[tuple[DataSet, list[Path]]]:
    """Data sets other than ABAW's that lie in a folder, with their files."""
    return [(known, paths) for known in DATA_SETS if (paths := known.find(root, files))]


def visible_files(root: Path) -> list[Path]:
    """All files at any depth but hidden ones and those in folders of `NOT_SEARCHED`, by name."""
    files: list[Path] = []
    for folder, children, names in walk(root):
        children[:] = [c for c in children if not c.lower().startswith(NOT_SEARCHED)]
        files += [folder / name for name in names if not name.startswith(".")]
    return files


def _is_abaw(root: Path) -> bool:
    layout = find_layout(root)
    return bool(layout.labels or layout.mtl)
