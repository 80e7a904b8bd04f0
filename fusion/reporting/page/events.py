"""Events found by rules, as a page shows them. Data flow: predictions, rules > events > rows.

Who somebody is and which stretches do not count is changed in the page itself, so events are those
of the predictions as they are.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from fusion.data.predictions import FramePredictions
from fusion.events.event_list import Event, PersonEvents, events_of
from fusion.events.rules import RuleSet
from fusion.events.tables import count_rows
from fusion.tables.frame_table import table_of

ROWS = 8
"""Kinds of events that a lane shows, the most frequent ones."""
VALID = 0.5
"""What is said of a face that is less valid is no event; so it is in other commands."""


@dataclass(frozen=True)
class FoundEvents:
    """Events of one person.

    Attributes:
        description: For the page; None where none of the rules could be looked for.
        missing: Event to why there is no such rule here.
    """

    description: dict[str, Any] | None = None
    missing: dict[str, str] = field(default_factory=dict)


def find_events(said: FramePredictions, rules: RuleSet | None) -> FoundEvents:
    """Events of a person; None: no rules.

    Raises:
        UserError: If a rule makes no sense for the columns.
    """
    if rules is None or not len(said):
        return FoundEvents()
    found = events_of(table_of(said).trusted(VALID), rules)
    return FoundEvents(_described(found, rules) if found.known else None, found.missing)


def _described(found: PersonEvents, rules: RuleSet) -> dict[str, Any]:
    """Rows of a lane, most frequent first: name, rule, rate a minute, events in order."""
    counts = Counter(event.name for event in found.events)
    shown = [name for name, _ in counts.most_common(ROWS)]
    rates = {row["name"]: row["per_minute"] for row in count_rows([found])}
    texts = {rule.name: rule.text for rule in rules.rules}
    return {
        "kinds": [
            {
                "name": name,
                "rule": texts[name],
                "rate": _number(rates[name]),
                "events": [_row(event) for event in found.events if event.name == name],
            }
            for name in shown
        ],
        "more": [name for name in counts if name not in shown],
    }


def _row(event: Event) -> list[float | None]:
    """Onset and length in seconds, peak."""
    return [round(event.onset, 3), round(event.duration, 3), _number(event.peak)]


def _number(value: float) -> float | None:
    """With three digits; None for what is none."""
    return float(f"{value:.3g}") if math.isfinite(value) else None
