"""Recipes of several stages on corpora that lack labels: what is trained, left out and refused."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from features.cli.app import parse
from features.errors import UserError
from fusion.inference.checkpoint import load_checkpoint
from fusion.training.config import Stage, TrainSettings, stage_settings
from fusion.training.stage_export import read_stage
from fusion.training.stage_tasks import fit_recipe
from fusion.training.stages import train
from tests.fusion.tiny import write_corpus

CONFIGS = Path(__file__).parents[3] / "configs"
FOLDERS = {
    "va": "VA_Estimation_Challenge",
    "expr": "EXPR_Recognition_Challenge",
    "au": "AU_Detection_Challenge",
}
ONE_TASK = [{"va"}, {"expr"}, {"au"}]
STREAMS = ["face", "voice"]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("whole") / "whole")


def without(corpora: Path, root: Path, tasks: set[str], split: str = "") -> Path:
    """A copy of the corpus with the labels of some tasks alone, in all splits or but one."""
    shutil.copytree(corpora, root)
    for task in FOLDERS.keys() - tasks:
        shutil.rmtree(root / "annotations" / FOLDERS[task] / split)
    return root


def recipe(name: str, root: Path, runs: Path) -> TrainSettings:
    """A shipped recipe, small."""
    path = CONFIGS / f"{name}.yaml"
    whole = parse(TrainSettings, prog="t", description="", argv=["--cfg", str(path)])
    levels = {"fusion": {"name": "top-down", "levels": STREAMS}} if name == "fpn" else {}
    return replace(
        whole,
        runs=runs,
        epochs=1,
        model=replace(whole.model, dim=16, stream_dim=8, **levels),
        data=replace(
            whole.data, root=root, store=root / "tracks", streams=STREAMS, window=20, stride=15
        ),
    )


def learnt(settings: TrainSettings) -> dict[str, set[str]]:
    """Tasks that each stage learns."""
    made = {s.name: stage_settings(settings, s).made_tasks() for s in settings.stages}
    return {
        stage: {name for name, task in tasks.items() if task.weight}
        for stage, tasks in made.items()
    }


def alone(task: str) -> dict[str, Any]:
    """Settings of a stage that learns one task."""
    return {"tasks": {name: {"weight": 0.0} for name in FOLDERS if name != task}}


def nobody(_: str) -> tuple[str, ...]:
    raise AssertionError("no checkpoint is named")


@pytest.mark.parametrize(
    "tasks",
    [*ONE_TASK, {"va", "expr"}, {"va", "au"}, {"expr", "au"}],
    ids=lambda tasks: "+".join(sorted(tasks)),
)
def test_progressive_keeps_the_stages_of_the_tasks_that_have_labels(
    corpora: Path, tmp_path: Path, tasks: set[str]
) -> None:
    whole = recipe("progressive", without(corpora, tmp_path / "root", tasks), tmp_path)
    fitted, lines = fit_recipe(whole, nobody)
    last = {"compound": {"expr", "compound"}} if "expr" in tasks else {}
    rest = dict.fromkeys(("joint", "transformer", "lstm", "tcn"), tasks)
    assert learnt(fitted) == {task: {task} for task in tasks} | rest | last
    joint = next(stage for stage in fitted.stages if stage.name == "joint")
    assert set(joint.feeds) == tasks
    assert set(joint.start.values()) <= tasks
    for task in FOLDERS.keys() - tasks:
        fault = f"no training clip has a label of {task.upper()}, and no teacher knows it"
        assert f"stage '{task}' is left out: {fault}" in lines
        assert len(fitted.answers[task]) == 1
    assert ("compound" in fitted.answers) == ("expr" in tasks)


@pytest.mark.parametrize(
    "tasks", [*ONE_TASK, {"va", "expr"}], ids=lambda tasks: "+".join(sorted(tasks))
)
def test_teachers_and_students_learn_the_tasks_that_have_labels(
    corpora: Path, tmp_path: Path, tasks: set[str]
) -> None:
    root = without(corpora, tmp_path / "root", tasks)
    grus = {f"gru-{task}": {task} for task in tasks}
    distill, _ = fit_recipe(recipe("distill", root, tmp_path), nobody)
    assert learnt(distill) == {"teacher": tasks, "student": tasks} | grus
    fpn, _ = fit_recipe(recipe("fpn", root, tmp_path), nobody)
    assert learnt(fpn) == {task: {task} for task in tasks} | {"student": tasks}
    assert set(fpn.stages[-1].teachers) == tasks


def test_the_distillation_of_the_paper_which_has_no_units_is_trained(
    corpora: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = recipe("distill", without(corpora, tmp_path / "root", {"va", "expr"}), tmp_path)
    best = train(whole)
    assert "AU not learnt" in capsys.readouterr().out
    teacher = read_stage("teacher", best.parent / "teacher/best.ckpt", tmp_path)
    assert set(teacher.tasks) == set(teacher.labels) == {"va", "expr"}
    assert set(load_checkpoint(best).provenance["tasks"]) == {"va", "expr"}
    stamp = best.stat().st_mtime_ns
    train(whole)
    assert best.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("name", ["progressive", "distill", "fpn"])
def test_with_all_labels_a_recipe_stays_as_it_is(corpora: Path, tmp_path: Path, name: str) -> None:
    whole = recipe(name, corpora, tmp_path)
    fitted, lines = fit_recipe(whole, nobody)
    assert fitted == whole
    assert not lines


def test_labels_of_a_further_corpus_are_labels(corpora: Path, tmp_path: Path) -> None:
    whole = recipe("distill", without(corpora, tmp_path / "va", {"va"}, "Train_Set"), tmp_path)
    more = without(corpora, tmp_path / "more", {"expr"})
    (more / "people.csv").write_text("id,person\n")
    fitted, _ = fit_recipe(replace(whole, data=replace(whole.data, extra=[more])), nobody)
    assert learnt(fitted)["teacher"] == {"va", "expr"}


def test_a_stage_without_labels_to_choose_its_epoch_by_is_left_out(
    corpora: Path, tmp_path: Path
) -> None:
    root = without(corpora, tmp_path / "root", {"va", "expr"}, "Validation_Set")
    fitted, lines = fit_recipe(recipe("fpn", root, tmp_path), nobody)
    assert [stage.name for stage in fitted.stages] == ["va", "expr", "student"]
    assert learnt(fitted)["student"] == {"va", "expr", "au"}
    assert any("'au' is left out: no validation clip has a label of AU" in line for line in lines)
    last, _ = fit_recipe(replace(recipe("fpn", root, tmp_path), keep="last"), nobody)
    assert [stage.name for stage in last.stages] == ["va", "expr", "au", "student"]


def test_a_stage_fed_by_stages_alone_that_are_left_out_is_left_out(
    corpora: Path, tmp_path: Path
) -> None:
    fed = {"data": {"streams": []}}
    stages = [
        Stage("va", alone("va")),
        Stage("au", alone("au")),
        Stage("on-au", fed, feeds=["au"]),
        Stage("on-on-au", fed, {"heads": "on-au"}, ["on-au"]),
        Stage("on-va", fed, feeds=["va"]),
    ]
    base = recipe("mtl", without(corpora, tmp_path / "root", {"va"}), tmp_path)
    whole = replace(base, stages=stages, answers={"va": ["on-on-au", "va"], "au": ["on-au"]})
    fitted, lines = fit_recipe(whole, nobody)
    assert [stage.name for stage in fitted.stages] == ["va", "on-va"]
    assert fitted.answers == {"va": ["va"], "au": ["on-va"]}
    assert "stage 'on-au' is left out: it is fed by au alone" in "\n".join(lines).lower()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"streams": ["face", "smell"]}}, "no stream 'smell'"),
        (
            {"model": {"temporal": {"heads": 3}}},
            r"temporal\.heads 3 must be a divisor of model\.dim \(16\)",
        ),
        ({"model": {"temporal": "pyramid"}}, r"model\.head parallel must be scales"),
        ({"tasks": {"va": {"loss": "bins+ccc"}}}, r"tasks\.va\.bins 0 must be at least 2"),
        ({"tasks": {"compound": {}, "expr": False}}, r"name tasks\.expr too"),
    ],
)
def test_what_the_last_stage_cannot_do_is_said_before_the_first_is_trained(
    corpora: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    base = recipe("mtl", corpora, tmp_path)
    with pytest.raises(UserError, match=message):
        train(replace(base, stages=[Stage("first"), Stage("second", change)]))
    assert not list(tmp_path.glob("mtl/*"))


def test_a_corpus_without_any_label_for_the_recipe_is_refused_at_once(
    corpora: Path, tmp_path: Path
) -> None:
    stages = [Stage("au", alone("au"))]
    base = recipe("mtl", without(corpora, tmp_path / "root", {"va"}), tmp_path)
    with pytest.raises(UserError, match="'au' is left out: no training clip") as error:
        train(replace(base, stages=stages))
    assert "\n" not in str(error.value)
