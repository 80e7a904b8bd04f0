"""Results that are kept, and pages."""

from pathlib import Path

import numpy as np
import pytest

from experiments.kept import Cache
from experiments.pages import table, write_page


def test_what_is_kept_is_not_computed_again(tmp_path: Path) -> None:
    assert Cache(tmp_path).get("part", ["a"], lambda: 1) == 1
    assert Cache(tmp_path).get("part", ["a"], lambda: 2) == 1
    assert Cache(tmp_path).get("part", ["b"], lambda: 3) == 3
    assert Cache(tmp_path).get("other", ["a"], lambda: 4) == 4


def test_arrays_are_kept_and_what_was_killed_is_not(tmp_path: Path) -> None:
    def killed() -> dict[str, np.ndarray]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cache(tmp_path).get("part", "key", killed)
    made = Cache(tmp_path).get("part", "key", lambda: {"x": np.arange(3)})
    again = Cache(tmp_path).get("part", "key", killed)
    np.testing.assert_array_equal(made["x"], again["x"])


def test_a_table_keeps_its_cells_as_they_are_written(tmp_path: Path) -> None:
    text = table([{"name": "one", "share": "0.10"}, {"name": "two", "other": "1,000"}])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert rows[0] == ["name", "share", "other"]
    assert rows[2:] == [["one", "0.10", ""], ["two", "", "1,000"]]


def test_a_page_ends_with_one_line_end(tmp_path: Path) -> None:
    write_page("text\n\n", tmp_path / "page.md", None)
    assert (tmp_path / "page.md").read_text() == "text\n"
