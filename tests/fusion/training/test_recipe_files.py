"""The files of the shipped recipes: mtl is complete, the others hold only what differs from it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from features.cli.app import parse
from features.cli.config_files import BASE, read_config
from fusion.data.run_identity import plain
from fusion.training.config import RECIPES, TrainSettings
from fusion.training.run import described

REFERENCE = "mtl"
OTHERS = sorted(path.stem for path in RECIPES.glob("*.yaml") if path.stem != REFERENCE)
MOST = {"ravdess": 22}
"""Keys of a recipe that is no system but a data set, with its sizes; systems have at most 15."""


def loaded(name: str) -> TrainSettings:
    return parse(TrainSettings, prog="t", description="", argv=["--cfg", name])


def leaves(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys with their values."""
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def test_the_reference_names_every_setting_with_its_default() -> None:
    said = yaml.safe_load((RECIPES / f"{REFERENCE}.yaml").read_text())
    known = plain(TrainSettings())
    for section in ("data", "model", "loss", "optimizer"):
        assert set(said[section]) == set(known[section])
    assert set(said) == set(vars(TrainSettings()))
    read, usual = loaded(REFERENCE), TrainSettings()
    assert said["tasks"] == described(usual.made_tasks())
    assert read.made_tasks() == usual.made_tasks()
    assert replace(read, tasks=usual.tasks) == usual


@pytest.mark.parametrize("name", OTHERS)
def test_a_recipe_holds_only_what_differs_from_its_base(name: str) -> None:
    own = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    base = dict(leaves(read_config(own.pop(BASE), RECIPES)))
    keys = dict(leaves(own))
    assert [key for key, value in keys.items() if base.get(key) == value] == []
    own = [key for key in keys if not key.startswith("answers.")]
    assert 7 <= len(own) <= MOST.get(name, 15)
    assert loaded(name).name == name


@pytest.mark.parametrize("name", OTHERS)
def test_what_a_recipe_takes_from_its_base_is_part_of_what_a_run_is(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "mtl.yaml").write_text("base: mtl2.yaml\noptimizer: {warmup: 0.5}\n")
    (tmp_path / "mtl2.yaml").write_text((RECIPES / "mtl.yaml").read_text())
    (tmp_path / "own.yaml").write_text((RECIPES / f"{name}.yaml").read_text())
    changed = plain(loaded(str(tmp_path / "own.yaml")))
    assert changed != plain(loaded(name))
    assert changed["optimizer"]["warmup"] == 0.5
