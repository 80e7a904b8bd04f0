"""Rows of the encoder table as Markdown and CSV, and the comparisons below it.

Data flow: `Row`s > text, file.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.studies.encoders.baselines import PatternLda
from experiments.studies.encoders.probe_rows import Row
from experiments.studies.encoders.probes import Score, fold_score

FACENET, STAND_IN = "facenet", PatternLda.name
"""Face recognition embeddings that others are held against: the first that has a row."""


def compare_identity(rows: list[Row]) -> Iterator[str]:
    """Leak and expression probe of each row against those of a face recognition embedding."""
    by_name = {row.name: row for row in rows}
    other = by_name.get(FACENET) or by_name.get(STAND_IN)
    if other is None:
        return
    lines = [
        f"Against the face recognition embedding '{other.name}' (CK+ probe up, leak down):",
        "",
    ]
    for row in (row for row in rows if row is not other):
        probe_gain = fold_score(row.folds["CK+ probe"] - other.folds["CK+ probe"])
        leak = leak_difference(row, other)
        verdict = "holds" if probe_gain.value > 0 > leak.value else "does not hold"
        lines.append(
            f"- {row.name}: CK+ probe {_signed(probe_gain)}, leak {_signed(leak)}: {verdict}"
        )
    yield "\n".join(lines)


def leak_difference(row: Row, other: Row) -> Score:
    """Mean over the identity sets of the paired difference; the sets' errors are independent."""
    columns = [c for c in row.folds if c.startswith("id ")]
    parts = [fold_score(row.folds[c] - other.folds[c]) for c in columns]
    error = np.sqrt(sum(p.error**2 for p in parts)) / len(parts)
    return Score(float(np.mean([p.value for p in parts])), float(error))


def compare_whisper(rows: list[Row]) -> Iterator[str]:
    """Each audio row's differences to Whisper, paired by fold."""
    whisper = next((row for row in rows if row.name == "whisper"), None)
    if whisper is None:
        return
    lines = ["Less Whisper, paired by fold:", ""]
    for row in (row for row in rows if row is not whisper):
        pairs = [(c, row.folds[c] - whisper.folds[c]) for c in row.folds if c in whisper.folds]
        lines.append(
            f"- {row.name}: " + ", ".join(f"{c} {_signed(fold_score(d))}" for c, d in pairs)
        )
    yield "\n".join(lines)


def table(rows: list[Row]) -> str:
    """Rows as a Markdown table."""
    if not rows:
        return "(no rows)"
    cells = [_cells(row) for row in rows]
    columns = list(dict.fromkeys(column for row in cells for column in row))
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(row.get(column, "") for column in columns) for row in cells]
    return "\n".join(f"| {line} |" for line in lines)


def write_csv(path: Path, visual: list[Row], audio: list[Row]) -> None:
    """All rows with unrounded figures; errors in columns of their own."""
    plain = []
    for kind, rows in (("visual", visual), ("audio", audio)):
        for row in rows:
            cells: dict[str, Any] = {"kind": kind, "encoder": row.name}
            cells |= {"parameters": row.parameters, "MB": row.megabytes, "dim": row.dim}
            cells |= {f"per second, {device}": value for device, value in row.speed.items()}
            for column, score in row.scores.items():
                cells |= {column: score.value, f"{column} error": score.error}
            plain.append(cells)
    columns = list(dict.fromkeys(column for cells in plain for column in cells))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(plain)


def _cells(row: Row) -> dict[str, str]:
    cells = {"encoder": row.name, "parameters": f"{row.parameters:,}", "MB": f"{row.megabytes:.1f}"}
    cells |= {"dim": str(row.dim)}
    cells |= {f"per second, {device}": f"{value:.0f}" for device, value in row.speed.items()}
    return cells | {column: str(score) for column, score in row.scores.items()}


def _signed(score: Score) -> str:
    return f"{score.value:+.3f} ± {score.error:.3f}"
