"""Pages of odd clips: in a browser where it matters what that makes of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.benchmarks.page_people import made_person, without_face
from features.errors import UserError
from features.media import frame_times, probe
from fusion.reporting.loudness import envelope_of_media
from fusion.reporting.page import clip as clips
from fusion.reporting.page.clip import clip_for
from fusion.reporting.page.proxy import write_proxy
from fusion.reporting.page.site import Job, fitting_labels
from fusion.tasks.labels import FrameLabels, TaskLabels, TimedLabels
from tests.browser import opened, until
from tests.fusion.reporting.page.made import (
    FPS,
    FRAMES,
    made_clip,
    made_labels,
    made_page,
    made_people,
)
from tests.media import plain_frames, tone, write_sound, write_video

pytestmark = pytest.mark.slow
NEAR = "t => affuse.state.shown !== null && Math.abs(affuse.state.shown - t) < .002"
PLAYS = "document.getElementById('media').readyState >= 2"


def job(media: Path | None, **changes: Any) -> Job:
    sound = envelope_of_media(media) if media else None
    people = made_people(count=1, tasks=("expr",))
    made = Job("talk", people, sound=sound, heard=True, media=media)
    return replace(made, **changes)


def carried(page: Any) -> str:
    return str(page.locator("#carried").inner_text())


def test_a_clip_without_a_face_says_so_and_is_grey(browser: Any, tmp_path: Path) -> None:
    one = job(made_clip(tmp_path))
    path = made_page(tmp_path, replace(one, people=[without_face(one.people[0])]))
    with opened(browser, path) as page:
        assert carried(page) == "Carried by the sound alone: no face was seen."
        assert "face seen 0 %" in page.locator(".track.person h2").inner_text()


def test_a_clip_without_sound_has_no_lane_of_it(browser: Any, tmp_path: Path) -> None:
    one = job(made_clip(tmp_path, sound=None))
    mute = replace(
        one.people[0], measures={k: v for k, v in one.people[0].measures.items() if k != "speech"}
    )
    with opened(browser, made_page(tmp_path, replace(one, people=[mute]))) as page:
        assert carried(page).startswith("Carried by the face alone: a face was seen in ")
        assert carried(page).endswith("; the clip has no sound.")
        assert page.locator(".shared").count() == 0
        until(page, PLAYS)


@pytest.mark.parametrize(
    ("name", "codec", "played"), [("a.wav", "pcm_s16le", "audio/wav"), ("a.aif", "pcm_s16be", "")]
)
def test_sound_alone_is_a_page_without_picture(
    browser: Any, tmp_path: Path, name: str, codec: str, played: str
) -> None:
    media = write_sound(tmp_path / name, tone(FRAMES / FPS), 44_100, codec)
    assert clip_for(media, tmp_path / "talk.html", "auto").type == (played or "audio/mp4")
    with opened(browser, made_page(tmp_path, job(media))) as page:
        until(page, PLAYS)
        assert page.locator("audio").count() == 1
        assert page.locator("video, .frame").count() == 0
        assert page.evaluate("document.getElementById('media').duration") == pytest.approx(
            3, abs=0.1
        )
        page.evaluate("affuse.seek(1.5)")
        assert page.evaluate("document.getElementById('media').currentTime") == pytest.approx(1.5)
        page.keyboard.press("Space")
        until(page, "affuse.state.time > 1.7")


def test_what_browsers_cannot_play_becomes_a_small_copy_in_step(
    browser: Any, tmp_path: Path
) -> None:
    media = write_video(
        tmp_path / "talk.mp4",
        plain_frames(FRAMES, 160, 96),
        codec="libx265",
        options={"preset": "ultrafast", "x265-params": "log-level=none:pools=none"},
        sound=tone(2.0),
        sound_start=0.5,
    )
    with opened(browser, made_page(tmp_path, job(media))) as page:
        until(page, PLAYS)
        assert "small copy" in page.locator("#notes").inner_text()
        for row in (0, 31, 60):
            page.evaluate("t => affuse.seek(t)", row / FPS + 0.01)
            until(page, NEAR, row / FPS)


def test_a_copy_keeps_uneven_times_and_late_sound(tmp_path: Path) -> None:
    times = np.cumsum(np.r_[0.0, np.tile([0.03, 0.05], 20)])
    media = write_video(
        tmp_path / "a.mp4",
        plain_frames(len(times), 960, 540),
        times=times.tolist(),
        sound=tone(1.0),
        sound_start=0.5,
    )
    write_proxy(media, tmp_path / "b.mp4", True)
    np.testing.assert_allclose(frame_times(tmp_path / "b.mp4"), times, atol=1e-4)
    assert (probe(tmp_path / "b.mp4").width, probe(tmp_path / "b.mp4").height) == (480, 854)
    copied = envelope_of_media(tmp_path / "b.mp4")
    assert copied is not None
    loud = copied.times[copied.level > -20]
    assert (loud[0], loud[-1]) == pytest.approx((0.51, 1.49), abs=0.06)


def test_a_portrait_video_stands_upright_and_boxes_lie_on_it(browser: Any, tmp_path: Path) -> None:
    media = write_video(tmp_path / "talk.mp4", plain_frames(FRAMES, 180, 320), rotation=90)
    person = made_person("talk", "talk", FRAMES, FPS, size=(180, 320))
    with opened(browser, made_page(tmp_path, job(media, people=[person]))) as page:
        until(page, PLAYS)
        width, height = page.evaluate(
            "(n => [n.clientWidth, n.clientHeight])(document.querySelector('.frame'))"
        )
        assert height / width == pytest.approx(320 / 180, rel=0.02)
        page.evaluate("affuse.seek(1.0)")
        page.wait_for_timeout(100)
        box = person.measures["box"].values[25] * width / 180
        drawn = page.evaluate(
            """([x, y]) => { const c = document.getElementById('picture'), r = devicePixelRatio;
            return [...c.getContext('2d').getImageData(x * r - 2, y * r - 2, 5, 5).data]; }""",
            [float(box[0]), float((box[1] + box[3]) / 2)],
        )
        assert any(drawn)


def test_a_clip_that_has_gone_is_named_and_another_can_be_chosen(
    browser: Any, tmp_path: Path
) -> None:
    media = made_clip(tmp_path, "a b#c.mp4")
    path = made_page(tmp_path, job(media), embed="never")
    assert path.stat().st_size < 1_000_000
    with opened(browser, path) as page:
        until(page, PLAYS)
        assert page.locator(".missing").count() == 0
    moved = media.rename(tmp_path / "elsewhere.mp4")
    with opened(browser, path, allowed="ERR_FILE_NOT_FOUND") as page:
        until(page, "document.querySelector('.missing') !== null")
        assert "“a b#c.mp4” is not where it was" in page.locator(".missing").inner_text()
        page.get_by_label("Choose the clip").set_input_files(str(moved))
        until(page, PLAYS)


def test_a_large_clip_is_found_beside_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clips").mkdir()
    media = made_clip(tmp_path / "clips")
    monkeypatch.setattr(clips, "MOST", 1000)
    found = clip_for(media, tmp_path / "pages" / "talk.html", "auto")
    assert (found.kind, found.path, found.data) == ("beside", "../clips/talk.mp4", b"")


def test_labels_of_another_clip_are_left_out_or_doubted() -> None:
    people = made_people(count=1)
    rows = Job("talk", people, {"talk": made_labels(FRAMES + 40)})
    found, remarks = fitting_labels(rows)
    assert len(found["talk"]) == FRAMES
    assert remarks == [
        "talk: 115 rows of labels, 75 frames; matched by frame number; are they of this video?"
    ]
    times = np.arange(100) + 50.0
    label = TaskLabels(np.zeros((100, 2), np.float32), np.ones(100, bool))
    other = Job("talk", people, {"talk": TimedLabels(100, {"va": label}, times)})
    found, remarks = fitting_labels(other)
    assert found == {}
    assert "left out, being of another video" in remarks[0]
    assert fitting_labels(Job("talk", people, {"talk": FrameLabels(5)})) == ({}, [])


def test_predictions_without_a_frame_make_a_page_that_says_so(browser: Any, tmp_path: Path) -> None:
    empty = made_people(count=1)[0].first(0)
    with opened(browser, made_page(tmp_path, Job("talk", [empty]))) as page:
        assert "No frames were predicted." in page.locator(".track.person").inner_text()
        assert "No clip in this page." in page.locator(".missing").inner_text()


def test_a_file_that_is_no_clip_is_named(tmp_path: Path) -> None:
    (tmp_path / "talk.mp4").write_bytes(b"nothing" * 100)
    with pytest.raises(UserError, match="not a video or sound file"):
        clip_for(tmp_path / "talk.mp4", tmp_path / "talk.html", "auto")


def test_predictions_of_a_clip_that_is_damaged_by_now_are_shown_without_it(
    browser: Any, tmp_path: Path
) -> None:
    (tmp_path / "talk.mp4").write_bytes(b"nothing" * 100)
    one = replace(job(None), media=tmp_path / "talk.mp4")
    with opened(browser, made_page(tmp_path, one)) as page:
        assert "The clip cannot be shown: " in page.locator("#notes").inner_text()
        assert page.locator(".track.person").count() == 1
