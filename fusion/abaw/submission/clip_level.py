"""Submissions with a row for each clip: reaction and mimicry intensity, ambivalence and hesitancy.

Values by id (+ the list of what is asked for) > `write_clips` > file; any such file >
`check_clips` > what is wrong with it.

Where nothing else says so, ids are spelt and ordered as in the list: the organisers' sample, or the
test rows of their table. Letters: K values of a clip.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from features.cli.wording import counted
from features.errors import UserError
from features.store.atomic_file import write_atomically
from fusion.abaw.clip_challenges import ClipChallenge, clip_challenge_of
from fusion.abaw.reading.clip_tables import SPLIT_COLUMN, SPLIT_NAMES
from fusion.abaw.reading.tables import read_lines
from fusion.abaw.submission.problems import Findings, Problem
from fusion.tasks.registry import Tasks

PROBABILITY, CHOICE = "probability", "class"
"""Columns of a choice's answers: of the second class, if known, and the class decided on."""


def read_asked_clips(path: Path, challenge: str) -> list[str]:
    """Ids that are asked for, as spelt: of a sample submission, or of a table its test rows.

    Raises:
        UserError: If there is none.
    """
    kind = clip_challenge_of(challenge)
    rows = [line.split(",") for line in read_lines(path)]
    if kind.id_column and rows[0][0].strip() == kind.id_column:
        header, *rows = rows
        if SPLIT_COLUMN in header:
            at = header.index(SPLIT_COLUMN)
            rows = [row for row in rows if SPLIT_NAMES.get(row[at].strip().lower()) == "test"]
    if not rows:
        raise UserError(f"{path}: asks for no clip; pass the sample submission of {kind.name}")
    return [row[0].strip() for row in rows]


def answer_of(
    challenge: str, tasks: Tasks, values: Mapping[str, np.ndarray], what: str
) -> dict[str, float]:
    """The answer for a clip, from the mean of what is said of its frames.

    Args:
        challenge: ERI, EMI or AH.
        tasks: What is said.
        values: Task to (F, C) values or probabilities.
        what: Who says so, for the message.

    Raises:
        UserError: If none of the tasks has the values or classes of the challenge.
    """
    kind = clip_challenge_of(challenge)
    names = list(tasks[kind.task].names) if kind.task in tasks else []
    if sorted(names) != sorted(kind.columns):
        raise UserError(
            f"{what}: has not learnt what {kind.name} asks for; train with the task {kind.task}"
            f" and the names {', '.join(kind.columns)}"
        )
    said = values[kind.task].mean(axis=0)[[names.index(name) for name in kind.columns]]
    if not kind.choice:
        return dict(zip(kind.columns, said.tolist(), strict=True))
    return {CHOICE: int(said.argmax()), PROBABILITY: float(said[1])}


def write_clips(
    path: Path, challenge: str, answers: pd.DataFrame, asked: Sequence[str] | None = None
) -> int:
    """Writes a submission.

    Args:
        path: The file; at any instant it is absent, the old one, or the whole new one.
        challenge: ERI, EMI or AH.
        answers: By id: the K columns of the challenge, which are kept within 0 to 1; of a choice
            `class` (0 or 1) and, if known, `probability` (of class 1).
        asked: What is asked for, as spelt and in order; None: all answers, by their ids.

    Returns:
        Number of rows.

    Raises:
        UserError: If a clip that is asked for has no answer.
        ValueError: If an answer is not finite.
    """
    kind = clip_challenge_of(challenge)
    spelt = list(answers.index if asked is None else asked)
    ids = [kind.id_of(name) for name in spelt]
    if missing := sorted(set(ids) - set(answers.index)):
        listed = f"{', '.join(missing[:3])}{', ...' if missing[3:] else ''}"
        raise UserError(
            f"{path}: no prediction of {counted(len(missing), 'clip')} ({listed}); predict first"
        )
    columns = kind.columns if not kind.choice else answers.columns
    values = answers.loc[ids, list(columns)]
    if not np.isfinite(values.to_numpy(np.float64)).all():
        raise ValueError(f"an answer to {kind.name} is not finite")
    rows = (
        ",".join((name, *fields)) for name, fields in zip(spelt, _fields(kind, values), strict=True)
    )
    lines = [kind.header, *rows] if kind.header else list(rows)
    write_atomically(path, "".join(f"{line}\n" for line in lines).encode())
    return len(spelt)


def _fields(kind: ClipChallenge, values: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    if not kind.choice:
        for row in values.clip(0, 1).to_numpy():
            yield tuple(f"{value:.6f}" for value in row)
        return
    classes = values[CHOICE].to_numpy(np.int64)
    if PROBABILITY not in values:
        yield from ((str(number),) for number in classes)
        return
    # Rounded first: the organisers' checker wants the two to add up to 1 exactly.
    present = values[PROBABILITY].clip(0, 1).round(4)
    for share, number in zip(present, classes, strict=True):
        yield f"{1 - share:.4f}", f"{share:.4f}", str(number)


def check_clips(
    path: Path, challenge: str, asked: Sequence[str] | None = None, most: int = 20
) -> list[Problem]:
    """Checks a submission against the format and what is asked for.

    Args:
        path: The file.
        challenge: ERI, EMI or AH.
        asked: What is asked for, as spelt and in order; None: only the form is looked at.
        most: Problems to name; the rest is counted in a last one.

    Raises:
        UserError: If there is no such file or challenge.
    """
    kind, findings = clip_challenge_of(challenge), Findings(most)
    lines = read_lines(path)
    if kind.header and lines[0] != kind.header:
        findings.add(1, f"the header is '{lines[0][:80]}'; it must be '{kind.header}'")
    first = 2 if kind.header else 1
    rows = [line.split(",") for line in lines[first - 1 :]]
    widths = (2, 4) if kind.choice else (1 + len(kind.columns),)
    if kind.choice and rows:
        widths = (len(rows[0]),) if len(rows[0]) in widths else widths
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, first):
        if len(row) not in widths:
            due = " or ".join(map(str, widths))
            findings.add(number, f"a row has {due} fields, this one has {len(row)}")
        elif fault := _fault(kind, row[1:]):
            findings.add(number, fault)
        if seen.setdefault(row[0], number) != number:
            findings.add(number, f"'{row[0]}' had a row before")
    _compare(list(seen), first, asked, findings)
    return findings.all()


def _fault(kind: ClipChallenge, cells: list[str]) -> str:
    """What is wrong with the values of a row; empty if nothing is."""
    try:
        numbers = [float(cell) for cell in cells]
    except ValueError:
        return f"'{','.join(cells)[:60]}' are not numbers"
    if not all(0 <= number <= 1 for number in numbers):
        return f"'{','.join(cells)[:60]}' are not from 0 to 1"
    if kind.choice and cells[-1] not in ("0", "1"):
        return f"the class '{cells[-1]}' is not 0 or 1"
    if kind.choice and len(cells) > 1 and numbers[0] + numbers[1] != 1:
        return "the two probabilities do not add up to 1"
    return ""


def _compare(
    names: Sequence[str], first: int, asked: Sequence[str] | None, findings: Findings
) -> None:
    if not names:
        findings.add(None, "there are no rows")
    if asked is None or list(names) == list(asked):
        return
    known, due = set(names), set(asked)
    for name in sorted(due - known):
        findings.add(None, f"'{name}' has no row")
    for row, name in enumerate(names, first):
        if name not in due:
            findings.add(row, f"'{name}' is not asked for")
    if known == due:
        row = next(i for i, pair in enumerate(zip(names, asked, strict=True)) if len(set(pair)) > 1)
        findings.add(first + row, f"'{names[row]}' where '{asked[row]}' is due; keep the order")
