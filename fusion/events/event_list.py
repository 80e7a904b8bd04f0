"""Events of a person in a video: by rules, and those that somebody marked by hand.

Data flow: FrameTable + rules + marks > Event > events.tsv, counts.csv, exports, statistics.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusion.data.review import Event as MarkedEvent
from fusion.events.binding import MissingColumn, Readings, read, with_measures
from fusion.events.finder import Timing, find
from fusion.events.rules import Rule, RuleSet
from fusion.tables.frame_table import FrameTable
from fusion.tables.weighting import weighted_mean

BY_HAND = "review"
BY_RULE = "rule"


@dataclass(frozen=True)
class Event:
    """One event.

    Attributes:
        clip: Id of the predictions.
        video: Id of the video.
        person: Name that people read.
        name: What it is.
        onset, offset: Seconds.
        peak: Of what the rule compares: farthest into its direction; NaN where marked by hand.
        mean: Likewise, over time.
        validity: Mean over time of how far the face is to be trusted.
        source: `BY_RULE` or `BY_HAND`.
    """

    clip: str
    video: str
    person: str
    name: str
    onset: float
    offset: float
    peak: float
    mean: float
    validity: float
    source: str = BY_RULE

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.offset - self.onset


@dataclass(frozen=True)
class PersonEvents:
    """What was found of one person in one video.

    Attributes:
        table: With own measures.
        events: In order of their onset.
        known: Event to (F,) whether its rule could be told; marked ones: everywhere.
        missing: Event to why there is no such rule here.
    """

    table: FrameTable
    events: tuple[Event, ...]
    known: dict[str, np.ndarray]
    missing: dict[str, str]

    @property
    def observed(self) -> dict[str, float]:
        """Event to the seconds in which its rule could be told."""
        return {n: float(self.table.durations[each].sum()) for n, each in self.known.items()}


def events_of(
    table: FrameTable, rules: RuleSet, marked: Sequence[MarkedEvent] = ()
) -> PersonEvents:
    """Events of a person.

    Args:
        table: Without the values that are not to be trusted.
        rules: Whose columns are looked for; one that a table lacks leaves the rule out.
        marked: By hand.

    Raises:
        UserError: If a rule makes no sense for the columns.
    """
    table = with_measures(table, rules.measures)
    events: list[Event] = []
    known: dict[str, np.ndarray] = {}
    missing: dict[str, str] = {}
    for rule in rules.rules:
        try:
            said = read(rule, table)
        except MissingColumn as error:
            missing[rule.name] = str(error)
            continue
        events += _by_rule(rule, said, table)
        known[rule.name] = ~np.isnan(said.holds)
    for mark in marked:
        events.append(_by_hand(mark, table))
        known.setdefault(mark.name, np.ones(len(table), bool))
    return PersonEvents(table, tuple(sorted(events, key=_order)), known, missing)


def _order(event: Event) -> tuple[float, float, str]:
    return event.onset, event.offset, event.name


def _by_rule(rule: Rule, said: Readings, table: FrameTable) -> list[Event]:
    clauses = rule.clauses
    timing = Timing(clauses.shortest, clauses.gap, rule.bridge)
    found, ends = [], table.ends
    for first, stop in find(said.holds, said.ends, table.times, table.durations, timing):
        held, lasting = said.value[first:stop], table.durations[first:stop]
        known = held[~np.isnan(held)]
        peak = (known.max() if said.upward else known.min()) if len(known) else np.nan
        found.append(
            Event(
                table.id,
                table.video,
                table.person,
                rule.name,
                onset=float(table.times[first]),
                offset=float(ends[stop - 1]),
                peak=float(peak),
                mean=weighted_mean(held, lasting),
                validity=weighted_mean(table.validity[first:stop], lasting),
            )
        )
    return found


def _by_hand(mark: MarkedEvent, table: FrameTable) -> Event:
    onset, offset = mark.onset, mark.offset
    inside = (table.ends > onset) & (table.times < max(offset, np.nextafter(onset, np.inf)))
    validity = weighted_mean(table.validity[inside], table.durations[inside])
    who = (table.id, table.video, table.person)
    return Event(*who, mark.name, onset, offset, np.nan, np.nan, validity, BY_HAND)
