"""Messages of fusion read as a person would write them, and its pictures warn of nothing."""

import re
from pathlib import Path

import pytest

from features.errors import UserError
from fusion.abaw.submission.fitting import SubmissionSummary
from fusion.data.loading.dataset import DataSummary
from fusion.ensembling.members import Member, require_clips
from fusion.metrics.evaluation import Evaluation, compare_lengths
from fusion.metrics.official import MetricAccumulator
from fusion.reporting.score_report import Rules
from fusion.reporting.settings import ReportSummary
from fusion.reporting.timeline import draw_timeline
from fusion.streams.person_normalization import People
from fusion.tasks.labels import FrameLabels
from tests.fusion import test_evaluate
from tests.fusion.test_evaluate import call, predict, write_labels
from tests.fusion.test_report import make_labels, make_predictions, make_sound

NOUNS = "clips|frames|rows|videos|pictures|ids|files|tracks|units|classes|columns|epochs|draws"
FUSION = Path(__file__).parents[2] / "fusion"


def test_no_message_puts_a_bare_number_before_many_things() -> None:
    bare = re.compile(rf"\{{(?:len|sum)\([^{{}}]*\)(?::,)?\}} (?:[a-z]+ )?(?:{NOUNS})\b")
    internal = {"bootstrap.py"}  # a ValueError for programmers
    found = {
        f"{path.name}: {hit}"
        for path in FUSION.rglob("*.py")
        for hit in bare.findall(path.read_text())
        if path.name not in internal
    }
    assert found == set()


def test_one_clip_of_data_is_one_clip() -> None:
    summary = DataSummary(clips=1, frames=1, skipped=["a"], surplus={"b": 1}, absent={"c": 1})
    assert summary.lines() == [
        "1 clip, 1 frame; no stream of its own",
        "skipped, no track at all: 1 clip (a)",
        "1 label row beyond the last frame cut: 1 clip (b)",
        "1 frame beyond the last label row masked: 1 clip (c)",
    ]
    assert DataSummary(clips=2, frames=2_800_000).lines() == [
        "2 clips, 2,800,000 frames; no stream of its own"
    ]


def test_one_row_of_a_submission_is_one_row() -> None:
    summary = SubmissionSummary(Path("f.txt"), rows=1, ids=1, no_face={"a": 1})
    assert summary.lines() == [
        "f.txt: 1 row, 1 id",
        "  no face, values from the frames around or other streams: 1 frame of a",
    ]


def test_one_row_of_labels_beside_one_frame_more() -> None:
    evaluation = Evaluation({})
    compare_lengths(evaluation, "a", 1, 2)
    compare_lengths(evaluation, "b", 2, 1)
    assert evaluation.remarks == {
        "a": "1 row of labels, 2 frames predicted; matched by frame number",
        "b": "2 rows of labels, 1 frame predicted; matched by frame number",
    }


def test_one_unit_and_one_class_that_scores_are_over() -> None:
    labels, said = make_labels(4), make_predictions(4)
    metrics = MetricAccumulator(said.tasks, {"expr": frozenset({"Happiness"})})
    labels["expr"].values[:] = 4
    labels["au"].mask[:, 1:] = False
    metrics.add(labels, said.values, said.thresholds)
    assert metrics.counted() == [
        "EXPR is over the 1 class of this data set: Happiness",
        "AU is over the 1 unit with labels: AU1",
    ]


def test_one_person_one_clip_one_picture_one_draw() -> None:
    assert People({"A": {}}, {"face": ["A"]}).lines()[0].startswith(
        "'face' is constant or absent for 1 of 1 person (such as A)"
    )  # fmt: skip
    with pytest.raises(UserError, match="no predictions of 1 of 1 clip, such as 'a'"):
        require_clips([Member("m", Path("m"))], ["a"])
    made = ReportSummary(pictures={"a": Path("a.png")})
    assert list(made.lines()) == ["a.png", "1 picture, 0 failed"]
    assert ", 1 draw, seed" in Rules(edition=3, exact=False, draws=1, seed=0).line(2)


@pytest.mark.filterwarnings("error", "ignore::fusion.metrics.official.UndefinedScore")
@pytest.mark.parametrize("tasks", [("VA", "EXPR", "AU"), ("EXPR",)])
@pytest.mark.parametrize("clips", [{"1": 4}, {"n" * 90: 30, "a$b_": 4}])
def test_pictures_of_odd_sizes_of_data_warn_of_nothing(
    tmp_path: Path, clips: dict[str, int], tasks: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_evaluate, "CLIPS", clips)
    truth = write_labels(tmp_path / "truth", tasks=tasks)
    pred = predict(truth, tmp_path / "pred")
    other = predict(truth, tmp_path / "other", 0.5)
    for more in ([], ["--against", other]):
        assert call("--pred", pred, "--data.truth", truth, "--out", tmp_path / "out", *more) == 0
    assert {"calibration.png", "clips.png", "comparison.png", "confusion.png", "f1.png"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("frames", [1, 2, 40])
@pytest.mark.parametrize("rows", [0, 1, 40])
def test_timelines_of_odd_sizes_warn_of_nothing(tmp_path: Path, frames: int, rows: int) -> None:
    labels = make_labels(rows) if rows else FrameLabels(0)
    for envelope in (None, make_sound(1), make_sound(400)):
        draw_timeline(make_predictions(frames, "n$_" * 60), labels, envelope, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
