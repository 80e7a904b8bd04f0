"""Text lines > checked numbers: what all annotation readers share.

file > `read_lines` > lines > `parse_numbers` > (N, C) float64, or a UserError that names the line.

pyarrow reads them; of what it does not take, the first bad line is found one by one.

Letters: N rows, C columns.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from features.cli.wording import counted
from features.errors import UserError


def read_lines(path: Path) -> list[str]:
    """Lines of a text file, without byte-order mark, line ends and blank lines at the end.

    Bytes that are not UTF-8 become U+FFFD, which no reader of numbers takes.

    Raises:
        UserError: If there is no such file, or nothing in it.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path")
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        lines = file.read().rstrip().split("\n")
    if lines == [""]:
        raise UserError(f"{path}: the file is empty; unpack or download it again")
    return lines


def check_header(line: str, accepted: Sequence[str], path: Path) -> int:
    """Which of the headers that a file may have is its first line; letter case does not count.

    A file without its header would give every label to the frame after its own.
    """
    known = [_plain(header) for header in accepted]
    if _plain(line) not in known:
        fail(path, 1, f"the header is '{_short(line)}'; it must be '{accepted[0]}'")
    return known.index(_plain(line))


def parse_numbers(lines: Sequence[str], path: Path, columns: int, first: int = 2) -> np.ndarray:
    """Numbers separated by commas, one row a line.

    Args:
        lines: The rows.
        path: File they came from, for the message.
        columns: Numbers in each row.
        first: Line number of `lines[0]` in the file.

    Returns:
        (N, columns) float64.

    Raises:
        UserError: For the first line that is not `columns` finite numbers.
    """
    if not lines:
        fail(path, first, "there is no row after the header; unpack or download the file again")
    names = [str(column) for column in range(columns)]
    try:
        table = csv.read_csv(
            pa.BufferReader("\n".join(lines).encode()),
            csv.ReadOptions(use_threads=False, column_names=names),
            csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            csv.ConvertOptions(column_types=dict.fromkeys(names, pa.float64()), null_values=[]),
        )
    except pa.ArrowInvalid:
        _find_bad_line(lines, path, columns, first)
    rows = np.empty(table.shape)
    for column in range(columns):
        rows[:, column] = table.column(column).to_numpy()
    if rows.shape != (len(lines), columns) or not np.isfinite(rows).all():
        _find_bad_line(lines, path, columns, first)
    return rows


def require(allowed: np.ndarray, path: Path, what: str, first: int = 2) -> None:
    """Raises UserError for the first row with a False in `allowed` (N,) or (N, C)."""
    rows = allowed if allowed.ndim == 1 else allowed.all(axis=1)
    if not rows.all():
        fail(path, first + int(np.argmin(rows)), what)


def fail(path: Path, line: int, what: str) -> NoReturn:
    """Raises the one-line error that names file and line."""
    raise UserError(f"{path}:{line}: {what}")


def _find_bad_line(lines: Sequence[str], path: Path, columns: int, first: int) -> NoReturn:
    """Names the first line that is not a row of finite numbers."""
    for number, line in enumerate(lines, first):
        fields = line.split(",")
        if not line.strip():
            fail(path, number, "a blank line inside the file; delete it or download the file again")
        if len(fields) != columns:
            fail(
                path, number, f"{counted(len(fields), 'column')} instead of {columns}; mend the row"
            )
        for text in fields:
            if not _is_number(text):
                fail(path, number, f"'{_short(text)}' is not a number; mend the row")
    raise UserError(f"{path}: not rows of {columns} numbers; download the file again")


def _is_number(text: str) -> bool:
    """Whether the text is a finite number; `float` alone takes `1_0`."""
    try:
        return text.isascii() and "_" not in text and np.isfinite(float(text)).item()
    except ValueError:
        return False


def _plain(header: str) -> str:
    return header.replace(" ", "").lower()


def _short(text: str) -> str:
    text = text.strip()
    return text if len(text) <= 60 else f"{text[:57]}..."
