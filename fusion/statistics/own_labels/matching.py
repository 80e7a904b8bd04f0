"""Labels beside what was predicted of the same frames.

Data flow: labels + people > pairs of said and labelled, weighted by time.

A span's name is a class, else an event that was looked for, else a column from 0 to 1, which is on
from one half. A column of values is one of the predictions' columns; a column of names holds
classes. What matches nothing is told.

Letters: F frames of a clip, N labelled frames, C classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from features.errors import UserError
from fusion.events.binding import resolved
from fusion.statistics.own_labels.labels import LABELLED, Labels, Span
from fusion.statistics.people import Person
from fusion.tables.frame_table import FrameTable
from fusion.tables.weighting import durations

Kind = Literal["classes", "binary", "values"]
HALF = 0.5


@dataclass(frozen=True)
class Pairs:
    """What is labelled and said of one thing, of one person in a clip.

    Attributes:
        kind: Of both.
        name: Of the classes, the event or the column.
        participant: Who.
        said: (N,) codes, 0 and 1, or values.
        labelled: (N,) likewise.
        weights: (N,) seconds.
        classes: C names of the codes.
        level: (N,) the probability behind 0 and 1, of columns; None: there is none.
        column: Where `said` stands in the predictions.
    """

    kind: Kind
    name: str
    participant: str
    said: np.ndarray
    labelled: np.ndarray
    weights: np.ndarray
    classes: tuple[str, ...] = ()
    level: np.ndarray | None = None
    column: str = ""


@dataclass
class Matched:
    """All pairs.

    Attributes:
        pairs: Of every person and thing.
        unknown: Names of labels that match nothing.
    """

    pairs: list[Pairs] = field(default_factory=list)
    unknown: dict[str, None] = field(default_factory=dict)


def matched(labels: Sequence[Labels], people: Sequence[Person]) -> Matched:
    """Pairs of all labels.

    Raises:
        UserError: If labels are of nobody here, it is not clear of whom, or nothing matches.
    """
    found = Matched()
    for each in labels:
        _add(found, each, _whose(each, people))
    if not found.pairs:
        names = ", ".join(found.unknown) or "nothing"
        raise UserError(
            f"{labels[0].path}: no label is the name of a class, an event or a column of the"
            f" predictions, or none lies where there is a value; labelled is {names}"
        )
    return found


def _whose(labels: Labels, people: Sequence[Person]) -> Person:
    there = [p for p in people if labels.clip in (p.table.id, p.table.video)]
    if not there:
        clips = ", ".join(sorted({p.table.id for p in people})[:5])
        raise UserError(
            f"{labels.path}: labels of '{labels.clip}', of which there are no predictions (there"
            f" are {clips}); rename the file or say the clip in a column 'clip'"
        )
    names = [p for p in there if labels.person in (p.table.person, p.table.id, p.participant.id)]
    exact = [p for p in there if p.table.id == labels.clip] if not labels.person else []
    chosen = names or exact or (there if not labels.person or len(there) == 1 else [])
    if len(chosen) != 1:
        who = ", ".join(p.table.person for p in there)
        said = f"'{labels.person}' is nobody" if labels.person else "it does not say who"
        raise UserError(f"{labels.path}: {said} in '{labels.clip}'; there are {who}")
    return chosen[0]


def _add(found: Matched, labels: Labels, person: Person) -> None:
    table = person.table
    spans: dict[str, list[Span]] = {}
    for span in labels.spans:
        spans.setdefault(span.name, []).append(span)
    looked = _inside(spans.pop(LABELLED, [Span(-np.inf, np.inf, "")]), table)
    for name, classes in table.classes.items():
        own = [s for n in list(spans) if n in classes.names for s in spans.pop(n)]
        if own:
            codes = np.full(len(table), -1)
            for span in own:
                codes[_inside([span], table)] = classes.names.index(span.name)
            _classes(found, person, name, codes, looked & (codes >= 0), table.durations)
    for name, own in spans.items():
        _binary(found, person, name, _inside(own, table), looked)
    for name, series in labels.series.items():
        _series(found, person, name, series)


def _inside(spans: Sequence[Span], table: FrameTable) -> np.ndarray:
    """(F,) frames whose middle lies in one of the spans; of a moment, the frame that holds it."""
    middle = table.times + table.durations / 2
    found = np.zeros(len(table), bool)
    for span in spans:
        if span.end > span.start:
            found |= (middle >= span.start) & (middle < span.end)
        else:
            found |= (table.times <= span.start) & (span.start < table.ends)
    return found


def _classes(
    found: Matched,
    person: Person,
    name: str,
    labelled: np.ndarray,
    counts: np.ndarray,
    weights: np.ndarray,
    rows: np.ndarray | None = None,
) -> None:
    """Adds classes; `rows` are the frames that the labels belong to, if not all in order."""
    classes = person.table.classes[name]
    said = classes.codes if rows is None else classes.codes[rows]
    keep = counts & (said >= 0) & (labelled >= 0)
    if keep.any():
        found.pairs.append(
            Pairs(
                "classes",
                name,
                person.participant.id,
                said[keep],
                labelled[keep],
                weights[keep],
                classes.names,
            )
        )


def _binary(
    found: Matched, person: Person, name: str, labelled: np.ndarray, looked: np.ndarray
) -> None:
    table = person.table
    level, column = None, ""
    if name in person.found.known:
        events = [e for e in person.found.events if e.name == name]
        said = _inside([Span(e.onset, e.offset, name) for e in events], table)
        keep = looked & person.found.known[name]
    elif (held := resolved(name, table)) and (table.about[held].low, table.about[held].high) == (
        0,
        1,
    ):
        level, column = table.values[held], held
        said, keep = level >= HALF, looked & ~np.isnan(level)
    else:
        found.unknown[name] = None
        return
    if keep.any():
        found.pairs.append(
            Pairs(
                "binary",
                name,
                person.participant.id,
                said[keep].astype(int),
                labelled[keep].astype(int),
                table.durations[keep],
                ("off", "on"),
                None if level is None else level[keep],
                column,
            )
        )


def _series(
    found: Matched, person: Person, name: str, series: Sequence[tuple[float, object]]
) -> None:
    table = person.table
    ordered = sorted(series, key=lambda pair: pair[0])
    times = np.array([time for time, _ in ordered])
    shown = np.searchsorted(table.times, times + 1e-9, side="right") - 1
    inside = (shown >= 0) & (times < table.ends[shown] + 1e-9) if len(table) else shown > 0
    weights = _lasting(times)
    if name in table.classes:
        names = table.classes[name].names
        codes = np.array([names.index(v) if v in names else -1 for _, v in ordered])
        found.unknown.update(dict.fromkeys(str(v) for _, v in ordered if v not in names))
        _classes(found, person, name, codes, inside, weights, shown)
        return
    column = resolved(name, table)
    numbers = np.array([v if isinstance(v, float) else np.nan for _, v in ordered])
    if column is None or np.isnan(numbers).all():
        found.unknown[name] = None
        return
    said = table.values[column][shown].astype(np.float64)
    keep = inside & ~np.isnan(said) & ~np.isnan(numbers)
    if keep.any():
        who = person.participant.id
        pairs = (said[keep], numbers[keep], weights[keep])
        found.pairs.append(Pairs("values", name, who, *pairs, column=column))


def _lasting(times: np.ndarray) -> np.ndarray:
    """Seconds that labels at these times last; of several at one time, none but the last."""
    distinct, places = np.unique(times, return_index=True)
    found = np.zeros(len(times))
    found[places] = durations(distinct)
    return found
