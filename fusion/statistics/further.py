"""What follows from the people of a folder: comparisons, curves, synchrony, agreement with labels.

Data flow: People > compare.csv, curves/, synchrony.csv, agreement.csv, recalibration.csv.
"""

import difflib
from pathlib import Path

from features.errors import UserError
from fusion.events.binding import resolved
from fusion.events.tables import write_rows
from fusion.statistics import comparing, synchrony
from fusion.statistics.curves import curves_of, write_curves
from fusion.statistics.own_labels import agreement, recalibrating
from fusion.statistics.own_labels.labels import read_labels
from fusion.statistics.own_labels.matching import matched
from fusion.statistics.participants import ID
from fusion.statistics.people import People
from fusion.statistics.settings import SummarizeSettings

COMPARED = ("_mean", "_share", "_per_minute")
"""Endings of the statistics that are compared: levels and rates, which long clips do not raise."""


def write_comparisons(settings: SummarizeSettings, people: People, out: Path) -> list[Path]:
    """Groups or conditions, and their curves.

    Raises:
        UserError: If the groups make no sense, or a package is missing.
    """
    assert settings.group is not None
    names = dict.fromkeys(name for row in people.rows for name in row if name.endswith(COMPARED))
    rows = comparing.compared(
        people.rows, list(names), settings.group, ID, draws=settings.draws, seed=settings.seed
    )
    files = [write_rows(out / "compare.csv", comparing.COLUMNS, rows)]
    lost = sum(settings.group not in person.participant.told for person in people.all)
    if lost:
        people.remarks.append(f"without a '{settings.group}', in no group: {lost}")
    for name in columns_of(settings, people):
        found = curves_of(
            people.all, name, settings.group, settings.bin, settings.draws, settings.seed
        )
        unit = next(p.table.about[name].unit for p in people.all if name in p.table.about)
        files += write_curves(found, name, settings.bin, out / "curves", unit)
    return files


def write_synchrony(settings: SummarizeSettings, people: People, out: Path) -> list[Path]:
    """Each two people of a video; nothing where everybody is alone."""
    names = columns_of(settings, people)
    rows = synchrony.synchronies(people.all, names, settings.synchrony, settings.seed)
    return [write_rows(out / "synchrony.csv", synchrony.COLUMNS, rows)] if rows else []


def write_agreement(settings: SummarizeSettings, people: People, out: Path) -> list[Path]:
    """Agreement with labels, and what they give to recalibrate by.

    Raises:
        UserError: If labels make no sense or are of other clips.
    """
    assert settings.labels is not None
    found = matched(read_labels(settings.labels), people.all)
    if found.unknown:
        people.remarks.append(f"labels that match nothing: {', '.join(found.unknown)}")
    rows = agreement.agreements(found.pairs, settings.draws, settings.seed)
    files = [write_rows(out / "agreement.csv", agreement.COLUMNS, rows)]
    scales = recalibrating.recalibrations(found.pairs)
    if scales:
        table = recalibrating.rows_of(scales)
        files.append(write_rows(out / "recalibration.csv", recalibrating.COLUMNS, table))
        files.append(recalibrating.write_rules(scales, out / "recalibrated.yaml"))
    return files


def columns_of(settings: SummarizeSettings, people: People) -> list[str]:
    """Columns whose curves and synchrony are wanted.

    Raises:
        UserError: If one is nowhere; says the nearest.
    """
    tables = [person.table for person in people.all]
    known = dict.fromkeys(name for table in tables for name in table.about)
    if not settings.columns:
        return [name for name in known if any(table.is_value(name) for table in tables)]
    found = []
    for name in settings.columns:
        column = next((c for table in tables if (c := resolved(name, table))), None)
        if column is None:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise UserError(f"columns: there is no column '{name}'{hint}")
        found.append(column)
    return found
