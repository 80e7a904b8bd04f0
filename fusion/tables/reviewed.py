"""A person's table as somebody has corrected it: merged tracks, names, excluded stretches.

Data flow: tables of one video + Review > tables.

Letters: F frames.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from features.errors import UserError
from fusion.data.review import Review
from fusion.tables.frame_table import Classes, FrameTable


def corrected(tables: Mapping[str, FrameTable], review: Review) -> dict[str, FrameTable]:
    """Tables by id, with what a review of their video says.

    Raises:
        UserError: If the review names somebody who is not there, or two people bear one name.
    """
    people = dict(tables)
    _require_known(people, review)
    for first, second in review.merge:
        if first == second or not {first, second} <= people.keys():
            raise UserError(
                f"review of {review.video}: '{first}' and '{second}' are merged already; merge"
                " each person once"
            )
        people[first] = joined(people[first], people.pop(second))
    gone = {second for _, second in review.merge}
    for id, name in review.rename.items():
        if id not in gone:
            people[id] = replace(people[id], person=name)
    for stretch in review.exclude:
        for id in people if stretch.person is None else {_kept(stretch.person, review)}:
            times = people[id].times
            people[id] = people[id].where((times < stretch.start) | (times >= stretch.end))
    _require_names(people.values(), review.video)
    return people


def _kept(id: str, review: Review) -> str:
    """The id under which somebody goes on after merging."""
    for first, second in reversed(review.merge):
        id = first if id == second else id
    return id


def marked_by(
    review: Review, people: Mapping[str, FrameTable]
) -> dict[str, list[tuple[str, float, float]]]:
    """Id to the events that somebody marked by hand: name, onset, offset."""
    found: dict[str, list[tuple[str, float, float]]] = {id: [] for id in people}
    for event in review.events:
        for id in people if event.person is None else [_kept(event.person, review)]:
            if id in found:
                found[id].append((event.name, event.onset, event.offset))
    return found


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


def _require_known(people: Mapping[str, FrameTable], review: Review) -> None:
    named = [*review.rename, *(id for pair in review.merge for id in pair)]
    named += [one.person for one in review.exclude if one.person is not None]
    named += [one.person for one in review.events if one.person is not None]
    for id in named:
        if id not in people:
            near = difflib.get_close_matches(id, people, n=1, cutoff=0.0)[0]
            raise UserError(
                f"review of {review.video}: there are no predictions of '{id}'; did it mean"
                f" '{near}'? Is it of another run?"
            )


def _require_names(people: Iterable[FrameTable], video: str) -> None:
    owners: dict[str, str] = {}
    for table in people:
        other = owners.setdefault(table.person, table.id)
        if other != table.id:
            raise UserError(
                f"review of {video}: '{other}' and '{table.id}' are both called '{table.person}';"
                " merge them, or give two names"
            )
