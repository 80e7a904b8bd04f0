"""Annotation files > labels with masks.

One file: `read_va`, `read_expr`, `read_au` > FrameLabels; `read_mtl` > FrameLabels by id.
A folder: `find_layout` > one of these for each file > merged by (split, id) > list of Clips.

The fillers -5 and -1 of the files end here; beyond, a missing label is a False in a mask.

Letters: F frames of one annotation file, R rows of a multi-task file.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np

from features.errors import UserError
from fusion.abaw.challenges import TASKS
from fusion.abaw.reading.keys import parse_pictures
from fusion.abaw.reading.layout import SPLITS, LabelFile, Layout, find_layout, read_people, video_of
from fusion.abaw.reading.lists import read_listed_ids
from fusion.abaw.reading.tables import check_header, parse_numbers, read_lines, require
from fusion.tasks.au import UNITS
from fusion.tasks.clips import Clip
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.labels import FrameLabels, TaskLabels
from fusion.tasks.va import DIMENSIONS

NO_VA, NO_EXPR, NO_AU = -5, -1, -1
"""Fillers of the files. -1 is a legal valence or arousal, -5 is not."""

VA_HEADERS = (",".join(DIMENSIONS),)
EXPR_CLASSES = (len(EXPRESSIONS), 7)
EXPR_HEADERS = tuple(",".join(EXPRESSIONS[:classes]) for classes in EXPR_CLASSES)
"""Editions 3 and later; edition 2, whose classes are the first seven."""
AU_HEADERS = (",".join(UNITS),)
MTL_HEADERS = (
    "image,valence,arousal,expression,aus",
    ",".join(("image", *DIMENSIONS, "expression", *UNITS)),
)

CorpusKind = Literal["auto", "single", "mtl"]
"""Which annotations count in a folder that holds both; `auto`: there must be one kind."""
ORIGINS = {"single": "ABAW's single-task files", "mtl": "ABAW's multi-task files"}


def read_va(path: Path) -> FrameLabels:
    """Reads valence and arousal; a row with -5 in either column is not labelled.

    Raises:
        UserError: If the file is not a VA annotation; names the first bad line.
    """
    return _labels(va=_read_rows(path, VA_HEADERS, columns=len(DIMENSIONS)), path=path)


def read_expr(path: Path) -> FrameLabels:
    """Reads expressions: a header of class names, then one class number a row, -1 for none.

    Raises:
        UserError: If the file is not an EXPR annotation; names the first bad line.
    """
    header, *lines = read_lines(path)
    classes = EXPR_CLASSES[check_header(header, EXPR_HEADERS, path)]
    rows = parse_numbers(lines, path, columns=1)
    legal = np.isin(rows[:, 0], [NO_EXPR, *range(classes)])
    require(legal, path, f"the expression is 0 to {classes - 1}, or -1 for none; mend the row")
    return _labels(expr=rows, path=path)


def read_au(path: Path) -> FrameLabels:
    """Reads action units, -1 for each element that is not labelled.

    Raises:
        UserError: If the file is not an AU annotation; names the first bad line.
    """
    return _labels(au=_read_rows(path, AU_HEADERS, columns=len(UNITS)), path=path)


def read_mtl(path: Path) -> dict[str, FrameLabels]:
    """Reads a multi-task file, whose rows are pictures: `video/00001.jpg,v,a,expr,12 units`.

    Returns:
        Labels by id, in order of first appearance. Row i is frame i + 1; F is the highest frame
        number of the id, and frames without a row are not labelled.

    Raises:
        UserError: If the file is not a multi-task annotation; names the first bad line.
    """
    header, *lines = read_lines(path)
    check_header(header, MTL_HEADERS, path)
    split = [line.partition(",") for line in lines]
    pictures = parse_pictures(lines)
    pictures.require_once(path, range(2, len(lines) + 2), "mend the row", "delete one of them")
    rows = parse_numbers([rest for _, _, rest in split], path, columns=2 + 1 + len(UNITS))
    labels = _labels(va=rows[:, :2], expr=rows[:, 2:3], au=rows[:, 3:], path=path)
    return {
        track_id: _placed(labels, rows, pictures.keys.frame[rows] - 1)
        for track_id, rows in pictures.keys.by_id()
    }


def read_corpus(root: Path, challenge: CorpusKind = "auto") -> list[Clip]:
    """Reads the annotations and test lists below a folder, at any depth (see `layout`).

    VA, EXPR and AU files of the same id and split become one clip, as long as the longest of them,
    each with its own mask. An id that lies in different splits for different tasks becomes one
    clip for each split, so that no label passes from one to the other.

    The ids of test lists and the names of the files in `Test_Set` (without either, the ids of
    sample submissions) become test clips without rows: in a `Test_Set` as published every row is
    a placeholder. `read_truth` reads real ones.

    Args:
        root: Folder with the challenge folders; `people.csv` (`id,person`) in it gives the groups.
        challenge: Which files to read, `single` tasks or `mtl`, in a folder that holds both.

    Returns:
        Clips by split, then id.

    Raises:
        UserError: If there are no annotations, or of both kinds and nothing says which, one is
            there twice, or one is ill-formed.
    """
    layout = find_layout(root)
    labels, origin = _read_labels(root, layout, ("train", "validation"), challenge)
    if not labels:
        raise UserError(
            f"{root}: no annotations found; expected folders such as VA_Estimation_Challenge/"
            "Train_Set with .txt files, or a file training_set_annotations.txt"
        )
    for track_id in _test_ids(layout):
        labels["test", track_id] = FrameLabels(0)
    return _clips(labels, read_people(root), origin)


def read_truth(root: Path, challenge: CorpusKind = "auto") -> list[Clip]:
    """Reads the labels of a test set from the `Test_Set` folders of a folder of their own.

    Raises:
        UserError: As `read_corpus`.
    """
    labels, origin = _read_labels(root, find_layout(root), ("test",), challenge)
    if not labels:
        raise UserError(f"{root}: no folder such as VA_Estimation_Challenge/Test_Set; name another")
    return _clips(labels, read_people(root), origin)


_READERS = {"VA": read_va, "EXPR": read_expr, "AU": read_au}
_Labels = dict[tuple[str, str], FrameLabels]
"""Labels by (split, id)."""


def _read_labels(
    root: Path, layout: Layout, splits: tuple[str, ...], challenge: CorpusKind
) -> tuple[_Labels, str]:
    """Labels of some splits, and what they are from."""
    single = [f for f in layout.labels if f.split in splits and f.task in TASKS]
    multi = [(path, split) for path, split in layout.mtl if split in splits]
    if single and multi and challenge == "auto":
        raise UserError(
            f"{root}: holds annotations of single tasks ({single[0].path.parent}) and multi-task"
            f" ones ({multi[0][0]}), which differ; say which with --data.challenge single or mtl"
        )
    if single and not (multi and challenge == "mtl"):
        return _read_single_tasks(single), ORIGINS["single"]
    return _read_multi_task(multi), ORIGINS["mtl"]


def _read_single_tasks(files: Iterable[LabelFile]) -> _Labels:
    """Reads and merges the files of all tasks."""
    places: dict[tuple[str, str], dict[str, Path]] = {}
    for file in files:
        place = places.setdefault((file.split, file.id), {})
        if file.task in place:
            raise UserError(
                f"{file.path}: the same {file.split} file is also in {place[file.task].parent};"
                " point the data's root at one edition"
            )
        place[file.task] = file.path
    return {
        key: _merge({task: _READERS[task](path) for task, path in place.items()})
        for key, place in places.items()
    }


def _merge(by_task: dict[str, FrameLabels]) -> FrameLabels:
    """Labels of all tasks together, as long as the longest."""
    frames = max(map(len, by_task.values()))
    resized = [labels.resized(frames) for labels in by_task.values()]
    return FrameLabels(frames, {n: each for one in resized for n, each in one.by_task.items()})


def _read_multi_task(files: Iterable[tuple[Path, str]]) -> _Labels:
    labels: _Labels = {}
    for path, split in files:
        new = {(split, track_id): found for track_id, found in read_mtl(path).items()}
        for _, track_id in labels.keys() & new.keys():
            raise UserError(
                f"{path}: '{track_id}' is in another {split} file too;"
                " point the data's root at one edition"
            )
        labels |= new
    return labels


def _test_ids(layout: Layout) -> set[str]:
    """Ids of placeholder files and lists; without any, those of the sample submissions."""
    ids = {file.id for file in layout.labels if file.split == "test"}
    return ids.union(*map(read_listed_ids, layout.test_lists or (() if ids else layout.samples)))


def _clips(labels: _Labels, people: dict[str, str], origin: str) -> list[Clip]:
    clips = []
    for split, track_id in sorted(labels, key=lambda key: (SPLITS.index(key[0]), key[1])):
        video = video_of(track_id)
        group = people.get(track_id) or people.get(video) or video
        clips.append(Clip(track_id, video, split, labels[split, track_id], group, origin))
    return clips


def _read_rows(path: Path, headers: tuple[str, ...], columns: int) -> np.ndarray:
    """Numbers (F, columns) below one of the headers."""
    header, *lines = read_lines(path)
    check_header(header, headers, path)
    return parse_numbers(lines, path, columns)


def _placed(labels: FrameLabels, rows: np.ndarray, places: np.ndarray) -> FrameLabels:
    """The given rows of `labels`, each put at its place; other places are not labelled."""
    return labels.at(rows).spread(places)


def _labels(
    *,
    path: Path,
    va: np.ndarray | None = None,
    expr: np.ndarray | None = None,
    au: np.ndarray | None = None,
) -> FrameLabels:
    """Turns the numbers of a file, (F, 2), (F, 1) and (F, 12), into labels with masks."""
    given = next(rows for rows in (va, expr, au) if rows is not None)
    labels: dict[str, TaskLabels] = {}
    if va is not None:
        legal = (np.abs(va) <= 1) | (va == NO_VA)
        require(legal, path, "valence and arousal are -1 to 1, or -5 for none; mend the row")
        mask = (va != NO_VA).all(axis=1)
        labels["va"] = TaskLabels(np.where(mask[:, None], va, 0).astype(np.float32), mask)
    if expr is not None:
        legal = np.isin(expr, [NO_EXPR, *range(len(EXPRESSIONS))])
        require(legal, path, "the expression is 0 to 7, or -1 for none; mend the row")
        mask = expr[:, 0] != NO_EXPR
        labels["expr"] = TaskLabels(np.where(mask, expr[:, 0], 0).astype(np.int64), mask)
    if au is not None:
        legal = (au == NO_AU) | (au == 0) | (au == 1)
        require(legal, path, "units are 0 or 1, or -1 for none; mend the row")
        mask = au != NO_AU
        labels["au"] = TaskLabels(np.where(mask, au, 0).astype(np.float32), mask)
    return FrameLabels(len(given), labels)
