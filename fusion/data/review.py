"""What somebody who looked through a clip changed: names, people, stretches to leave out, events.

Data flow: review page > `review.json` > Review > statistics, tables, the page again.

The file is JSON; times are seconds from the start of the video stream, a person is the id of its
predictions, `null` everybody:

    {"format": 1, "video": "talk",
     "rename": {"talk_left": "Anna"},
     "merge": [["talk_left", "talk_person3"]],
     "exclude": [{"person": null, "from": 0.0, "to": 2.5}],
     "events": [{"person": "talk_left", "name": "laugh", "onset": 4.2, "offset": 5.0}]}

All but `format` and `video` may be absent. `from` and `to` may be `null`: from the beginning, to
the end; with both, a person is left out altogether. Of merged people the first id stands for all.
An event whose offset is its onset is a moment. Statistics do not count excluded frames.

Letters: F frames.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from features.errors import UserError

FORMAT = 1
"""Of the file; a later one is refused."""


@dataclass(frozen=True)
class Exclusion:
    """A stretch that does not count.

    Attributes:
        person: Id of the person; None: everybody.
        start, end: Seconds, both included; infinite where it is open.
    """

    person: str | None
    start: float
    end: float


@dataclass(frozen=True)
class Event:
    """Something that somebody saw or heard.

    Attributes:
        person: Id of the person; None: everybody.
        name: What it is.
        onset, offset: Seconds; the same for a moment.
    """

    person: str | None
    name: str
    onset: float
    offset: float


@dataclass(frozen=True)
class Review:
    """Changes to the predictions of one video.

    Attributes:
        video: Its id.
        rename: Id of a person to the name to be shown.
        merge: Groups of ids that are one person.
        exclude: Stretches that do not count.
        events: In the order of their onsets.
    """

    video: str
    rename: Mapping[str, str] = field(default_factory=dict)
    merge: tuple[tuple[str, ...], ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    events: tuple[Event, ...] = ()

    def person_of(self, id: str) -> str:
        """The id that stands for this one: the first of its group, else itself."""
        return next((group[0] for group in self._groups() if id in group), id)

    def name_of(self, id: str) -> str:
        """What the person is called; the id if nobody said."""
        first = self.person_of(id)
        return self.rename.get(first) or self.rename.get(id) or first

    def kept(self, id: str, times: np.ndarray) -> np.ndarray:
        """(F,) bool: which frames of a person at (F,) seconds count."""
        counts = np.ones(len(times), bool)
        for one in self.exclude:
            if one.person is None or self.person_of(one.person) == self.person_of(id):
                counts &= (times < one.start) | (times > one.end)
        return counts

    def events_of(self, id: str) -> tuple[Event, ...]:
        """Events of a person, those of everybody among them."""
        person = self.person_of(id)
        return tuple(
            e for e in self.events if e.person is None or self.person_of(e.person) == person
        )

    def description(self) -> dict[str, Any]:
        """As in the file."""
        return {
            "format": FORMAT,
            "video": self.video,
            "rename": dict(self.rename),
            "merge": [list(group) for group in self.merge],
            "exclude": [
                {"person": e.person, "from": _open(e.start), "to": _open(e.end)}
                for e in self.exclude
            ],
            "events": [
                {"person": e.person, "name": e.name, "onset": e.onset, "offset": e.offset}
                for e in self.events
            ],
        }

    def _groups(self) -> list[tuple[str, ...]]:
        """Groups without a common id: those that share one are one."""
        groups: list[tuple[str, ...]] = []
        for group in self.merge:
            touched = [one for one in groups if set(one) & set(group)]
            joined = dict.fromkeys(id for one in (*touched, group) for id in one)
            groups = [one for one in groups if one not in touched]
            groups.append(tuple(joined))
        return groups


def read_review(path: Path, people: Iterable[str] | None = None) -> Review:
    """Reads a `review.json`.

    Args:
        path: The file.
        people: Ids of the people whom it may name; None: anybody.

    Raises:
        UserError: If it cannot be read, is something else, or names somebody who is not there.
    """
    try:
        review = review_of(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; save it from the review page") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        cause = " ".join(str(error).split())
        raise UserError(f"{path}: no review ({cause}); save it again from the page") from error
    known = None if people is None else set(people)
    for name in _named(review) if known is not None else ():
        if known is not None and name not in known:
            raise UserError(
                f"{path}: it names '{name}', who is not in video '{review.video}' (there:"
                f" {', '.join(sorted(known))}); is it the review of another video?"
            )
    return review


def review_of(said: Mapping[str, Any]) -> Review:
    """The review of what a file says.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: If that is no review.
    """
    if said["format"] != FORMAT:
        raise ValueError(f"format {said['format']!r}, this version reads {FORMAT}")
    exclude = tuple(
        Exclusion(_id(e["person"]), _time(e["from"], -math.inf), _time(e["to"], math.inf))
        for e in said.get("exclude", ())
    )
    events = tuple(
        Event(_id(e["person"]), str(e["name"]), _time(e["onset"]), _time(e["offset"]))
        for e in said.get("events", ())
    )
    for stretch in (*((e.start, e.end) for e in exclude), *((e.onset, e.offset) for e in events)):
        if stretch[0] > stretch[1]:
            raise ValueError(f"a stretch ends at {stretch[1]:g} s before it begins")
    return Review(
        video=str(said["video"]),
        rename={str(id): str(name) for id, name in said.get("rename", {}).items()},
        merge=tuple(tuple(map(str, group)) for group in said.get("merge", ()) if group),
        exclude=exclude,
        events=tuple(sorted(events, key=lambda event: event.onset)),
    )


def _named(review: Review) -> list[str]:
    """Ids that a review names, each once."""
    people = [e.person for e in review.exclude] + [e.person for e in review.events]
    merged = [id for group in review.merge for id in group]
    return list(dict.fromkeys([*review.rename, *merged, *(id for id in people if id is not None)]))


def _id(person: object) -> str | None:
    return None if person is None else str(person)


def _time(value: Any, otherwise: float | None = None) -> float:
    """Seconds; `otherwise` for null, where that may be."""
    if value is None and otherwise is not None:
        return otherwise
    if isinstance(value, bool) or not math.isfinite(seconds := float(value)):
        raise ValueError(f"{value!r} is no time in seconds")
    return seconds


def _open(value: float) -> float | None:
    return value if math.isfinite(value) else None
