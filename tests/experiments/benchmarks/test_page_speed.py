"""page_speed: pages that are measured in a browser, and the table."""

from pathlib import Path

import pytest

from experiments.benchmarks.page_browser import find_chromium
from experiments.benchmarks.page_speed import PageSpeedSettings, command, page, verdicts
from features.cli.app import OK

FOUND = {
    "size": 7.5,
    "made": 9.0,
    "open": 1.0,
    "zoom": 0.05,
    "zoom at most": 0.2,
    "seek": 0.02,
    "seek at most": 0.03,
    "memory": 200.0,
}


def test_targets_are_those_of_an_hour_of_the_most_people() -> None:
    results = {(60.0, 1): FOUND | {"open": 9.0}, (60.0, 4): FOUND | {"zoom": 0.11}}
    assert [row["met"] for row in verdicts(results)] == ["yes", "NO", "yes", "yes", "yes"]
    text = page(PageSpeedSettings(), results, 0.5)
    assert "| 60 min | 4 | 7.5 | 7.5 | 9.0 | 1.00 | 0.110 | 0.200 |" in text
    assert "500 rows opens in 0.50 s" in text
    assert verdicts({(1.0, 1): FOUND})[0]["met"] == "-"


@pytest.mark.slow
def test_a_page_is_measured_in_the_browser(tmp_path: Path) -> None:
    if find_chromium() is None:
        pytest.skip("no browser is installed")
    settings = PageSpeedSettings([0.1], [1], 20, 1, tmp_path / "page.md")
    assert command(settings) == OK
    lines = (tmp_path / "page.md").read_text().splitlines()
    row = next(line for line in lines if "0.1 min" in line)
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[:2] == ["0.1 min", "1"]
    assert all(float(cell) > 0 for cell in cells[5:])
