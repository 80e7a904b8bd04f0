"""The ablation: what is removed, what is compared, what its tables say, and that it goes on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.studies.simulated_benchmark.benchmark import Benchmark, make_benchmark
from experiments.studies.systems import ablation
from experiments.studies.systems.ablation import (
    SCORES,
    AblationSettings,
    chosen_variants,
    command,
    difference_table,
    recipe_of,
    score_table,
    with_labels_removed,
)
from experiments.studies.systems.ablation_variants import VARIANTS
from features.errors import UserError
from fusion.training.config import check_stages

TASKS = {
    "VA_Estimation_Challenge": "valence,arousal",
    "EXPR_Recognition_Challenge": "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other",
}


def write_va(root: Path) -> Path:
    """Eight clips of valence and arousal."""
    for name in range(8):
        split = "Validation_Set" if name > 5 else "Train_Set"
        phase = np.linspace(0, 5, 100) + name
        rows = [f"{np.sin(p):.3f},{np.cos(p):.3f}" for p in phase]
        path = root / "VA_Estimation_Challenge" / split / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["valence,arousal", *rows]) + "\n")
    return root


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    folder = tmp_path_factory.mktemp("ablation")
    return make_benchmark(
        folder / "out", 1.0, annotations=write_va(folder / "real"), levels=True, prior=True
    )


def test_labels_are_removed_from_a_share_of_the_training_clips_of_each_task(tmp_path: Path) -> None:
    for task in TASKS:
        for split, count in (("Train_Set", 20), ("Validation_Set", 3)):
            for number in range(count):
                path = tmp_path / "annotations" / task / split / f"{number}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(TASKS[task])
    left = {}
    for share in (0.0, 0.5, 0.9, 1.0):
        root = with_labels_removed(tmp_path, share, 1)
        for task in TASKS:
            files = (root / "annotations" / task / "Train_Set").glob("*.txt")
            left[task, share] = {path.name for path in files}
            assert len(left[task, share]) == max(round((1 - share) * 20), 1)
            assert len(list((root / "annotations" / task / "Validation_Set").glob("*"))) == 3
        assert with_labels_removed(tmp_path, share, 1) == root
    one, other = TASKS
    assert left[one, 0.9] < left[one, 0.5] < left[one, 0.0]
    assert left[one, 0.5] != left[other, 0.5]
    files = (with_labels_removed(tmp_path, 0.5, 2) / "annotations" / one / "Train_Set").glob("*")
    assert {path.name for path in files} != left[one, 0.5]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_is_a_recipe_that_makes_sense(variant, tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    stub = Benchmark(tmp_path, tmp_path / "tracks", (), None, 0)  # type: ignore[arg-type]
    recipe = recipe_of(variant, 0.5, 3, stub, AblationSettings(out=tmp_path))
    check_stages(recipe)
    assert recipe.keep == "last"
    assert recipe.data.streams == variant.streams
    assert set(variant.against) <= {one.name for one in VARIANTS}


def test_variants_differ_from_those_they_are_held_against(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    stub = Benchmark(tmp_path, tmp_path / "tracks", (), None, 0)  # type: ignore[arg-type]
    settings = AblationSettings(out=tmp_path)
    recipes = {v.name: recipe_of(v, 0.0, 1, stub, settings) for v in VARIANTS}
    assert recipes["pasn"].model.head == "streaming"
    assert recipes["pasn, parallel heads"].model.head == "parallel"
    assert recipes["pasn, parallel heads"].loss == recipes["pasn"].loss
    assert recipes["distill"].stages[1].teachers == ["teacher"]
    assert not recipes["distill, no teacher"].stages
    assert not recipes["distill, no shared labels"].data.share_labels
    assert recipes["fpn, no top-down path"].model.fusion_block.name == "concat"
    assert recipes["progressive"].stages[3].feeds == ["va", "expr", "au"]
    assert not recipes["progressive, joint from scratch"].stages[0].feeds


def scores(variant: str, seed: int, value: float) -> dict[str, object]:
    return {"variant": variant, "removed": 0.5, "seed": seed} | dict.fromkeys(SCORES, value)


def test_differences_are_paired_by_seed_with_a_t_interval() -> None:
    table = pd.DataFrame(
        [scores("mtl, prior", s, v) for s, v in ((1, 0.5), (2, 0.9), (3, 0.7))]
        + [scores("mtl", s, v) for s, v in ((3, 0.6), (2, 0.8), (1, 0.4))]
    )
    variants = chosen_variants(["mtl", "mtl, prior"])
    line = difference_table(table, variants).splitlines()[-1]
    assert line.startswith("| mtl, prior minus mtl | 50% | **+0.100 ± 0.000** |")
    table.loc[0, list(SCORES)] = 0.4  # differences 0, .1, .1: mean .067, sd .058, t(2) 4.303
    line = difference_table(table, variants).splitlines()[-1]
    assert line.startswith("| mtl, prior minus mtl | 50% | +0.067 ± 0.143 |")
    assert "| mtl | 50% | 0.600 (0.200) |" in score_table(table, variants)


def test_unknown_variants_are_refused() -> None:
    with pytest.raises(UserError, match="'mlt' is none of mtl; "):
        chosen_variants(["mlt"])


@pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore")  # two people are few
def test_a_study_is_trained_written_and_found_again(
    benchmark: Benchmark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "make_benchmark", lambda *_, **__: benchmark)
    settings = AblationSettings(
        out=benchmark.root,
        epochs=1,
        removed=[0.0, 0.5],
        seeds=[1],
        variants=["mtl", "distill", "distill, no teacher"],
    )
    assert command(settings) == 0
    table = pd.read_csv(benchmark.root / "scores.csv")
    assert len(table) == 6
    assert "| distill minus mtl | 50% |" in (benchmark.root / "ablation.md").read_text()

    def never(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(ablation, "train", never)
    assert command(settings) == 0
    assert pd.read_csv(benchmark.root / "scores.csv").equals(table)
