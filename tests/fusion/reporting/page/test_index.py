"""The index in a real browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fusion.reporting.page.index import Row
from fusion.reporting.page.site import write_index
from tests.browser import opened

pytestmark = pytest.mark.slow
OPEN = "'opened' in document.documentElement.dataset"
DRAWN = """() => [...document.querySelectorAll('canvas')].map(c => new Set(new Uint32Array(
    c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size > 1)"""
EVIL = "</script><img src=x onerror='window.hurt=1'>😀"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index") / "index.html"
    curve = {"name": "v", "colour": "#0072B2", "at": [0, None, 50, 100]}
    ribbon = {"title": "E", "ribbon": [0, 1, None], "colours": ["#0072B2", "#D55E00"]}
    sparks = [{"title": "V", "curves": [curve]}, ribbon]
    scores: list[dict[str, float]] = [{"CCC": 0.3}, {}, {"CCC": -0.1}, {"CCC": 0.7}]
    names = ["clip10", EVIL, "clip2", "clip9"]
    rows = [
        Row("a%20b.html", name, f"{name}_left", 10.0 + i, 0.5, 0.1 * i, scores[i], sparks)
        for i, name in enumerate(names)
    ]
    write_index(rows, path, "pictures & more")
    return path


@pytest.fixture
def page(browser: Any, path: Path) -> Iterator[Any]:
    with opened(browser, path, OPEN) as made:
        yield made


def names(page: Any) -> list[str]:
    found: list[str] = page.locator("tbody tr td:first-child").all_inner_texts()
    return found


def test_the_worst_comes_first_and_what_has_no_score_last(page: Any) -> None:
    assert names(page) == ["clip2", "clip10", "clip9", EVIL]
    page.get_by_label("Sort by CCC").click()
    assert names(page) == ["clip9", "clip10", "clip2", EVIL]
    page.get_by_label("Sort by clip").click()
    assert names(page)[1:] == ["clip2", "clip9", "clip10"]
    assert page.locator("th[aria-sort=ascending]").inner_text() == "clip ▲"


def test_it_searches_names_and_links_to_pages(page: Any) -> None:
    page.get_by_label("Search clips and people").fill("LEFT clip1")
    assert names(page) == ["clip10"]
    assert page.locator("tbody a").get_attribute("href") == "a%20b.html"
    assert "1 clip, 1 row" in page.locator("#facts").inner_text()


def test_names_are_text_and_curves_are_drawn(page: Any) -> None:
    assert page.evaluate("window.hurt") is None
    assert page.locator("img").count() == 0
    page.wait_for_timeout(100)
    assert page.evaluate(DRAWN) == [True] * 8


def test_it_fits_a_telephone(browser: Any, path: Path) -> None:
    with opened(browser, path, OPEN, viewport={"width": 400, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
