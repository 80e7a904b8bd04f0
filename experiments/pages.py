"""Pages of results: tables in Markdown, in a file and on the terminal."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from features.store.atomic_file import write_atomically


def table(rows: Iterable[Mapping[str, object]] | pd.DataFrame) -> str:
    """A table in Markdown; cells are as they come, so numbers are to be text already.

    Args:
        rows: Column to cell, for each row; or the whole.
    """
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    text = frame.fillna("").to_markdown(index=False, disable_numparse=True)
    return re.sub(r" +\|", " |", re.sub(r"-{3,}", "---", text))  # without padding


def write_page(text: str, *paths: Path | None) -> None:
    """Prints a page and writes it to the files that are given, each whole or not at all."""
    print(text)
    for path in filter(None, paths):
        write_atomically(path, (text.rstrip("\n") + "\n").encode())
