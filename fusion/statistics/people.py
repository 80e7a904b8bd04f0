"""All people in all clips of a folder, with their rows of the summary.

Data flow: folder > tables and events of each person > rows, participants.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from features.errors import UserError
from fusion.events.binding import resolved
from fusion.events.event_list import PersonEvents, events_of
from fusion.events.rules import read_rules
from fusion.events.tables import write_rows
from fusion.statistics.participants import ID, Participant, Participants, read_participants
from fusion.statistics.settings import SummarizeSettings
from fusion.statistics.summary import WHY, Enough, row_of
from fusion.tables.folder import PredictionFolder
from fusion.tables.frame_table import FrameTable
from fusion.tables.weighting import weighted_mean


@dataclass
class Person:
    """Somebody in a clip.

    Attributes:
        found: Events, and the table without what is not to be trusted.
        participant: Who it is.
    """

    found: PersonEvents
    participant: Participant

    @property
    def table(self) -> FrameTable:
        """Without what is not to be trusted, with own measures."""
        return self.found.table


@dataclass
class People:
    """Everybody.

    Attributes:
        all: In order of videos and ids.
        rows: Of the summary, in that order.
        remarks: What is odd.
        failures: Id to cause.
    """

    all: list[Person] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        """Writes the summary."""
        names = list(dict.fromkeys(name for row in self.rows for name in row if name != WHY))
        return write_rows(path, [*names, WHY], self.rows)


def gather(settings: SummarizeSettings) -> People:
    """Reads everybody; a damaged file never stops the others.

    Raises:
        UserError: If rules, reviews or participants make no sense, or a rule fits nobody.
    """
    table = read_participants(settings.participants) if settings.participants else None
    if table and settings.group:
        table.require(settings.group)
    rules = read_rules(settings.rules)
    folder = PredictionFolder.of(settings.pred, settings.review)
    people = People(failures=folder.failures)
    enough = Enough(settings.min_share, settings.min_seconds)
    for video in folder.read():
        for id, frames in video.people.items():
            trusted = frames.trusted(settings.min_validity)
            person = Person(
                events_of(trusted, rules, video.marked.get(id, ())), _who(table, frames)
            )
            valid = weighted_mean(
                (frames.validity >= max(settings.min_validity, 1e-9)).astype(float),
                frames.durations,
            )
            people.rows.append(_row(person, valid, enough))
            people.all.append(person if settings.labels else _lighter(person, settings.columns))
    people.remarks += rules.remarks([person.found.missing for person in people.all])
    if table:
        people.remarks += _absent(table, people)
    return people


def _lighter(person: Person, columns: Sequence[str]) -> Person:
    """Without the columns, most of the memory, that nothing after the summary looks at."""
    table = person.table
    wanted = {resolved(name, table) for name in columns}
    names = wanted if columns else {name for name in table.values if table.is_value(name)}
    return Person(replace(person.found, table=table.only(names), known={}), person.participant)


def _who(table: Participants | None, frames: FrameTable) -> Participant:
    return table.of(frames.id, frames.person) if table else Participant(frames.person, {})


def _row(person: Person, valid: float, enough: Enough) -> dict[str, Any]:
    """Who it is comes first; a column of the participants never hides a statistic."""
    row = row_of(person.found, valid, enough)
    for name in person.participant.told:
        if name in row:
            raise UserError(f"participants: a column may not be called '{name}'; rename it")
    return {ID: person.participant.id, **person.participant.told, **row}


def _absent(table: Participants, people: People) -> list[str]:
    seen = {person.participant.id for person in people.all}
    absent = sorted({id for id, _, _ in table.rows} - seen)
    return [f"participants without a clip: {', '.join(absent)}"] if absent else []
