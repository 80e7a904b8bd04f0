"""Tables that people save from spreadsheets. Data flow: bytes > text in its encoding > separator.

Spreadsheets write UTF-8 with a byte-order mark, UTF-16, or the bytes of Western Windows, and put a
semicolon or a tab between cells where the comma is the decimal point.
"""

import codecs
import csv
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path

from features.errors import UserError

SEPARATORS = ",;\t|"
"""What may stand between cells; the commonest in the header does."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte-order marks, longer ones before those that they begin with, and their encodings."""
WESTERN = "cp1252"
"""What text is in that is not Unicode: Windows' superset of Latin-1."""
_DECIMAL_COMMA = re.compile(r'(?:^|[;\t|])[ "]*[+-]?\d*,\d+[ "]*(?=[;\t|]|$)', re.MULTILINE)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextTable:
    """A CSV file as text.

    Attributes:
        text: All of it, without byte-order mark and blank lines at the end.
        separator: What stands between cells.
        encoding: What the file is in.
    """

    text: str
    separator: str
    encoding: str = "utf-8"

    @cached_property
    def header(self) -> list[str]:
        """Cells of the first line, without spaces around them."""
        line = self.text.partition("\n")[0]
        return [cell.strip() for cell in next(csv.reader([line], delimiter=self.separator), [])]

    @property
    def decimal_point(self) -> str:
        """A comma where it cannot separate cells and some number has one."""
        found = self.separator != "," and _DECIMAL_COMMA.search(self.text)
        return "," if found else "."

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Lines that are not empty, by their number in the file, as cells by the header's names.

        Cells that a line lacks are empty; those that it has beyond the header are left out.
        """
        reader = csv.reader(self.lines, delimiter=self.separator)
        next(reader, None)
        for cells in reader:
            if cells:
                filled = [*cells, *[""] * (len(self.header) - len(cells))]
                yield reader.line_num, dict(zip(self.header, filled, strict=False))

    @property
    def lines(self) -> StringIO:
        """To be read line by line."""
        return StringIO(self.text, newline="")


def read_table_text(path: Path, quiet: bool = False) -> TextTable:
    """Reads a CSV file in whatever encoding and with whatever separator it was saved.

    Args:
        path: The file.
        quiet: Whether to keep it to oneself that the encoding is a guess.

    Raises:
        UserError: If it is no text.
    """
    data = path.read_bytes()
    encoding = _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not text in {encoding} ({error}); save it in UTF-8") from error
    if "\0" in text:
        raise UserError(f"{path}: not a text file; save it as CSV in UTF-8")
    if encoding == WESTERN and not quiet:
        log.warning("%s: not in UTF-8; read as Latin-1 (Windows). Save it in UTF-8 if ids or names"
                    " come out wrong", path)  # fmt: skip
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n ")
    header = text.partition("\n")[0]
    return TextTable(text, max(SEPARATORS, key=header.count), encoding)


def _encoding(data: bytes) -> str:
    """By the byte-order mark, by the zeros of UTF-16, or by what the bytes are legal in."""
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return encoding
    start = data[:512]
    if start.count(0) > len(start) // 4:  # half of plain text in UTF-16 are zeros
        return "utf-16-be" if start[0] == 0 else "utf-16-le"
    try:
        data.decode()
        return "utf-8"
    except UnicodeDecodeError:
        return WESTERN
