"""The review page in a real browser."""

import csv
import io
import json
import re
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
SCHEMES = ("light", "dark")
NEAR = "t => affuse.state.shown !== null && Math.abs(affuse.state.shown - t) < .002"
TRUE = "affuse.people.map(p => p.lanes.filter(l => l.columns.some(c => c.role === 'truth')).length)"
NAMELESS = """() => [...document.querySelectorAll('button, input, select, canvas, video')]
    .filter(n => !['aria-label', 'aria-hidden'].some(a => n.getAttribute(a)) && !n.textContent)
    .filter(n => !n.closest('.lines, #overview')).map(n => n.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_page(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def shared(browser: Any, path: Path) -> Iterator[Any]:
    with opened(browser, path) as made:
        until(made, "document.getElementById('media').readyState >= 2")
        yield made


@pytest.fixture
def page(shared: Any) -> Any:
    """The page that all share who change nothing that stays, as it was when it was opened."""
    assert not shared.evaluate("affuse.edits.events.length + affuse.edits.exclude.length")
    for box in shared.locator(".card input[type=checkbox]").all():
        box.check()
    shared.locator("#speed").select_option("1")
    shared.evaluate("document.activeElement.blur()")
    for key in ("Escape", "0", "Home"):
        shared.keyboard.press(key)
    shared.mouse.move(2, 2)
    return shared


@pytest.fixture
def own_page(browser: Any, path: Path) -> Iterator[Any]:
    """One to edit."""
    with opened(browser, path) as made:
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


def bars(page: Any, number: int = 0) -> list[tuple[str, float, float]]:
    """Name, onset and offset of the events of a person, as the page holds them, by onset."""
    kinds = page.evaluate("n => affuse.people[n].events.kinds", number)
    rows = [(k["name"], e[0], e[0] + e[1]) for k in kinds for e in k["events"]]
    return sorted(rows, key=lambda row: row[1])


def test_a_click_on_an_event_goes_there_and_selects_it(page: Any) -> None:
    lane = page.locator(".track.person .lane.events").first
    lane.scroll_into_view_if_needed()
    kinds = page.evaluate("affuse.people[0].events.kinds")
    row = max(range(len(kinds)), key=lambda r: kinds[r]["events"][-1][0])
    onset, length, peak = kinds[row]["events"][-1]
    assert onset > 0.3
    page.mouse.move(at(page, onset + length / 2)[0], lane.bounding_box()["y"] + row * 14 + 7)
    title = lane.get_attribute("title")
    assert title.startswith(f"{kinds[row]['name']}: onset 0:0{onset:.2f}, length {length:.2f} s, p")
    assert float(title.split("peak ")[1]) == pytest.approx(peak, abs=0.006)
    x = at(page, onset + length / 2)[0]
    pixel = lane.locator("canvas").evaluate(
        """(c, [x, y]) => { const r = devicePixelRatio;
        return [...c.getContext('2d').getImageData(x * r, y * r, 1, 1).data]; }""",
        [x - lane.bounding_box()["x"], row * 14 + 7],
    )
    assert pixel[2] > 150
    assert pixel[0] < 120
    page.mouse.down()
    page.mouse.up()
    assert page.evaluate("affuse.state.time") == pytest.approx(onset)
    chosen = page.evaluate("affuse.state.selection")
    assert (chosen["from"], chosen["to"]) == pytest.approx((onset, onset + length))
    page.mouse.click(at(page, 0.1)[0], lane.bounding_box()["y"] - 40)


def test_keys_go_from_event_to_event_of_those_who_are_shown(page: Any) -> None:
    page.locator("#show1").uncheck()
    page.evaluate("document.activeElement.blur()")
    onsets = sorted({start for _, start, _ in bars(page) if start > 0.001})
    assert len(onsets) >= 2
    for onset in onsets:
        page.keyboard.press("n")
        assert page.evaluate("affuse.state.time") == pytest.approx(onset)
    page.keyboard.press("n")
    assert page.evaluate("affuse.state.time") == pytest.approx(onsets[-1])
    assert page.locator("#status").inner_text() == "No event after this"
    page.keyboard.press("Shift+N")
    assert page.evaluate("affuse.state.time") == pytest.approx(onsets[-2])
    assert page.evaluate("affuse.state.selection.from") == pytest.approx(onsets[-2])


def test_events_that_are_left_out_are_not_counted_nor_gone_to(own_page: Any) -> None:
    every = bars(own_page)
    name, left, right = every[0][0], every[0][1], every[0][1] + 0.1
    rest = [one for one in every if one[2] <= left or one[1] >= right]
    onsets = sorted({onset for _, onset, _ in rest if onset > 0.001})
    assert onsets
    line = own_page.locator(".track.person .count", has_text=f"{name} ").first
    before = line.inner_text()
    assert re.fullmatch(rf"{name} \d+ +\(\d+\.\d/min\)", before)
    stretch = {"person": "talk", "from": left, "to": right}
    own_page.evaluate("one => affuse.edits.exclude.push(one)", stretch)
    own_page.locator("#show1").uncheck()
    count = sum(one[0] == name for one in rest)
    assert line.inner_text().split() == [name, str(count)]
    assert int(before.split()[1]) > count
    own_page.evaluate("document.activeElement.blur()")
    for onset in [*onsets, onsets[-1]]:
        own_page.keyboard.press("n")
        assert own_page.evaluate("affuse.state.time") == pytest.approx(onset)


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


def test_a_review_is_made_saved_and_read(own_page: Any, tmp_path: Path) -> None:
    page = own_page
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


def test_merged_people_are_one(own_page: Any) -> None:
    own_page.get_by_label("talk_person2 is the same person as").select_option("talk")
    said = json.loads(own_page.evaluate("affuse.reviewText()"))
    assert said["merge"] == [["talk", "talk_person2"]]
    assert own_page.locator(".card .rename").nth(1).input_value() == "talk"


@pytest.mark.parametrize(("width", "scheme", "other"), [(400, *SCHEMES), (1280, *SCHEMES[::-1])])
def test_nothing_runs_over_the_side(
    browser: Any, path: Path, width: int, scheme: str, other: str
) -> None:
    view = {"width": width, "height": 800}
    with opened(browser, path, viewport=view, color_scheme=scheme) as page:
        for now in (scheme, other):
            page.emulate_media(color_scheme=now)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, ground[4:-1].split(","))) < 200) is (now == "dark")


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
