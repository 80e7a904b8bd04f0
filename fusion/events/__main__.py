"""`python -m fusion.events`: what happens when, by rules over the columns of predictions.

Data flow: predictions + rules + reviews > events > events.tsv, counts.csv, latencies.csv.

    python -m fusion.events predictions
    python -m fusion.events predictions --rules my_rules.yaml --markers markers.csv
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from features.cli.app import FAILED, OK, run
from features.cli.wording import closing_lines, counted
from fusion.events.event_list import PersonEvents, events_of
from fusion.events.markers import Marker, latencies, read_markers
from fusion.events.rules import read_rules
from fusion.events.tables import (
    COUNT_COLUMNS,
    EVENT_COLUMNS,
    LATENCY_COLUMNS,
    count_rows,
    event_rows,
    write_rows,
)
from fusion.tables.folder import PredictionFolder
from fusion.tables.settings import TablesSettings


@dataclass
class EventsSettings(TablesSettings):
    """Settings of the search for events.

    Args:
        markers: CSV with `time` and `name`, and maybe `video`: how long after each do events begin?
    """

    ESSENTIAL: ClassVar[tuple[str, ...]] = ("rules", "review", "markers", "min_validity", "out")

    markers: Path | None = None


@dataclass
class EventsSummary:
    """What was found.

    Attributes:
        people: How many, in all videos.
        events: Rows of events.tsv.
        counts: Rows of counts.csv.
        latencies: Rows of latencies.csv.
        files: Written.
        remarks: Of rules that could not be told of some.
        failures: Id to cause.
    """

    people: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    counts: list[dict[str, Any]] = field(default_factory=list)
    latencies: list[dict[str, Any]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, found: PersonEvents, markers: tuple[Marker, ...]) -> None:
        """Adds a person, of whom only the rows are kept."""
        self.people += 1
        self.events += event_rows([found])
        self.counts += count_rows([found])
        self.latencies += [vars(each) for each in latencies(found, markers)]

    def print(self) -> None:
        """Prints the closing lines."""
        events = Counter(row["name"] for row in self.events)
        kinds = ", ".join(f"{name} {number}" for name, number in sorted(events.items()))
        total = counted(sum(events.values()), "event") + (f" ({kinds})" if kinds else "")
        made = f"{total} of {counted(self.people, 'person', 'people')}"
        print("\n".join(closing_lines(made, self.files, self.remarks, self.failures)))


def find_events(settings: EventsSettings) -> EventsSummary:
    """Finds the events and writes the tables; a damaged file never stops the others.

    Raises:
        UserError: If rules, reviews or markers make no sense, or a rule fits no file at all.
    """
    rules = read_rules(settings.rules)
    markers = read_markers(settings.markers) if settings.markers else ()
    folder = PredictionFolder.of(settings.pred, settings.review)
    summary, missing = EventsSummary(), list[dict[str, str]]()
    for video in folder.read():
        for id, table in video.people.items():
            trusted = table.trusted(settings.min_validity)
            found = events_of(trusted, rules, video.marked.get(id, ()))
            missing.append(found.missing)
            summary.add(found, markers)
    summary.failures = folder.failures
    summary.remarks = rules.remarks(missing)
    summary.files = _write(settings.folder("events"), summary, bool(markers))
    return summary


def _write(out: Path, summary: EventsSummary, marked: bool) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    files = [
        write_rows(out / "events.tsv", EVENT_COLUMNS, summary.events, "\t"),
        write_rows(out / "counts.csv", COUNT_COLUMNS, summary.counts),
    ]
    if marked:
        files.append(write_rows(out / "latencies.csv", LATENCY_COLUMNS, summary.latencies))
    return files


def command(settings: EventsSettings) -> int:
    """Finds events and prints a summary."""
    summary = find_events(settings)
    summary.print()
    return FAILED if summary.failures else OK


main = partial(run, EventsSettings, command, prog="fusion.events", description=__doc__ or "")

if __name__ == "__main__":
    main()
