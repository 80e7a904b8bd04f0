"""Who of the people in a video counts, and by what name. Data flow: people found > names.

Letters: F frames of the video, N frames of a person.
"""

import re
import sys
from collections.abc import Iterable, Sequence

import numpy as np

from features.errors import UserError
from features.store.feature_track import MAIN

TOGETHER = 0.25
"""Share of the frames in which two people must both be seen to count as two people."""
PAIR = ("left", "right")
"""The two who are together, as ABAW's files call them; one of them is `main` too."""
NUMBERED = re.compile(r"person[1-9]\d*")
"""Names of further people."""
ALL = sys.maxsize
"""Any number of people."""

Sight = tuple[np.ndarray, np.ndarray]
"""Frames (N,) in which somebody is seen, rising, and boxes (N, 4) there."""


def parse_persons(text: str) -> int:
    """Most people that `--persons` wants: `all`, `main`, or a number from 1 on.

    Raises:
        UserError: For anything else.
    """
    if text in ("all", MAIN):
        return ALL if text == "all" else 1
    if not re.fullmatch(r"0*[1-9]\d*", text, re.ASCII):
        raise UserError(f"--persons {text!r} must be all, main, or a number from 1 on")
    return int(text)


def is_person(name: str) -> bool:
    """Whether a name is one of those that `name_people` gives."""
    return name == MAIN or name in PAIR or NUMBERED.fullmatch(name) is not None


def split_person(name: str, videos: Iterable[str] = ()) -> tuple[str, str]:
    """Splits `12_left` into (`12`, `left`), `12_person3` into (`12`, `person3`).

    A name without such a suffix, or of a video, is its `main`.
    """
    video, _, person = name.rpartition("_")
    if video and name not in videos and person != MAIN and is_person(person):
        return video, person
    return name, MAIN


def may_be_named(person: str, persons: int) -> bool:
    """Whether `name_people` may give somebody besides `main` this name, of so many at most."""
    if NUMBERED.fullmatch(person):
        return persons > 2 and 2 <= int(person.removeprefix("person")) <= persons
    return person in PAIR and persons > 1


def name_people(people: Sequence[Sight], frames: int, persons: int) -> list[tuple[str, int]]:
    """Names those who count.

    Args:
        people: Where everybody is seen.
        frames: F.
        persons: Most people.

    Returns:
        Name and index of the person: `main`, who fills most of the video (area times frames); from
        two people on `left` and `right`, `main` and whoever is in view together with `main` for a
        quarter of it, if there is somebody; from three on the others as `person3` and so on, by
        what they fill (from `person2` on if nobody is together with `main`). Empty without people.
    """
    order = sorted(range(len(people)), key=lambda one: -_presence(people[one]))
    if not order:
        return []
    main, others = order[0], order[1:]
    named = [(MAIN, main)]
    least = TOGETHER * frames
    companions = [o for o in others if np.isin(people[o][0], people[main][0]).sum() >= least]
    if persons > 1 and companions:
        pair = sorted([main, companions[0]], key=lambda one: _mean_x(people[one]))
        named += zip(PAIR, pair, strict=True)
        others.remove(companions[0])
    if persons > 2:
        first = 3 if len(named) > 1 else 2
        named += [(f"person{n}", one) for n, one in enumerate(others, first) if n <= persons]
    return named


def _presence(sight: Sight) -> float:
    """Area in view summed over the frames."""
    boxes = sight[1].astype(np.float64)
    return float((boxes[:, 2:] - boxes[:, :2]).prod(axis=1).sum())


def _mean_x(sight: Sight) -> float:
    return float(sight[1][:, [0, 2]].mean())
