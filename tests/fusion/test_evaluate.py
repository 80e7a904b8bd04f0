import json
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.cli.app import run
from features.errors import UsageError, UserError
from fusion import evaluate
from fusion.abaw.reading.annotations import read_truth
from fusion.data.prediction_files import read_predictions, write_predictions
from fusion.data.predictions import FramePredictions
from fusion.evaluate import EvaluateSettings, second_pred_as_against
from fusion.metrics import evaluation as scoring
from fusion.metrics.bootstrap import Interval
from fusion.metrics.evaluation import score_pair, score_store
from fusion.metrics.official import MetricAccumulator
from fusion.reporting import tables as score_tables
from fusion.reporting.score_report import Rules
from fusion.tasks.au import UNITS
from fusion.tasks.expr import EXPRESSIONS
from tests.fusion.abaw_files import write
from tests.fusion.classic import TASKS, classic_predictions

pytestmark = pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore")

CLIPS = {"1": 40, "2": 35, "12_left": 30, "12_right": 30, "9": 50}
FOLDERS = {
    "VA": ("VA_Estimation_Challenge", "valence,arousal"),
    "EXPR": ("EXPR_Recognition_Challenge", ",".join(EXPRESSIONS)),
    "AU": ("AU_Detection_Challenge", ",".join(UNITS)),
}


def write_labels(
    root: Path, split: str = "Test_Set", tasks: tuple[str, ...] = ("VA", "EXPR", "AU")
) -> Path:
    """Random labels of all clips; the first three frames of each have none."""
    for seed, (name, frames) in enumerate(CLIPS.items()):
        rng = np.random.default_rng(seed)
        rows = {
            "VA": [f"{v:.3f},{a:.3f}" for v, a in rng.uniform(-1, 1, (frames, 2))],
            "EXPR": [str(e) for e in rng.integers(0, 8, frames)],
            "AU": [",".join(map(str, row)) for row in rng.integers(0, 2, (frames, 12))],
        }
        for task, none in (("VA", "-5,-5"), ("EXPR", "-1"), ("AU", ",".join(["-1"] * 12))):
            if task in tasks:
                folder, header = FOLDERS[task]
                lines = [header, *[none] * 3, *rows[task][3:]]
                write(root / folder / split / f"{name}.txt", "\n".join(lines) + "\n")
    return root


def predict(truth: Path, out: Path, noise: float = 0.3) -> Path:
    """Predictions of all clips that follow the labels more or less."""
    for seed, clip in enumerate(read_truth(truth)):
        rng = np.random.default_rng(100 + seed)
        frames = len(clip.labels)
        known = {name: task.labels_in(clip.labels).values for name, task in TASKS.items()}
        va = known["va"] + rng.normal(0, noise, (frames, 2))
        au = np.abs(known["au"] - noise * rng.random((frames, 12)) * 2).clip(0, 1)
        one_hot = np.eye(8)[known["expr"]] + 1e-3 + noise * 4.5 * rng.random((frames, 8))
        write_predictions(
            classic_predictions(
                id=clip.id,
                video=clip.video,
                times=np.arange(frames) / 30,
                face=np.ones(frames, bool),
                va=va.clip(-1, 1).astype(np.float32),
                expr=(one_hot / one_hot.sum(1, keepdims=True)).astype(np.float32),
                au=au.astype(np.float32),
                thresholds=np.full(12, 0.5, np.float32),
            ),
            out,
        )
    return out


def change(folder: Path, name: str, of: Callable[[FramePredictions], FramePredictions]) -> None:
    path = folder / f"{name}.parquet"
    write_predictions(of(read_predictions(path)), folder)


def longer(predictions: FramePredictions, frames: int) -> FramePredictions:
    """The last frame repeated `frames` times."""

    def more(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array, np.repeat(array[-1:], frames, axis=0)])

    return replace(
        predictions,
        times=np.arange(len(predictions) + frames) / 30,
        face=more(predictions.face),
        values={name: more(array) for name, array in predictions.values.items()},
    )


def call(*argv: object) -> int:
    with pytest.raises(SystemExit) as stop:
        run(
            EvaluateSettings,
            evaluate.command,
            prog="t",
            description="",
            argv=second_pred_as_against([str(word) for word in argv]),
        )
    return int(stop.value.code or 0)


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    return write_labels(tmp_path / "truth")


@pytest.fixture
def pred(truth: Path, tmp_path: Path) -> Path:
    return predict(truth, tmp_path / "pred")


def plain_scores(pred: Path, truth: Path) -> dict[str, float]:
    metrics = MetricAccumulator(TASKS)
    for clip in read_truth(truth):
        p = read_predictions(pred / f"{clip.id}.parquet")
        metrics.add(clip.labels, p.values, p.thresholds)
    return metrics.scores()


# Stored predictions


def test_stored_predictions_are_scored_as_pooled_frames(
    truth: Path, pred: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("--pred", pred, "--data.truth", truth) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == evaluate.format_scores(plain_scores(pred, truth))
    assert lines[1].startswith("Neutral ")
    assert "CCC_V " in lines[2]
    assert " to " in lines[2]
    assert "over 4 videos" in lines[3]  # both people of video 12 are drawn together
    assert "2000 draws, seed 1" in lines[3]


def test_a_split_of_a_corpus_is_scored_without_its_other_splits(
    pred: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_labels(tmp_path / "root", "Validation_Set")
    for path in root.rglob("1.txt"):
        write(path.parents[1] / "Train_Set/1.txt", path.read_text())
        path.unlink()
    (pred / "1.parquet").write_bytes(b"never looked at")
    assert call("--pred", pred, "--data.root", root) == 0
    assert "over 3 videos" in capsys.readouterr().out


def test_the_clip_of_the_same_number_is_not_taken_for_the_person(truth: Path, pred: Path) -> None:
    change(pred, "12_left", lambda p: replace(p, id="12"))
    (pred / "12_left.parquet").unlink()
    evaluation = score_store(pred, read_truth(truth))
    assert evaluation.missing == ["12_left"]
    assert "12" not in evaluation.scored


def test_what_is_missing_or_damaged_is_told_and_the_rest_is_scored(
    truth: Path, pred: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pred / "1.parquet").unlink()
    (pred / "9.parquet").write_bytes((pred / "9.parquet").read_bytes()[:-100])
    assert call("--pred", pred, "--data.truth", truth) == 1
    out = capsys.readouterr().out.splitlines()
    assert "over 2 videos" in out[3]
    assert [line for line in out if line.startswith("not scored: 1 ")]
    fault = [line for line in out if line.startswith("fault: ")]
    assert len(fault) == 1
    assert "9.parquet: damaged" in fault[0]
    for name in ("1", "9"):
        for path in truth.rglob(f"{name}.txt"):
            path.unlink()
    assert out[0] == evaluate.format_scores(plain_scores(pred, truth))


@pytest.mark.parametrize(
    ("frames", "status", "word"),
    [(-1, 0, "remark"), (1, 0, "remark"), (2, 0, "remark"), (-3, 1, "fault"), (20, 1, "fault")],
)
def test_another_number_of_frames_is_matched_by_number_and_told(
    frames: int,
    status: int,
    word: str,
    truth: Path,
    pred: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics = MetricAccumulator(TASKS)
    for clip in read_truth(truth):
        p = read_predictions(pred / f"{clip.id}.parquet")
        rows = len(p) + min(frames, 0) if clip.id == "9" else len(p)
        short = p.first(rows)
        metrics.add(clip.labels.resized(rows), short.values, short.thresholds)
    of = (lambda p: longer(p, frames)) if frames > 0 else (lambda p: p.first(50 + frames))
    change(pred, "9", of)
    assert call("--pred", pred, "--data.truth", truth) == status
    out = capsys.readouterr().out.splitlines()
    assert out[0] == evaluate.format_scores(metrics.scores())
    said = [line for line in out if line.startswith(f"{word}: 9: ")]
    assert len(said) == 1
    assert f"50 rows of labels, {50 + frames} frames predicted" in said[0]
    assert "matched by frame number" in said[0]


def test_nothing_readable_is_told_line_by_line_and_no_report_is_left(
    truth: Path, pred: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in pred.iterdir():
        path.write_bytes(b"")
    assert call("--pred", pred, "--data.truth", truth, "--out", tmp_path / "out") == 1
    assert capsys.readouterr().out.count("fault: ") == len(CLIPS)
    assert not (tmp_path / "out").exists()


def test_predictions_of_other_clips_are_refused_with_a_hint(
    truth: Path, pred: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    write_predictions(replace(read_predictions(pred / "1.parquet"), id="77"), other)
    clips = read_truth(truth)
    with pytest.raises(
        UserError, match=r"such as 77, none of the labelled clips, such as .*--split"
    ):
        score_store(other, clips)
    (other / "77.parquet").unlink()
    with pytest.raises(UserError, match="no predictions, none"):
        score_store(other, clips)
    with pytest.raises(UserError, match="no such folder"):
        score_store(tmp_path / "absent", clips)


def test_one_file_of_predictions_is_held_at_a_time(
    truth: Path, pred: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def read(path: Path) -> FramePredictions:
        nonlocal most
        most = max(most, sum(ref() is not None for ref in alive))
        predictions = read_predictions(path)
        alive.append(weakref.ref(predictions.values["au"]))
        return predictions

    monkeypatch.setattr(scoring, "read_predictions", read)
    score_store(pred, read_truth(truth))
    assert len(alive) == len(CLIPS)
    assert most <= 1


@pytest.mark.parametrize("edition", [1, 12])
def test_an_unknown_edition_is_refused(
    edition: int, truth: Path, pred: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("--pred", pred, "--data.truth", truth, "--edition", edition) == 2
    assert "choose 2 to 11" in capsys.readouterr().err


# The folder


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `truth`, `pred` and, of 50 draws with seed 9, `out`."""
    folder = tmp_path_factory.mktemp("reported")
    predict(write_labels(folder / "truth"), folder / "pred")
    assert call_for_report(folder, folder / "out") == 0
    return folder


def call_for_report(folder: Path, out: Path) -> int:
    argv = ("--pred", folder / "pred", "--data.truth", folder / "truth", "--out", out)
    return call(*argv, "--draws", 50, "--seed", 9)


def test_out_holds_tables_that_agree_with_the_scores(reported: Path) -> None:
    out, scores = reported / "out", plain_scores(reported / "pred", reported / "truth")
    kept = json.loads((out / "scores.json").read_text())
    assert {name: kept["scores"][name] for name in scores} == pytest.approx(scores)
    assert (kept["clips"], kept["videos"], kept["draws"], kept["seed"]) == (5, 4, 50, 9)
    assert kept["intervals"]["VA"][0] < scores["VA"] < kept["intervals"]["VA"][1]

    table = {path.stem: pd.read_csv(path) for path in out.glob("*.csv")}
    assert set(table) == {
        *("scores", "affect", "classes", "confusion", "units", "calibration", "clips"),
    }
    assert table["scores"]["value"].tolist() == pytest.approx(list(scores.values()))
    assert table["classes"]["F1"].mean() == pytest.approx(scores["EXPR"])
    assert table["units"]["F1"].mean() == pytest.approx(scores["AU"])
    assert table["affect"]["CCC"].mean() == pytest.approx(scores["VA"])
    labelled = sum(CLIPS.values()) - 3 * len(CLIPS)
    counts = table["confusion"][list(EXPRESSIONS)].to_numpy()
    assert counts.sum() == table["classes"]["true"].sum() == labelled
    np.testing.assert_array_equal(counts.sum(0), table["classes"]["predicted"])
    assert table["clips"]["id"].tolist() == sorted(CLIPS)
    assert table["clips"]["frames"].sum() == sum(CLIPS.values())
    bins = table["calibration"].groupby("quantity")["frames"].sum()
    assert (bins == labelled).all()
    assert len(bins) == 1 + 12 + 2


def test_out_holds_a_report_and_pictures(reported: Path) -> None:
    text = (reported / "out/report.md").read_text()
    assert "over 4 videos" in text
    assert "50 draws, seed 9" in text
    for section in ("Valence and arousal", "Expressions", "Action units", "Calibration", "Clips"):
        assert f"## {section}\n" in text
    pictures = [line.split("(")[1][:-1] for line in text.splitlines() if line.startswith("![")]
    assert set(pictures) == {"confusion.png", "f1.png", "calibration.png", "clips.png"}
    for name in pictures:
        assert (reported / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_equal_predictions_leave_equal_files(reported: Path, tmp_path: Path) -> None:
    call_for_report(reported, tmp_path / "again")
    files = {path.name: path.read_bytes() for path in (reported / "out").iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == files


def test_tasks_without_labels_are_dashes_and_nulls_and_what_lacks_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = write_labels(tmp_path / "va", tasks=("VA",))
    pred, out = predict(truth, tmp_path / "pred"), tmp_path / "out"
    (pred / "1.parquet").unlink()
    assert call("--pred", pred, "--data.truth", truth, "--out", out) == 1
    assert "EXPR -  AU -" in capsys.readouterr().out
    kept = json.loads((out / "scores.json").read_text())
    assert kept["scores"]["EXPR"] is None
    assert kept["ece"]["AU"] is None
    assert kept["scores"]["P"] == pytest.approx(kept["scores"]["VA"])
    assert kept["missing"] == ["1"]
    text = (out / "report.md").read_text()
    assert "nan" not in text
    assert "- 1: labels but no prediction" in text


def table_of(
    evaluation: scoring.Evaluation,
    name: str,
    intervals: Mapping[str, Interval] | None = None,
    edition: int = 11,
) -> score_tables.TaskTables:
    tables = score_tables.task_tables(evaluation, intervals or {}, edition)
    return next(each for each in tables if each.name == name)


def test_affect_table_tells_bias_and_scale(truth: Path, pred: Path) -> None:
    clips = read_truth(truth)
    for clip in clips:
        valence, arousal = clip.labels["va"].values.T
        moved = np.stack([valence * 0.5 + 0.25, arousal], axis=1).astype(np.float32)
        change(pred, clip.id, lambda p, va=moved: replace(p, values={**p.values, "va": va}))
    affect = table_of(score_store(pred, clips), "affect").rows
    valence, arousal = affect.to_dict("records")
    known = [c.labels["va"].values[c.labels["va"].mask] for c in clips]
    mean = np.concatenate(known).mean(0, dtype=float)
    assert valence["scale"] == pytest.approx(0.5, abs=1e-6)
    assert valence["bias"] == pytest.approx(0.25 - mean[0] / 2, abs=1e-6)
    assert valence["r"] == pytest.approx(1, abs=1e-6)
    assert [arousal[name] for name in ("bias", "scale", "CCC")] == pytest.approx([0, 1, 1])


def test_edition_2_has_seven_classes_in_its_tables(truth: Path, pred: Path) -> None:
    evaluation, rules = score_store(pred, read_truth(truth)), Rules(2, False, 200, 1)
    intervals, metrics = rules.intervals(evaluation), evaluation.metrics
    of_classes = table_of(evaluation, "classes", intervals, edition=2)
    classes, confusion = of_classes.rows, of_classes.confusion
    assert confusion is not None
    assert classes["expression"].tolist() == list(EXPRESSIONS[:7])
    assert len(confusion) == 7
    counts = confusion[list(EXPRESSIONS)].to_numpy()
    wanted = 0.67 * classes["F1"].mean() + 0.33 * np.trace(counts) / counts.sum()
    assert metrics.scores(2)["EXPR"] == pytest.approx(wanted)
    assert intervals["EXPR"].low < wanted < intervals["EXPR"].high
    assert (classes["low"] <= classes["F1"]).all()
    assert (classes["F1"] <= classes["high"]).all()


def test_a_table_of_markdown_is_aligned_and_has_dashes_for_what_has_no_value() -> None:
    table = pd.DataFrame({"id": ["a|b", "c"], "F1": [0.12345, np.nan], "frames": [1, 20000]})
    assert score_tables.to_markdown(table).splitlines() == [
        "| id   |    F1 | frames |",
        "| ---- | ----: | -----: |",
        "| a\\|b | 0.123 |      1 |",
        "| c    |     - |  20000 |",
    ]


def test_a_file_in_the_place_of_the_folder_is_refused_before_any_work(
    truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "scores.json", "{}")
    assert call("--pred", tmp_path / "absent", "--data.truth", truth, "--out", path) == 1
    assert "scores.json: a file, but --out is a folder" in capsys.readouterr().err
    assert path.read_text() == "{}"


# Two sets of predictions


def test_a_second_pred_is_compared_with_the_first(
    truth: Path, pred: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worse, out = predict(truth, tmp_path / "worse", noise=0.6), tmp_path / "out"
    argv = ("--data.truth", truth, "--out", out)
    assert call("--pred", pred, f"--pred={worse}", *argv) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[:2] == [f"first: {pred}", f"second: {worse}"]
    assert "over 4 videos" in shown
    table = pd.read_csv(out / "comparison.csv").set_index("score")
    scores = plain_scores(pred, truth), plain_scores(worse, truth)
    for name in scores[0]:
        assert table.loc[name, "first"] == pytest.approx(scores[0][name])
        assert table.loc[name, "second"] == pytest.approx(scores[1][name])
    va = table.loc["VA"]
    assert 0 < va["low"] < va["difference"] < va["high"]
    assert va["first better"] == 1
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")
    assert "seed 1" in (out / "comparison.md").read_text()


def test_only_frames_of_both_are_compared_and_what_lacks_is_told(
    truth: Path, pred: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = predict(truth, tmp_path / "other")
    (other / "1.parquet").unlink()
    (pred / "2.parquet").write_bytes(b"damaged")
    change(other, "9", lambda p: p.first(49))
    first, second = score_pair(pred, other, read_truth(truth))
    assert set(first.scored) == set(second.scored) == {"12_left", "12_right", "9"}
    assert first.frames == second.frames == {"12_left": 30, "12_right": 30, "9": 49}
    assert first.metrics.scores() == second.metrics.scores()
    assert call("--pred", pred, "--against", other, "--data.truth", truth) == 1
    out = capsys.readouterr().out
    assert f"not scored in {other}: 1 has labels" in out
    assert f"fault in {pred}: 2: " in out
    assert f"remark in {other}: 9: 50 rows of labels, 49 frames" in out
    assert f"remark in {other}: 2: left out" in out
    assert f"not scored in {other}: 2 " not in out


def test_without_draws_the_differences_stand_alone(
    truth: Path, pred: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("--pred", pred, "--pred", pred, "--data.truth", truth, "--draws", 0) == 0
    out = capsys.readouterr().out
    assert "difference +0.000\n" in out
    assert "nan" not in out
    assert "No intervals" in out


def test_sets_that_share_no_clip_are_refused(truth: Path, pred: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, name in ((one, "1"), (two, "2")):
        write_predictions(read_predictions(pred / f"{name}.parquet"), folder)
    with pytest.raises(UserError, match="share no labelled clip"):
        score_pair(one, two, read_truth(truth))


def test_against_without_pred_is_refused(
    truth: Path, pred: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("--against", pred, "--data.truth", truth) == 2
    assert "--pred" in capsys.readouterr().err


def test_a_third_pred_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--pred", "a", "--pred=b", "--pred", "c"]
    with pytest.raises(UsageError, match="two sets"):
        second_pred_as_against(words)
    with pytest.raises(SystemExit) as stop:
        evaluate.main(words)
    assert stop.value.code == 2
    assert "two sets" in capsys.readouterr().err
    assert second_pred_as_against(words[:3]) == ["--pred", "a", "--against=b"]


def test_nothing_labelled_is_dashes_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = write_labels(tmp_path / "truth")
    pred, out = predict(truth, tmp_path / "pred"), tmp_path / "out"
    for path in truth.rglob("*.txt"):
        header, *rows = path.read_text().splitlines()
        task = path.parents[1].name[:2]
        none = {"VA": "-5,-5", "AU": ",".join(["-1"] * 12)}.get(task, "-1")
        write(path, "\n".join([header, *[none] * len(rows)]) + "\n")
    assert call("--pred", pred, "--data.truth", truth, "--out", out, "--draws", 20) == 0
    lines = capsys.readouterr().out.splitlines()
    assert set(lines[0].split()[1::2]) == set(lines[1].split()[1::2]) == {"-"}
    assert all(line.strip() for line in lines)
    assert not any(word in (out / "report.md").read_text() for word in ("nan", "0.000"))
    kept = json.loads((out / "scores.json").read_text())
    assert set(kept["scores"].values()) == {None}
    both = ("--pred", pred, "--pred", pred, "--data.truth", truth, "--draws", 20)
    assert call(*both, "--out", tmp_path / "pair") == 0


def test_folders_of_other_clips_are_compared_where_both_have_them(
    truth: Path, pred: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = predict(truth, tmp_path / "other", noise=0.6)
    (pred / "1.parquet").unlink()
    (other / "2.parquet").unlink()
    assert call("--pred", pred, "--pred", other, "--data.truth", truth, "--draws", 20) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any("over 2 videos" in line for line in lines)
    for name, where in (("1", pred), ("2", other)):
        assert f"not scored in {where}: {name} has labels but no prediction" in "\n".join(lines)
    for path in (p for name in ("1", "2") for p in truth.rglob(f"{name}.txt")):
        path.unlink()
    scores = [f"{plain_scores(folder, truth)['P']:.3f}" for folder in (pred, other)]
    assert next(line for line in lines if line.startswith("P ")).split()[1:3] == scores
