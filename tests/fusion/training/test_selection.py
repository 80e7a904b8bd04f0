"""Which score selects: P over what is learnt, whatever else has labels; and what is said of it."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.errors import UserError
from fusion.abaw.rules import Source, rule_warnings
from fusion.corpora import read_corpus
from fusion.data.loading.config import DataSettings
from fusion.data.stage_outputs import StageInputs
from fusion.inference.checkpoint import load_checkpoint
from fusion.inference.payload import KEY, read_payload
from fusion.inference.provenance import sources_of_checkpoint
from fusion.model.settings import ModelSettings
from fusion.training.config import Stage, TrainSettings
from fusion.training.stage_export import read_stage
from fusion.training.stages import train
from fusion.tune import TuneSettings, tune
from tests.fusion.classic import TASKS
from tests.fusion.tiny import write_corpus

pytestmark = pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore")
SMALL = ModelSettings(dim=16, stream_dim=8, tcn_levels=0, temporal="none")


def settings(root: Path, runs: Path, **changes: object) -> TrainSettings:
    cut = DataSettings(root=root, streams=["face", "voice"], window=20, stride=15, batch=4)
    made = TrainSettings(name="tiny", runs=runs, data=cut, model=SMALL, epochs=2)
    return replace(made, **changes)  # type: ignore[arg-type]


def only(task: str) -> dict[str, Any]:
    """Settings of the tasks with weight for one of them alone."""
    return {name: {"weight": float(name == task)} for name in TASKS}


def logged(folder: Path) -> list[dict[str, str]]:
    with next(folder.glob("logs/*/metrics.csv")).open() as file:
        return [row for row in csv.DictReader(file) if row.get("val/P")]


def provenance(checkpoint: Path) -> dict:
    return read_payload(checkpoint)[KEY]["provenance"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "corpus")


def without(root: Path, task: str, split: str) -> None:
    for folder in root.glob(f"annotations/{task}*/{split}"):
        shutil.rmtree(folder)


def test_tasks_without_weight_do_not_select(root: Path, tmp_path: Path) -> None:
    best = train(settings(root, tmp_path, tasks=only("au")))
    rows = logged(best.parent)
    assert rows
    assert all(row["val/P"] == row["val/AU_F1"] for row in rows)
    assert "val/EXPR_F1" not in rows[0]
    said = provenance(best)
    assert said["learnt"] == said["selected"] == said["tasks"] == ["au"]
    assert set(said["trained"]) == {"au"}


def test_a_head_without_training_labels_does_not_select(root: Path, tmp_path: Path) -> None:
    without(root, "EXPR", "Train_Set")
    best = train(settings(root, tmp_path))
    row = logged(best.parent)[0]
    va = (float(row["val/CCC_V"]) + float(row["val/CCC_A"])) / 2
    assert float(row["val/P"]) == pytest.approx(va + float(row["val/AU_F1"]), abs=1e-5)
    assert provenance(best)["learnt"] == ["va", "au"]
    assert provenance(best)["tasks"] == ["au", "va"]


def test_nothing_to_select_by_is_told_before_training(root: Path, tmp_path: Path) -> None:
    without(root, "AU", "Validation_Set")
    recipe = settings(root, tmp_path, tasks=only("au"))
    with pytest.raises(UserError, match=r"no validation clip has .*\(AU\).*keep to last"):
        train(recipe)
    best = train(replace(recipe, keep="last"))
    assert provenance(best)["selected"] == []


def test_stages_are_chosen_by_what_they_learn(root: Path, tmp_path: Path) -> None:
    stages = [
        Stage("va", {"tasks": only("va")}),
        Stage("au", {"tasks": only("au")}, {"encoders": "va"}),
    ]
    recipe = settings(root, tmp_path, stages=stages, answers={"va": ["va"], "au": ["au"]})
    best = train(recipe)
    row = logged(best.parent / "au")[0]
    assert row["val/P"] == row["val/AU_F1"]
    outputs = read_stage("au", best.parent / "au/best.ckpt", tmp_path)
    assert outputs.tasks == ("au",)
    assert outputs.labels == ("au", "va")
    assert load_checkpoint(best).learnt == ["va", "au"]  # EXPR by a head that nobody has trained


def test_labels_that_chose_a_model_are_known_to_the_rules(root: Path, tmp_path: Path) -> None:
    best = train(settings(root, tmp_path, tasks=only("va")))
    model = sources_of_checkpoint(load_checkpoint(best))[0]
    assert (model.tasks, model.chosen) == (("VA",), ("VA",))
    assert not [line for line in rule_warnings("VA", 5, [model]) if "labels too" in line]
    (line,) = rule_warnings("VA", 5, [Source("model m", "demo", ("VA",), chosen=("VA", "AU"))])
    assert line.endswith(", but model m was chosen or tuned by AU labels too")


def test_an_id_may_be_trained_on_for_one_task_and_held_out_for_another(
    root: Path, tmp_path: Path
) -> None:
    annotations = root / "annotations"
    place = "EXPR_Recognition_Challenge/Validation_Set/3.txt"
    (annotations / place).rename(annotations / place.replace("Validation", "Train"))
    stages = [Stage("one"), Stage("two", feeds=["one"])]
    best = train(settings(root, tmp_path, stages=stages))
    said = provenance(best)
    assert set(said["trained"]["expr"]) == {"1", "2", "3"}
    assert set(said["trained"]["va"]) == {"1", "2"}
    data = TuneSettings().data
    tuned, missing = tune(TuneSettings(best, replace(data, root=root), folds=2))
    assert not missing
    assert np.isfinite(tuned.quoted["P"])


def test_a_stage_that_has_seen_what_is_held_out_is_refused(root: Path, tmp_path: Path) -> None:
    best = train(settings(root, tmp_path))
    one = read_stage("one", best, tmp_path)
    of_fold = replace(settings(root, tmp_path).data, fold=0, folds=2)
    own = train(settings(root, tmp_path / "own", data=of_fold))
    seen = read_stage("other", own, tmp_path)
    held_out = [clip for clip in read_corpus(root) if clip.split == "validation"]
    StageInputs(start={"": one}).check(TASKS, held_out)
    with pytest.raises(UserError, match="has trained on clips held out now"):
        StageInputs(start={"": seen}).check(TASKS, held_out)
