"""Two extractions at once on one store, as a part of `killed_runs`.

Data flow: short clips > two runs started together, left alone or one of them killed > its store
beside the undisturbed one; what each run says it made > double work > a section of the page.
"""

import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments.benchmarks.process_watch import kill, members
from experiments.benchmarks.robustness.killed_runs_parts import (
    Course,
    content,
    differing,
    finished,
    in_flight,
    item_of,
    left_behind,
    rewritten,
    tracks,
)
from features.errors import UserError

LOGS = ("first", "second")
POLL = 0.02
"""Seconds between looks at the store."""


@dataclass(frozen=True)
class Meeting:
    """What two runs did to one store.

    Attributes:
        extracted: Items that each run says it made; for a killed one, what both had finished then.
        status: Exit status of each.
        in_flight: Items that were claimed when one was killed.
        redone: Items that were finished then and made once more.
        rewritten: Tracks of other items that were whole then and made once more.
        differing: Paths that are not as in the undisturbed store.
        left: Temporary files and claims.
        verified: Whether `features.verify` finds nothing wrong.
    """

    extracted: list[int]
    status: list[int]
    in_flight: list[str]
    redone: list[str]
    rewritten: list[str]
    differing: list[str]
    left: list[str]
    verified: bool


def together(course: Course, expected: Mapping[str, str]) -> dict[str, Any]:
    """Two runs that are left alone."""
    store = _new_store(course)
    with course.running(store, log=LOGS[0]) as first, course.running(store, log=LOGS[1]) as second:
        status = [first.wait(), second.wait()]
    extracted = [_extracted(course, log) for log in LOGS]
    return _meeting(course, store, expected, extracted, status)


def one_killed(course: Course, expected: Mapping[str, str]) -> dict[str, Any]:
    """Two runs, the first of which is killed when half of the tracks are there."""
    store, wanted = _new_store(course), {path for path in expected if "/" in path}
    with course.running(store, log=LOGS[0]) as first, course.running(store, log=LOGS[1]) as second:
        while len(tracks(store)) < len(wanted) / 2 and second.poll() is None:
            time.sleep(POLL)
        claimed = in_flight(store)
        kill(*members(first.pid))
        before, status = tracks(store), [first.wait(), second.wait()]
    hit, whole = rewritten(before, tracks(store)), finished(before, wanted) - set(claimed)
    made = [len(finished(before, wanted)), _extracted(course, LOGS[1])]
    found = _meeting(course, store, expected, made, status)
    redone = sorted({item_of(path) for path in hit} & whole)
    others = [path for path in hit if item_of(path) not in whole]
    return found | {"in_flight": claimed, "redone": redone, "rewritten": others}


PARTS: dict[str, Callable[[Course, Mapping[str, str]], dict[str, Any]]] = {
    "two runs": together,
    "two runs, one killed": one_killed,
}


def section(results: Mapping[str, Any], items: int) -> str:
    """The section of the page."""
    alone, killed = (Meeting(**results[name]) for name in PARTS)
    return _TEXT.format(
        items=items,
        first=alone.extracted[0],
        second=alone.extracted[1],
        double=sum(alone.extracted) - items,
        status=alone.status,
        found=_found(alone),
        before=killed.extracted[0],
        claimed=len(killed.in_flight),
        survivor=killed.extracted[1],
        redone=len(killed.redone),
        rewritten=len(killed.rewritten),
        survivor_status=killed.status[1],
        killed_found=_found(killed),
    )


def _found(meeting: Meeting) -> str:
    """Whether the store is as it should be, in words."""
    same = ", ".join(meeting.differing) or "none"
    left = ", ".join(meeting.left) or "none"
    clean = "clean" if meeting.verified else "NOT CLEAN"
    return f"files that differ from the undisturbed store: {same}; left behind: {left}; {clean}"


def _new_store(course: Course) -> Path:
    store = course.work / "two"
    shutil.rmtree(store, ignore_errors=True)
    return store


def _meeting(
    course: Course,
    store: Path,
    expected: Mapping[str, str],
    extracted: list[int],
    status: list[int],
) -> dict[str, Any]:
    found = differing(content(store), expected)
    left, verified = left_behind(store), course.verified(store)
    return asdict(Meeting(extracted, status, [], [], [], found, left, verified))


def _extracted(course: Course, log: str) -> int:
    """How many items a run says it made.

    Raises:
        UserError: If it does not say so.
    """
    said = re.search(r"items?: (\d+) extracted", course.said(log))
    if said is None:
        raise UserError(f"a run ended without a summary: {course.said(log)[-500:]}")
    return int(said[1])


_TEXT = """
## Two runs at once

Started together on one empty store, {items} clips:

- Left alone: {first} items made by the one, {second} by the other; made twice: {double}. Exit
  statuses {status} (1: what the other was still working on was left to it). In the store,
  {found} by `features.verify`.
- The one killed (all of its processes) when half of the tracks were there, {before} items finished
  and {claimed} claimed by both: the other made {survivor} in all and ended with {survivor_status};
  finished items redone: {redone}; whole tracks of claimed items made once more: {rewritten}. In the
  store, {killed_found} by `features.verify`.
"""
