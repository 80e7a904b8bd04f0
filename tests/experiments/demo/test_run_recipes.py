"""Every shipped recipe on a very small corpus."""

from functools import partial
from pathlib import Path

import pytest

from experiments.demo import run_recipes
from experiments.demo.corpus import make_demo
from experiments.demo.run_recipes import RunRecipesSettings
from features.cli.app import OK
from features.errors import UserError


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::fusion.metrics.official.UndefinedScore"
)  # three people are few
def test_the_round_ends_with_a_row_for_each_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_recipes, "make_demo", partial(make_demo, seconds=1, clips=3))
    settings = RunRecipesSettings(tmp_path / "demo", tmp_path / "out", ["fpn", "mtl"], epochs=1)
    assert run_recipes.command(settings) == OK
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [line.split()[1] for line in table] == ["model", "constant", "fpn", "mtl"]
    assert (tmp_path / "out/fpn/student/best.ckpt").is_file()
    assert (tmp_path / "demo/tracks/pyramid.1").is_dir()


def test_an_unknown_recipe_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no mlt\.yaml in configs"):
        run_recipes.command(RunRecipesSettings(tmp_path / "demo", recipes=["mlt"]))
    assert not (tmp_path / "demo").exists()
