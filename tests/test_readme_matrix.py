"""README's sequence of commands on every kind of corpus: a covering set of the matrix.

All kinds with all recipes take half an hour: `python -m tests.readme_matrix`.
"""

from pathlib import Path

import pytest

from tests.readme_matrix import (
    RECIPES,
    MatrixSettings,
    Step,
    fault,
    prepare,
    run_cell,
)
from tests.readme_matrix_corpora import KINDS

FIRST = ("train", "tune", "evaluate")
WHOLE = {"table-au": "mtl", "abaw-mtl": "mtl", "ravdess": "mtl"}
"""Kinds that go through all commands."""
SHORT = {
    "table-va": "distill",
    "table-expr": "pasn",
    "table-va+expr": "progressive",
    "table-expr+au": "fpn",
    "table-time": "mtl",
    "emodb": "mtl",
    "afew-va": "pasn",
    "abaw-single": "pasn",
}
"""Kinds that go as far as evaluation, with recipes that have to do without some task or other."""


def cell(kind: str, recipe: str, out: Path, only: tuple[str, ...] = ()) -> list[Step]:
    settings = MatrixSettings(made_up=True, out=out)
    root, _ = prepare(KINDS[kind], settings)
    return run_cell(KINDS[kind], recipe, root, settings, only)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "recipe"), WHOLE.items())
def test_the_sequence_of_the_readme_ends_well(kind: str, recipe: str, tmp_path: Path) -> None:
    steps = cell(kind, recipe, tmp_path)
    assert not fault(KINDS[kind], recipe, steps), steps[-1].text
    assert [step.name for step in steps] == [
        "train", "tune", "evaluate", "folds", "ensemble", "predict", "submit", "report",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "recipe"), SHORT.items())
def test_recipes_train_what_has_labels(kind: str, recipe: str, tmp_path: Path) -> None:
    steps = cell(kind, recipe, tmp_path, FIRST)
    assert not fault(KINDS[kind], recipe, steps), steps[-1].text
    assert len(steps) == len(FIRST)
    assert set(SHORT.values()) == set(RECIPES)


def test_a_recipe_says_at_once_which_streams_a_corpus_lacks(tmp_path: Path) -> None:
    steps = cell("emodb", "fpn", tmp_path)
    assert not fault(KINDS["emodb"], "fpn", steps)
    assert "model.fusion.levels: no pyramid.1" in steps[0].last
    assert not list(tmp_path.glob("emodb/fpn/runs/*"))
    assert fault(KINDS["emodb"], "mtl", steps) == f"train ended with status 1: {steps[0].last}"


@pytest.mark.slow
def test_voices_alone_go_through_a_shell_from_extraction_to_scores(tmp_path: Path) -> None:
    settings = MatrixSettings(shell=True, out=tmp_path)
    kind = KINDS["emodb"]
    root, steps = prepare(kind, settings)
    assert steps[-1].status == 0, steps[-1].text
    steps = run_cell(kind, "mtl", root, settings, ("train", "evaluate", "predict"))
    assert not fault(kind, "mtl", steps), steps[-1].text
    assert "EXPR" in steps[1].text
    assert "40 frames, face in 0%" in steps[2].text  # 1.6 s, 25 a second
