"""The review page in a real browser."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.benchmarks.page_people import without_face
from fusion.data.prediction_files import table_of
from fusion.data.review import read_review
from fusion.reporting.page.site import Job
from tests.browser import opened, until
from tests.fusion.reporting.page.made import FPS, FRAMES, made_clip, made_page, made_people

pytestmark = pytest.mark.slow
NEAR = "t => affuse.state.shown !== null && Math.abs(affuse.state.shown - t) < .002"
TRUE = "affuse.people.map(p => p.lanes.filter(l => l.columns.some(c => c.role === 'truth')).length)"
NAMELESS = """() => [...document.querySelectorAll('button, input, select, canvas, video')]
    .filter(n => !['aria-label', 'aria-hidden'].some(a => n.getAttribute(a)) && !n.textContent)
    .filter(n => !n.closest('.lines, #overview')).map(n => n.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_page(tmp_path_factory.mktemp("page"))


@pytest.fixture
def page(browser: Any, path: Path) -> Iterator[Any]:
    with opened(browser, path) as made:
        until(made, "document.getElementById('media').readyState >= 2")
        yield made


def at(page: Any, time: float) -> tuple[float, float]:
    """Pixel of a time in the first person's first lane."""
    box = page.locator(".track.person .lane").nth(2).bounding_box()
    share = page.evaluate(
        "t => (t - affuse.state.view.from) / (affuse.state.view.to - affuse.state.view.from)", time
    )
    return box["x"] + 68 + share * (box["width"] - 76), box["y"] + box["height"] / 2


def test_it_plays_and_the_cursor_follows(page: Any) -> None:
    assert page.evaluate("document.getElementById('media').videoWidth") == 320
    page.keyboard.press("Space")
    until(page, "affuse.state.time > 0.6")
    times = page.evaluate("[affuse.state.time, document.getElementById('media').currentTime]")
    assert times[0] == pytest.approx(times[1], abs=0.2)
    page.keyboard.press("Space")
    until(page, "document.getElementById('media').paused")
    x = page.locator(".track.person .cursor").first.evaluate("n => n.getBoundingClientRect().left")
    expected = at(page, page.evaluate("affuse.state.time"))[0]
    assert x == pytest.approx(expected, abs=2)


def test_each_picture_is_matched_with_its_frame(page: Any) -> None:
    for row in (0, 17, 40, FRAMES - 1):
        page.evaluate("t => affuse.seek(t)", row / FPS + 0.01)
        until(
            page,
            "t => affuse.state.shown !== null && Math.abs(affuse.state.shown - t) < .002",
            arg=row / FPS,
        )


def test_a_click_seeks_and_a_drag_selects(page: Any) -> None:
    page.mouse.click(*at(page, 1.5))
    until(page, "Math.abs(document.getElementById('media').currentTime - 1.5) < .03")
    page.mouse.move(*at(page, 0.5))
    page.mouse.down()
    page.mouse.move(*at(page, 1.0))
    page.mouse.move(*at(page, 1.2))
    page.mouse.up()
    chosen = page.evaluate("affuse.state.selection")
    assert (chosen["from"], chosen["to"]) == pytest.approx((0.5, 1.2), abs=0.02)
    assert page.evaluate("affuse.state.time") == pytest.approx(1.5, abs=0.03)


def test_the_wheel_zooms_where_the_pointer_is_and_keys_do_the_rest(page: Any) -> None:
    page.mouse.move(*at(page, 1.0))
    page.mouse.wheel(0, -400)
    until(page, "affuse.state.view.to - affuse.state.view.from < 1.5")
    view = page.evaluate("affuse.state.view")
    assert view["from"] < 1.0 < view["to"]
    assert (1.0 - view["from"]) / (view["to"] - view["from"]) == pytest.approx(1 / 3, abs=0.03)
    page.keyboard.press("0")
    assert page.evaluate("affuse.state.view.to") == pytest.approx(FRAMES / FPS, abs=0.05)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    until(page, "Math.abs(affuse.state.time - 2 / 25) < .012")
    page.keyboard.press(">")
    assert page.evaluate("document.getElementById('media').playbackRate") == 1.25
    page.keyboard.press("?")
    assert page.locator("dialog").is_visible()
    page.keyboard.press("Escape")


def test_people_are_hidden_and_shown(page: Any) -> None:
    assert page.locator(".track.person").count() == 2
    page.locator("#show1").uncheck()
    assert page.locator(".track.person").evaluate_all("all => all.map(n => n.dataset.person)") == [
        "talk"
    ]
    page.keyboard.press("2")
    assert page.locator(".track.person").count() == 2


def test_truth_lies_beside_what_is_predicted(page: Any) -> None:
    assert page.evaluate(TRUE) == [4, 0]


def test_what_is_drawn_is_what_was_predicted(page: Any) -> None:
    said = made_people()[0]
    page.evaluate("affuse.seek(1.205)")
    page.mouse.move(2, 2)
    until(page, "Math.abs(affuse.state.shown - 1.2) < .002")
    page.wait_for_timeout(60)
    cell = page.locator(".track.person .head", has_text="valence").first.locator("b").first
    assert float(cell.inner_text()) == pytest.approx(said.values["va"][30, 0], abs=0.006)
    blue = page.evaluate(
        """() => { const c = document.querySelector('.track.person .lines canvas');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;
        for (let i = 0; i < d.length; i += 4) if (d[i] < 60 && d[i + 2] > 150) n++; return n; }"""
    )
    assert blue > 200


def test_the_selection_is_saved_as_a_table(page: Any, tmp_path: Path) -> None:
    page.evaluate("affuse.state.selection = {from: 1.0, to: 1.5}")
    page.locator("#show1").uncheck()
    with page.expect_download() as loading:
        page.locator("#csv").click()
    loading.value.save_as(tmp_path / "table.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "table.csv").read_text())))
    said = made_people()[0]
    table = table_of(said)
    assert [int(row["frame"]) for row in rows] == list(range(26, 39))
    assert {row["person"] for row in rows} == {"talk"}
    for column in ("valence", "Happiness", "AU12", "yaw", "validity", "time"):
        saved = np.array([float(row[column]) for row in rows])
        truth = table[column].to_numpy()[25:38]
        np.testing.assert_allclose(saved, truth, atol=0.011 if column == "yaw" else 2e-4)
    assert [row["expression"] for row in rows] == table["expression"].to_pylist()[25:38]


def test_a_review_is_made_saved_and_read(page: Any, tmp_path: Path) -> None:
    name = page.get_by_label("Name of talk", exact=True)
    name.fill("Änna")
    name.press("Enter")
    page.evaluate("affuse.state.selection = {from: 0.4, to: 0.8}")
    page.locator("h1").click()
    page.keyboard.press("e")
    page.get_by_label("Name of the event").fill("laugh")
    page.get_by_label("Whose").select_option("talk")
    page.keyboard.press("Enter")
    page.evaluate("affuse.state.selection = {from: 2.0, to: 2.5}")
    page.locator("h1").click()
    page.keyboard.press("x")
    page.get_by_role("button", name="Keep").click()
    page.get_by_label("Leave out talk_person2").click()
    assert page.locator(".track.person .event").count() >= 1
    with page.expect_download() as loading:
        page.get_by_label("Save what was changed as review.json").click()
    loading.value.save_as(tmp_path / "review.json")
    review = read_review(tmp_path / "review.json", ["talk", "talk_person2"])
    assert review.name_of("talk") == "Änna"
    assert [(e.person, e.name, e.onset, e.offset) for e in review.events] == [
        ("talk", "laugh", 0.4, 0.8)
    ]
    times = np.array([0.0, 2.2])
    assert review.kept("talk", times).tolist() == [True, False]
    assert not review.kept("talk_person2", times).any()


def test_merged_people_are_one(page: Any) -> None:
    page.get_by_label("talk_person2 is the same person as").select_option("talk")
    said = json.loads(page.evaluate("affuse.reviewText()"))
    assert said["merge"] == [["talk", "talk_person2"]]
    assert page.locator(".card .rename").nth(1).input_value() == "talk"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_runs_over_the_side(browser: Any, path: Path, width: int, scheme: str) -> None:
    view = {"width": width, "height": 800}
    with opened(browser, path, viewport=view, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) < 200) is (scheme == "dark")


def test_injected_names_are_text(browser: Any, tmp_path: Path) -> None:
    evil = '</script><img src=x onerror="window.hurt=1">\'"&😀'
    people = made_people(video=evil)
    made_page(tmp_path, Job(evil, people, media=made_clip(tmp_path)))
    with opened(browser, tmp_path / "talk.html") as page:
        assert page.evaluate("window.hurt") is None
        assert page.locator("h1").inner_text() == evil
        assert page.title() == evil
        assert page.locator("img").count() == 0
        assert page.locator(".track.person .name").first.inner_text() == evil


def test_everything_has_a_name_for_those_who_cannot_see(page: Any) -> None:
    assert page.evaluate(NAMELESS) == []
    assert page.locator("#overview").get_attribute("aria-valuetext").startswith("0:00.00 of 0:03")


def test_numbers_do_not_follow_the_language(browser: Any, path: Path) -> None:
    with opened(browser, path, locale="de-DE") as page:
        assert page.evaluate("new Intl.NumberFormat().format(1.5)") == "1,5"
        text = page.evaluate("affuse.tableParts().then(parts => parts.join(''))")
        rows = list(csv.DictReader(io.StringIO(text)))
        assert len(rows) == 2 * FRAMES
        assert rows[1]["time"] == "0.0400"
        assert "0:03.0" in page.locator("#facts").inner_text()


def test_of_many_people_those_who_are_seen_most_are_shown_and_read_first(
    browser: Any, tmp_path: Path
) -> None:
    people = made_people(count=6)
    people[1] = without_face(people[1])
    with opened(browser, made_page(tmp_path, Job("talk", people))) as page:
        assert page.locator(".track.person").count() == 4
        assert page.locator(".track[data-person=talk_person2]").count() == 0
        page.locator("#show1").check()
        cell = page.locator(".track[data-person=talk_person2] .values b").first
        until(page, "n => n.textContent.length > 1", cell.element_handle())
