"""Reports and timelines of any tasks: they go by the kinds of the tasks, and name none."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fusion.data.predictions import FramePredictions
from fusion.metrics.evaluation import Evaluation
from fusion.reporting.score_report import Rules, write_report
from fusion.reporting.timeline import agreement, draw_timeline
from fusion.reporting.timelines.lanes import heights_of
from fusion.tasks.base import Task
from fusion.tasks.clips import Clip
from fusion.tasks.labels import FrameLabels, TaskLabels
from fusion.tasks.registry import default_tasks, make_tasks

pytestmark = pytest.mark.filterwarnings("error", "ignore::fusion.metrics.official.UndefinedScore")
FUSION = Path(__file__).parents[3] / "fusion"
FRAMES, RULES = 40, Rules(11, False, 20, 1)
TASKS = default_tasks() | make_tasks(
    {
        "emotions": {"classes": ["calm", "happy", "sad"], "level": "clip"},
        "intensities": {"names": ["joy", "awe", "fear"]},
        "values": {"names": ["pain", "interest"], "low": 0, "high": 10, "metric": "rmse"},
    }
)
ALONE = {name: TASKS[name] for name in ("au", "emotions", "expr", "intensities", "va", "values")}


def labels_of(task: Task, rng: np.random.Generator) -> TaskLabels:
    blank = task.empty(FRAMES)
    shape = blank.values.shape
    if task.kind == "classes":
        values = np.full(shape, rng.integers(0, len(task.names)))
        values = rng.integers(0, len(task.names), shape) if task.level == "frame" else values
    elif task.kind == "binary":
        values = rng.integers(0, 2, shape)
    else:
        values = rng.uniform(*task.value_range(), shape if task.level == "frame" else shape[1:])
        values = np.broadcast_to(values, shape)
    return TaskLabels(values.astype(blank.values.dtype), np.ones(blank.mask.shape, bool))


def said_by(name: str, tasks: dict[str, Task], rng: np.random.Generator) -> FramePredictions:
    def values(task: Task) -> np.ndarray:
        width = len(task.columns)
        if task.kind == "classes":
            return rng.dirichlet(np.ones(width), FRAMES).astype(np.float32)
        return rng.uniform(*task.value_range(), (FRAMES, width)).astype(np.float32)

    every = {key: values(task) for key, task in tasks.items()}
    times, seen = np.arange(FRAMES) / 25, np.ones(FRAMES, bool)
    return FramePredictions(name, name, times, seen, tasks, every)


def evaluated(tasks: dict[str, Task]) -> tuple[Evaluation, list[FramePredictions]]:
    rng = np.random.default_rng(0)
    clips = [
        Clip(n, n, "test", FrameLabels(FRAMES, {k: labels_of(t, rng) for k, t in tasks.items()}), n)
        for n in ("a", "b", "c")
    ]
    evaluation = Evaluation.of(clips)
    predictions = [said_by(clip.id, tasks, rng) for clip in clips]
    for one in predictions:
        evaluation.add(one)
    return evaluation, predictions


def test_a_report_of_six_tasks_has_a_table_of_each_and_no_file_is_written_twice(
    tmp_path: Path,
) -> None:
    evaluation, _ = evaluated(TASKS)
    write_report(tmp_path, evaluation, RULES.intervals(evaluation), RULES, "six")
    tables = {path.stem: pd.read_csv(path) for path in tmp_path.glob("*.csv")}
    assert set(tables) == {
        *("scores", "calibration", "clips", "affect", "classes", "confusion", "units"),
        *("emotions_classes", "emotions_confusion", "values", "values_values"),
    }
    assert tables["emotions_classes"]["class"].tolist() == ["calm", "happy", "sad"]
    assert tables["emotions_classes"]["true"].sum() == len(evaluation.clips)
    assert tables["values"]["value"].tolist() == ["joy", "awe", "fear"]
    assert {"RMSE", "CCC"} <= set(tables["values_values"].columns)
    assert {"confidence", "EMOTIONS confidence", "joy", "pain"} <= set(
        tables["calibration"]["quantity"]
    )
    clips = tables["clips"]
    assert {"CCC_V", "EMOTIONS F1", "INTENSITIES frames", "-RMSE pain"} <= set(clips.columns)
    assert (clips["-RMSE pain"] < 0).all()
    assert not any("PCC" in name for name in clips.columns), "a clip of one row has no correlation"
    text = (tmp_path / "report.md").read_text()
    sections = re.findall("^## (.*)$", text, re.MULTILINE)
    wanted = [task.heading for task in TASKS.values()]
    assert sections == [*wanted, "Calibration", "Clips"]
    pictures = re.findall(r"!\[.*\]\((.*)\)", text)
    assert len(set(pictures)) == len(pictures) == 5
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in pictures)


@pytest.mark.parametrize("name", sorted(ALONE))
def test_a_task_alone_has_its_report_without_a_sum_and_its_timeline(
    name: str, tmp_path: Path
) -> None:
    evaluation, predictions = evaluated({name: ALONE[name]})
    write_report(tmp_path, evaluation, RULES.intervals(evaluation), RULES, name)
    scores = pd.read_csv(tmp_path / "scores.csv")["score"].tolist()
    assert scores[-1] == ALONE[name].title
    assert "P" not in scores
    truth, bare = evaluation.clips["a"].labels, FrameLabels(0)
    for path, labels in ((tmp_path / "a.png", truth), (tmp_path / "b.png", bare)):
        draw_timeline(predictions[0], labels, None, path)
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_lanes_are_one_a_value_one_of_classes_one_of_elements_and_none_of_what_is_not_drawn() -> (
    None
):
    lanes = {name: len(heights_of(task)) for name, task in TASKS.items()}
    assert lanes == {"va": 2, "expr": 1, "au": 1, "emotions": 1, "intensities": 3, "values": 2}
    assert heights_of(make_tasks({"compound": None})["compound"]) == []


def test_the_title_of_a_timeline_has_the_ccc_of_values_that_have_labels() -> None:
    tasks = {"values": TASKS["values"]}
    evaluation, predictions = evaluated(tasks)
    labels = evaluation.clips["a"].labels
    labels["values"].mask[:, 1] = False
    text = agreement(predictions[0], labels)
    assert text.startswith("CCC   pain ")
    assert "interest" not in text
    assert f"({FRAMES} labelled frames)" in text


def test_no_task_is_named_where_all_are_served() -> None:
    names = "va|expr|au|compound|VA|EXPR|AU|CCC_V|CCC_A|EXPRESSIONS|UNITS|DIMENSIONS|COMPOUNDS"
    named = re.compile(rf"""["'\.](?:{names})["'\s\[(]|import .*\b(?:{names})\b""")
    paths = [FUSION / "evaluate.py", FUSION / "report.py"]
    for room in ("reporting", "evaluation", "metrics"):
        paths += (FUSION / room).glob("*.py")
    assert {f"{path.name}: {hit}" for path in paths for hit in named.findall(path.read_text())} == (
        set()
    )
