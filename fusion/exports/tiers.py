"""Stretches of time with a label, in tiers, as ELAN, Praat and subtitles have them.

Data flow: classes, columns that are on or off, events > Tier of Stretch, which never overlap.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fusion.events.event_list import BY_HAND, Event
from fusion.events.finder import Timing, find
from fusion.exports.base import ExportPerson, ExportVideo, plain
from fusion.tables.frame_table import ON_OR_OFF, FrameTable


@dataclass(frozen=True)
class Stretch:
    """A label from `start` to `end`, seconds."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Tier:
    """Stretches of one kind of one person.

    Attributes:
        person: Name.
        kind: What they are, e.g. `expression`, `smile`.
        stretches: In order; they do not overlap.
    """

    person: str
    kind: str
    stretches: tuple[Stretch, ...]

    @property
    def name(self) -> str:
        """Person and kind."""
        return plain(f"{self.person} {self.kind}")


def tiers_of(video: ExportVideo) -> list[Tier]:
    """Classes, then columns that are on or off, then events, person by person."""
    found = []
    for person in video.people:
        found += class_tiers(person)
        found += _switch_tiers(person.trusted)
        found += event_tiers(person)
    return found


def class_tiers(person: ExportPerson) -> list[Tier]:
    """One a task of classes: as long as the class stays."""
    table = person.trusted
    return [
        Tier(table.person, name, tuple(_runs(each.codes, each.names, table)))
        for name, each in table.classes.items()
    ]


def event_tiers(person: ExportPerson) -> list[Tier]:
    """One a kind of event that was looked for, found or not; those marked by hand apart."""
    events = person.found.events
    kinds = dict.fromkeys((name, False) for name in person.found.known)
    kinds |= dict.fromkeys((event.name, event.source == BY_HAND) for event in events)
    by_hand_only = {name for name, by_hand in kinds if by_hand}
    by_rule = {event.name for event in events if event.source != BY_HAND}
    found = []
    for name, by_hand in kinds:
        if not by_hand and name in by_hand_only - by_rule:
            continue
        own = [e for e in events if e.name == name and (e.source == BY_HAND) == by_hand]
        kind = f"{name} (by hand)" if by_hand else name
        found.append(Tier(person.name, kind, tuple(_joined(own))))
    return found


def _switch_tiers(table: FrameTable) -> list[Tier]:
    found = []
    for name, column in table.about.items():
        if column.unit != ON_OR_OFF:
            continue
        spans = find(table.values[name], None, table.times, table.durations, Timing(bridge=0.0))
        label = name.removesuffix("_on")
        found.append(
            Tier(
                table.person,
                name,
                tuple(
                    Stretch(float(table.times[a]), float(table.ends[b - 1]), label)
                    for a, b in spans
                ),
            )
        )
    return found


def _runs(codes: np.ndarray, names: Sequence[str], table: FrameTable) -> Iterable[Stretch]:
    """Frames of one class without a pause of the clock."""
    ends = table.ends
    pause = table.times[1:] - ends[:-1] > 1e-6
    inner = np.flatnonzero((np.diff(codes) != 0) | pause) + 1
    for first, stop in pairwise([0, *inner.tolist(), len(codes)] if len(codes) else []):
        if codes[first] >= 0:
            start, end = float(table.times[first]), float(ends[stop - 1])
            yield Stretch(start, end, names[codes[first]])


def _joined(events: Iterable[Event]) -> list[Stretch]:
    """Events of one kind; those that overlap, which marks by hand may, as one."""
    found: list[Stretch] = []
    for event in sorted(events, key=lambda each: each.onset):
        if found and event.onset < found[-1].end:
            end = max(found[-1].end, event.offset)
            found[-1] = Stretch(found[-1].start, end, event.name)
        else:
            found.append(Stretch(event.onset, event.offset, event.name))
    return found
