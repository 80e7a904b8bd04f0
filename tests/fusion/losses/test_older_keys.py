"""Older names of settings: taken, told, and worth the same as those of today."""

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from features.cli.app import parse
from features.errors import UsageError
from fusion.data.run_identity import plain
from fusion.losses.older_keys import OLDER, modern
from fusion.training.config import TrainSettings, stage_settings
from fusion.training.run import described
from fusion.training.search_space import read_space

WHOLE = {
    "model": {"va_bins": 20, "bin_values": "ends", "compound": False},
    "loss": {
        "va": 2.0, "expr": 0.5, "au": 0.25, "balance": 0.1, "label_smoothing": 0.2,
        "au_balance": 0.3, "va_kind": "bins+ccc", "au_kind": "zlpr+bce", "truth": 0.7,
        "compound": 0.0, "compound_share": [[2, 0.5]],
    },
    "stages": [
        {"name": "va", "settings": {"loss": {"expr": 0.0, "au": 0.0}}},
        {"name": "compound", "settings": {"model": {"compound": True},
                                          "loss": {"va": 0.0, "compound": 1.0}}},
    ],
}  # fmt: skip
"""A recipe of the last release, with every setting that has moved."""
TODAY = {
    "tasks": {
        "va": {"weight": 2.0, "loss": "bins+ccc", "bins": 20, "bin_values": "ends"},
        "expr": {"weight": 0.5, "balance": 0.1, "label_smoothing": 0.2},
        "au": {"weight": 0.25, "balance": 0.3, "loss": "zlpr+bce"},
    },
    "loss": {"truth": 0.7},
    "stages": [
        {"name": "va", "settings": {"tasks": {"expr": {"weight": 0.0}, "au": {"weight": 0.0}}}},
        {"name": "compound", "settings": {"tasks": {"va": {"weight": 0.0}, "compound": {
            "weight": 1.0, "share": [[2, 0.5]]}}}},
    ],
}  # fmt: skip
"""The same as it is written now."""


def read(*argv: object) -> TrainSettings:
    return parse(TrainSettings, prog="t", description="", argv=[str(word) for word in argv])


def written(folder: Path, content: dict[str, Any], name: str = "own.yaml") -> Path:
    (folder / name).write_text(yaml.safe_dump(content))
    return folder / name


def resolved(one: TrainSettings) -> list[dict[str, Any]]:
    """All settings of a recipe and of each of its stages, those of tasks with their defaults."""
    every = [one, *(stage_settings(one, stage) for stage in one.stages)]
    rest = [{**plain(each), "stages": [], "tasks": described(each.made_tasks())} for each in every]
    return [*rest, {stage.name: [stage.needs] for stage in one.stages}]


def test_every_older_name_is_in_the_recipe_below() -> None:
    known = {f"{part}.{name}" for part in ("model", "loss") for name in WHOLE[part]}
    assert set(OLDER) <= known


def test_an_older_recipe_is_worth_the_same_as_todays(tmp_path: Path) -> None:
    older, today = read("--cfg", written(tmp_path, WHOLE)), read("--cfg", written(tmp_path, TODAY))
    assert resolved(older) == resolved(today)
    assert list(older.made_tasks()) == ["va", "expr", "au"]


def test_what_changes_a_base_changes_no_more_than_it_says(tmp_path: Path) -> None:
    own = {"base": "mtl", "loss": {"expr": 0.0}, "model": {"va_bins": 4}}
    tasks = read("--cfg", written(tmp_path, own)).made_tasks()
    usual = TrainSettings().made_tasks()
    assert tasks["expr"].settings == type(usual["expr"].settings)(weight=0.0)
    assert tasks["va"].settings == type(usual["va"].settings)(bins=4)
    assert tasks["au"] == usual["au"]


def test_a_stage_of_the_api_may_have_older_names() -> None:
    (stage,) = read("--stages=[{name: a, settings: {loss: {au: 0.0}}}]").stages
    own = stage_settings(TrainSettings(), stage)
    assert {name: task.weight for name, task in own.made_tasks().items()} == {
        "va": 1.0, "expr": 1.0, "au": 0.0,
    }  # fmt: skip


def test_a_stage_may_leave_compounds_out_that_the_recipe_learns() -> None:
    stages = [{"name": "a", "settings": {"loss": {"compound": 0.0}}}]
    learning = {"model": {"compound": True}, "loss": {"compound": 1.0}, "stages": stages}
    for recipe, weight in ((learning, 0.0), ({"stages": stages}, None)):
        found = modern(recipe)
        assert ("compound" in found.get("tasks", {})) == (weight is not None)
        said = found["stages"][0]["settings"]["tasks"].get("compound")
        assert said == (None if weight is None else {"weight": weight})


def test_options_of_the_command_line_have_todays_place(caplog: pytest.LogCaptureFixture) -> None:
    words = ("--loss.va_kind=mse", "--loss.balance", "0.3", "--loss.compound=0.5", "--epochs=3")
    with caplog.at_level(logging.WARNING):
        one = read(*words)
    tasks = one.made_tasks()
    assert (tasks["va"].settings.loss, tasks["expr"].settings.balance) == ("mse", 0.3)
    assert (tasks["compound"].weight, one.epochs) == (0.5, 3)
    assert [record.getMessage() for record in caplog.records] == [
        "loss.va_kind: older, goes with the next release; write tasks.va.loss",
        "loss.balance: older, goes with the next release; write tasks.expr.balance",
        "loss.compound: older, goes with the next release; write tasks.compound.weight",
    ]


def test_an_option_that_no_setting_is_any_more_says_what_is() -> None:
    with pytest.raises(UsageError, match=r"^model.compound: .* set tasks.compound.weight to 1$"):
        read("--model.compound=true")


def test_a_file_says_once_what_to_write(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, {"loss": {"va": 0.0, "au_kind": "bce"}})
    with caplog.at_level(logging.WARNING):
        read("--cfg", path)
    (record,) = caplog.records
    assert record.getMessage() == (
        "loss.va, loss.au_kind: older, goes with the next release; write tasks.va.weight,"
        " tasks.au.loss"
    )


def test_todays_names_are_told_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        read("--cfg", written(tmp_path, TODAY), "--tasks.va.weight=0.5")
    assert not caplog.records


def test_a_space_may_have_older_names(tmp_path: Path) -> None:
    path = written(tmp_path, {"loss.balance": {"low": 0.0, "high": 1.0}})
    assert [one.key for one in read_space(path, TrainSettings())] == ["tasks.expr.balance"]
