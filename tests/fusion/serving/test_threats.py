"""The page of threats names tests that there are."""

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "fusion/serving/README.md"


def test_every_threat_has_a_test_that_there_is() -> None:
    rows = [row for row in PAGE.read_text().splitlines() if row.startswith("|") and "test_" in row]
    there = {
        name
        for path in HERE.glob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert len(rows) >= 18
    for row in rows:
        assert set(re.findall(r"`(test_\w+)`", row.split("|")[3])) & there, row
    assert set(re.findall(r"`(test_\w+)`", PAGE.read_text())) <= there
