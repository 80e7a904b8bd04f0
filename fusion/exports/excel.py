"""Excel: `VIDEO.xlsx` with sheets of events, of frames, and of what columns mean."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from fusion.events.tables import EVENT_COLUMNS, event_rows
from fusion.exports.base import CONTROL, ExportVideo, Format, written
from fusion.exports.flat import columns_of, rows_of

ROWS = 1_048_576
"""Of a sheet, its header included."""


class Excel(Format):
    """A workbook; long clips go on in sheets `frames 2`, `frames 3`, ..."""

    name, purpose = "excel", "Excel, LibreOffice, SPSS, jamovi (.xlsx)"
    package = "openpyxl"

    def write(self, video: ExportVideo, folder: Path) -> list[Path]:
        """One file a video."""
        book = self.library().Workbook(write_only=True)
        events = [list(row.values()) for row in event_rows(one.found for one in video.people)]
        self._sheet(book, "events", EVENT_COLUMNS, iter(events))
        names = list(dict.fromkeys(n for one in video.people for n in columns_of(one.frames)))
        frames = (
            [row.get(name) for name in names] for one in video.people for row in rows_of(one.frames)
        )
        self._sheet(book, "frames", names, frames)
        about = {name: each for one in video.people for name, each in one.frames.about.items()}
        meanings = [[n, c.meaning, c.unit, c.low, c.high, c.origin] for n, c in about.items()]
        head = ("column", "meaning", "unit", "low", "high", "origin")
        self._sheet(book, "columns", head, iter(meanings))
        path = folder / f"{video.stem}.xlsx"
        with written(path) as file:
            book.save(file)
        return [path]

    def _sheet(
        self,
        book: Any,
        title: str,
        head: Iterable[str],
        rows: Iterator[list[Any]],
        most: int = ROWS,
    ) -> None:
        number = 1
        while True:
            part = list(islice(rows, most - 1))
            if not part and number > 1:
                return
            sheet = book.create_sheet(title if number == 1 else f"{title} {number}")
            sheet.append(list(head))
            for row in part:
                sheet.append([self._cell(sheet, value) for value in row])
            number += 1

    def _cell(self, sheet: Any, value: Any) -> Any:
        """Text stays text, also where it looks like a formula."""
        if isinstance(value, float) and np.isnan(value):
            return None
        if not isinstance(value, str):
            return value
        from openpyxl.cell import WriteOnlyCell

        cell = WriteOnlyCell(sheet, CONTROL.sub("", value))
        cell.data_type = "s"
        return cell
