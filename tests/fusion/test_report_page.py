"""The report of a clip, and of a folder as pages: what is made where, and from what."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fusion.predict
from features.cli.app import FAILED, OK
from fusion.data.prediction_files import write_predictions
from fusion.events.rules import read_rules
from fusion.inference.origins import PLACE
from fusion.predict import PredictSettings
from fusion.reporting.settings import ReportSettings
from tests.fusion.reporting.page.made import FRAMES, made_clip, made_people
from tests.fusion.test_report import run_report, write_va


def write(folder: Path, media: Path, count: int = 1) -> None:
    for said in made_people(media.stem, count):
        made = replace(said, provenance={**said.provenance, PLACE: str(media.resolve())})
        write_predictions(made, folder)


def data_of(page: Path) -> dict[str, Any]:
    found = re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found
    return json.loads(found[1])


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return made_clip(tmp_path)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[PredictSettings]:
    """Settings of every prediction; it writes what a model would."""
    calls: list[PredictSettings] = []

    def predict(settings: PredictSettings) -> int:
        calls.append(settings)
        assert settings.input is not None
        write(settings.out, settings.input, 2)
        return OK

    monkeypatch.setattr(fusion.predict, "command", predict)
    return calls


def test_a_clip_is_predicted_once_and_its_page_lies_here(
    clip: Path, asked: list[PredictSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_report("talk.mp4") == OK
    (settings,) = asked
    assert settings == PredictSettings(input=Path("talk.mp4"))
    assert "talk.html\n1 page, 0 failed" in capsys.readouterr().out
    page = data_of(Path("talk.html"))
    assert [one["id"] for one in page["people"]] == ["talk", "talk_person2"]
    assert page["clip"]["kind"] == "embedded"
    assert page["sound"]["level"]["rows"] == pytest.approx(FRAMES / 25 / 0.02, abs=3)
    assert run_report("talk.mp4", "--id", "talk_person2", "--out", "o/p.html") == OK
    assert len(asked) == 1
    assert [one["id"] for one in data_of(Path("o/p.html"))["people"]] == ["talk_person2"]
    assert {path.name for path in Path().iterdir()} == {"talk.mp4", "talk.html", "o", "predictions"}


def test_settings_of_the_prediction_are_handed_on(clip: Path, asked: list[PredictSettings]) -> None:
    words = ("--checkpoint", "a.ckpt", "--device", "cpu", "--predictions", "p", "--format", "svg")
    assert run_report("talk.mp4", *words) == OK
    assert (asked[0].checkpoint, asked[0].device, asked[0].out) == (
        Path("a.ckpt"),
        "cpu",
        Path("p"),
    )
    assert {path.name for path in Path("p/report").iterdir()} == {"talk.svg", "talk_person2.svg"}


def events_in(page: Path) -> list[str] | None:
    lane = data_of(page)["people"][0]["events"]
    return lane and sorted(kind["name"] for kind in lane["kinds"])


def test_events_are_of_the_shipped_rules_of_others_or_none(
    clip: Path, asked: list[PredictSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_report("talk.mp4", "--rules", "nosuch.yaml") == FAILED
    assert asked == []
    assert run_report("talk.mp4") == OK
    shipped = events_in(Path("talk.html"))
    assert shipped
    assert set(shipped) <= {rule.name for rule in read_rules(None).rules}
    assert run_report("talk.mp4", "--rules", "none") == OK
    assert events_in(Path("talk.html")) is None
    Path("own.yaml").write_text("events: {up: AU12_p > .2, gone: nosuch > .5}")
    capsys.readouterr()
    assert run_report("talk.mp4", "--rules", "own.yaml") == FAILED
    assert "failed: events: own.yaml: event 'gone': there is no column" in capsys.readouterr().out
    assert events_in(Path("talk.html")) == ["up"]


def test_predictions_of_another_clip_of_its_name_are_not_taken(
    clip: Path, asked: list[PredictSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("elsewhere").mkdir()
    other = made_clip(Path("elsewhere"), sound=None)
    write(Path("predictions"), other)
    assert run_report("talk.mp4") == FAILED
    error = capsys.readouterr().err
    assert f"of {other.resolve()}, not of talk.mp4; give another folder by --predictions" in error
    assert asked == []


def test_an_incomplete_prediction_is_a_failure_with_a_page(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def predict(settings: PredictSettings) -> int:
        write(settings.out, clip)
        return FAILED

    monkeypatch.setattr(fusion.predict, "command", predict)
    assert run_report("talk.mp4") == FAILED
    assert Path("talk.html").is_file()
    assert "failed: talk: not all of it was extracted" in capsys.readouterr().out


def test_a_folder_as_pages_has_one_a_clip_and_an_index(
    clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(Path("pred"), clip, 2)
    write(Path("pred"), Path("gone.mp4"))
    write_va(Path("corpus"), "Train_Set", "talk", ["0.5,0.25"] * FRAMES)
    assert run_report("pred", "--format", "html", "--data.root", "corpus") == OK
    out = Path("pred/report")
    assert {path.name for path in out.iterdir()} == {"talk.html", "gone.html", "index.html"}
    assert "3 pages, 0 failed" in capsys.readouterr().out
    talk, gone = data_of(out / "talk.html"), data_of(out / "gone.html")
    assert [len(page["people"]) for page in (talk, gone)] == [2, 1]
    assert (talk["clip"]["kind"], gone["clip"]["kind"]) == ("embedded", "none")
    truth = [
        c for lane in talk["people"][0]["lanes"] for c in lane["columns"] if c["role"] == "truth"
    ]
    assert [column["name"] for column in truth] == ["valence", "arousal"]
    index = data_of(out / "index.html")
    rows = [
        (row["video"], row["person"], row["page"], bool(row["scores"])) for row in index["rows"]
    ]
    assert rows == [
        ("gone", "gone", "gone.html", False),
        ("talk", "talk", "talk.html", True),
        ("talk", "talk_person2", "talk.html", False),
    ]
    assert index["scores"] == ["CCC_V", "CCC_A"]


def test_a_damaged_file_fails_alone(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(Path("pred"), clip)
    write(Path("pred"), Path("bad.mp4"))
    path = Path("pred/bad.parquet")
    path.write_bytes(path.read_bytes()[:2000])
    assert run_report("pred", "--format", "html") == FAILED
    printed = capsys.readouterr().out
    assert "failed: bad: " in printed
    assert "2 pages, 1 failed" in printed


def test_a_review_goes_on_with_its_own_clip(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(Path("pred"), clip)
    write(Path("pred"), Path("gone.mp4"))
    said = {"format": 1, "video": "talk", "rename": {"talk": "Anna"}}
    Path("review.json").write_text(json.dumps(said))
    words = ("pred", "--format", "html", "--review", "review.json")
    assert run_report(*words) == OK
    assert data_of(Path("pred/report/talk.html"))["review"]["rename"] == {"talk": "Anna"}
    assert data_of(Path("pred/report/gone.html"))["review"] is None
    Path("review.json").write_text(json.dumps(said | {"video": "other"}))
    assert run_report(*words) == FAILED
    assert "of video 'other', of which there is no page here" in capsys.readouterr().err
    Path("review.json").write_text(json.dumps(said | {"rename": {"nobody": "Anna"}}))
    assert run_report(*words) == FAILED
    assert "failed: talk: review.json: it names 'nobody'" in capsys.readouterr().out


@pytest.mark.parametrize(("format", "begins"), [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_pictures_for_papers_repeat_byte_by_byte(clip: Path, format: str, begins: bytes) -> None:
    write(Path("pred"), clip)
    for out in ("a", "b"):
        assert run_report("pred", "--format", format, "--out", out) == OK
    first, second = (Path(out, f"talk.{format}").read_bytes() for out in "ab")
    assert first == second
    assert first.startswith(begins)


def test_what_a_report_predicts_by_is_what_predict_takes() -> None:
    theirs = PredictSettings()
    ours = ReportSettings(Path("talk.mp4"))
    assert (ours.predictions, ours.checkpoint, ours.device) == (
        theirs.out,
        theirs.checkpoint,
        theirs.device,
    )
