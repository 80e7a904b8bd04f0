"""A person's table as somebody has corrected it: merged tracks, names, excluded stretches.

Data flow: review.json of each video > Review > tables of its people.

Letters: F frames.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from features.errors import UserError
from fusion.data.review import Review, read_review
from fusion.tables.frame_table import Classes, FrameTable


def read_reviews(path: Path) -> dict[str, tuple[Path, Review]]:
    """Reviews with their files by video: of a file, or of a folder's `*review*.json`.

    Raises:
        UserError: If there is none, one makes no sense, or two of one video disagree.
    """
    files = [path]
    if path.is_dir():
        files = sorted(p for p in path.glob("*.json") if "review" in p.name.lower())
    found: dict[str, tuple[Path, Review]] = {}
    for file in files:
        review = read_review(file)
        other, before = found.setdefault(review.video, (file, review))
        if before != review:
            raise UserError(
                f"{other} and {file}: two reviews of '{review.video}' that disagree; keep one"
            )
    if not found:
        raise UserError(f"{path}: no review in it (review.json, as the page saves it)")
    return found


def corrected(tables: Mapping[str, FrameTable], review: Review) -> dict[str, FrameTable]:
    """Tables by id, with what a review of their video says.

    Raises:
        UserError: If merged tracks are not of the same frames, or two people bear one name.
    """
    people: dict[str, FrameTable] = {}
    for first in dict.fromkeys(review.person_of(id) for id in tables):
        group = [id for id in tables if review.person_of(id) == first]
        table = tables[first]
        for other in group:
            table = table if other == first else joined(table, tables[other])
        table = replace(table, person=review.name_of(first))
        people[first] = table.where(review.kept(first, table.times))
    _require_names(people.values(), review.video)
    return people


def joined(first: FrameTable, second: FrameTable) -> FrameTable:
    """Two tracks of one person: the second's frames where it has a face and the first has none.

    Raises:
        UserError: If they are not of the same frames.
    """
    if not np.array_equal(first.times, second.times):
        raise UserError(
            f"review of {first.video}: '{first.id}' and '{second.id}' are not of the same frames;"
            " predict them again"
        )
    other = second.face & ~first.face
    none = np.full(len(first), np.nan)
    return replace(
        first,
        face=first.face | second.face,
        validity=np.where(other, second.validity, first.validity),
        values={
            name: np.where(other, second.values.get(name, none), values)
            for name, values in first.values.items()
        },
        classes={
            name: Classes(each.names, np.where(other, _codes(second, name, each), each.codes))
            for name, each in first.classes.items()
        },
    )


def _codes(table: FrameTable, name: str, like: Classes) -> np.ndarray:
    found = table.classes.get(name)
    return found.codes if found and found.names == like.names else np.full(len(table), -1)


def _require_names(people: Iterable[FrameTable], video: str) -> None:
    owners: dict[str, str] = {}
    for table in people:
        other = owners.setdefault(table.person, table.id)
        if other != table.id:
            raise UserError(
                f"review of {video}: '{other}' and '{table.id}' are both called '{table.person}';"
                " merge them, or give two names"
            )
