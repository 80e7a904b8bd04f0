"""Which idea helps where: each system against itself without its idea, and against plain MTL.

    python -m experiments.studies.systems.ablation
    python -m experiments.studies.systems.ablation --full true --page ablation.md

Data flow: simulated benchmark (affwild2_sim) > corpora with 0, 50 and 90 % of the labels of each
task removed > every variant trained with every seed > official scores on the validation people
> paired differences with 95 % intervals > tables.

The last epoch counts, so nothing is chosen on what is scored. A finished run is found again, a
killed one goes on.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from experiments.pages import table as markdown
from experiments.pages import write_page
from experiments.studies.simulated_benchmark.benchmark import Benchmark, make_benchmark
from experiments.studies.systems.ablation_variants import VARIANTS, Variant
from features.cli.app import OK, parse, run, updated
from features.cli.progress import ProgressReport
from features.errors import UserError
from features.store.atomic_file import write_atomically
from fusion.training.config import TrainSettings
from fusion.training.stages import train
from fusion.training.validation import score_held_out

CONFIGS = Path(__file__).parents[3] / "configs"
SCORES = ("CCC_V", "CCC_A", "EXPR", "AU", "P")
TABLE = "scores.csv"
LABELS = "annotations"
SMALL: dict[str, Any] = {
    "data": {"window": 100, "stride": 67, "batch": 16},
    "model": {"dim": 64, "stream_dim": 32},
    "optimizer": {"lr": 0.002},
}
"""Windows, model and learning rate of a quick run; with `--full` they are the recipes' own."""


REDUCED = """Recipes are cut to what their ideas need: progressive has the transformer as its only
temporal stage, distill has no recurrent stage (its teacher and student see a second of context,
`mtl` the whole window), compound expressions are left out. Without shared labels a video comes once
for each of its tasks, so an epoch has more steps. `lfan-like` has leader-follower attention over
TCNs and no temporal part."""


@dataclass
class AblationSettings:
    """Settings of the study.

    Args:
        out: Folder of the benchmark, its corpora and all runs.
        scale: Share of the real set's length that is simulated.
        epochs: Passes over the training windows, in every stage.
        removed: Shares of the training clips whose labels of a task are removed.
        seeds: Seeds of weights, order, and of the clips whose labels are removed.
        variants: Names of some of the variants; empty: all.
        full: The recipes' own windows, models and rates at a tenth of the real length, 30 epochs.
        page: Markdown file for the tables, besides the one in `out`.
    """

    out: Path = Path("runs/ablation")
    scale: float = 0.02
    epochs: int = 6
    removed: list[float] = field(default_factory=lambda: [0.0, 0.5, 0.9])
    seeds: list[int] = field(default_factory=lambda: [1, 2, 3, 4, 5])
    variants: list[str] = field(default_factory=list)
    full: bool = False
    page: Path | None = None


def command(settings: AblationSettings) -> int:
    """Trains what is not trained yet, and writes the tables."""
    if settings.full:
        settings = replace(settings, scale=0.1, epochs=30)
    chosen = chosen_variants(settings.variants)
    benchmark = make_benchmark(settings.out, settings.scale, levels=True, prior=True)
    jobs = [
        (variant, share, seed)
        for seed in settings.seeds
        for share in settings.removed
        for variant in chosen
    ]
    rows = []
    with ProgressReport("ablation", len(jobs)) as progress:
        for variant, share, seed in jobs:
            scores = scores_of(variant, share, seed, benchmark, settings)
            rows.append({"variant": variant.name, "removed": share, "seed": seed, **scores})
            progress.step(f"{variant.name}, {share:.0%} removed, seed {seed}")
    table = pd.DataFrame(rows)
    write_atomically(settings.out / TABLE, table.to_csv(index=False).encode())
    text = page(table, chosen, settings)
    write_page(text, settings.out / "ablation.md", settings.page)
    return OK


def chosen_variants(names: Sequence[str]) -> list[Variant]:
    """The variants of these names, all if there are none."""
    known = {variant.name: variant for variant in VARIANTS}
    for name in names:
        if name not in known:
            raise UserError(f"--variants: '{name}' is none of {'; '.join(known)}")
    return [known[name] for name in names or known]


def scores_of(
    variant: Variant, share: float, seed: int, benchmark: Benchmark, settings: AblationSettings
) -> dict[str, float]:
    """Official scores on the validation people, trained if they are not there."""
    recipe = recipe_of(variant, share, seed, benchmark, settings)
    path = recipe.runs / recipe.name / "scores.json"
    if not path.is_file():
        metrics = score_held_out(recipe, train(recipe))
        scores = {name: metrics.scores()[name] for name in SCORES}
        write_atomically(path, json.dumps(scores).encode())
    held: dict[str, float] = json.loads(path.read_text())
    return held


def recipe_of(
    variant: Variant, share: float, seed: int, benchmark: Benchmark, settings: AblationSettings
) -> TrainSettings:
    """All settings of one run."""
    argv = ["--cfg", str(CONFIGS / f"{variant.recipe}.yaml")]
    recipe = parse(TrainSettings, prog=variant.recipe, description="", argv=argv)
    recipe = replace(recipe, stages=[], answers={})
    corpus = with_labels_removed(benchmark.root, share, seed)
    common = {
        "name": f"{variant.name}/{share:g}-{seed}",
        "runs": settings.out / "runs",
        "seed": seed,
        "epochs": settings.epochs,
        "keep": "last",
        "data": {"root": corpus, "store": benchmark.store, "streams": variant.streams},
    }
    for changes in (common, {} if settings.full else SMALL, variant.changes):
        recipe = updated(recipe, changes, variant.name)
    return recipe


def with_labels_removed(root: Path, share: float, seed: int) -> Path:
    """A corpus like another, without the labels of a task for a share of its training clips.

    The clips are drawn for each task by itself; one of each task keeps its labels at least.

    Args:
        root: The corpus, left as it is.
        share: Of the clips of each task's training set.
        seed: Equal seeds remove the labels of the same clips, and more of them of a larger share.
    """
    out = root / "corpora" / f"{share:g}-{seed}"
    if out.is_dir():
        return out
    part = out.with_name(f"{out.name}.partial")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(root / LABELS, part / LABELS)
    for number, folder in enumerate(sorted((part / LABELS).glob("*/Train_Set"))):
        files = sorted(folder.glob("*.txt"))
        order = np.random.default_rng((seed, number)).permutation(len(files))
        for index in order[: min(round(share * len(files)), len(files) - 1)]:
            files[index].unlink()
    part.rename(out)
    return out


def page(table: pd.DataFrame, variants: Sequence[Variant], settings: AblationSettings) -> str:
    """All tables as Markdown."""
    options = " --full true" if settings.full else ""
    parts = [
        "# What each system's idea is worth",
        f"{date.today()}, `python -m experiments.studies.systems.ablation{options}`,"
        f" {len(settings.seeds)} seeds.",
        f"Simulated benchmark (affwild2-sim.md) at {settings.scale:g} of the real length,"
        f" {settings.epochs} epochs in every stage, the last epoch counts. Official scores on the"
        " validation people; labels are removed from that share of each task's training clips."
        " A recipe with several stages trains several times as long as plain MTL (`mtl`).",
        REDUCED,
        "## Scores: mean over seeds (standard deviation)",
        score_table(table, variants),
        "## Differences: paired by seed, mean and 95 % interval (t, over seeds)",
        "In bold what excludes 0.",
        difference_table(table, variants),
    ]
    return "\n\n".join(parts)


def score_table(table: pd.DataFrame, variants: Sequence[Variant]) -> str:
    """Rows: variants by removed share; columns: scores."""
    lines = []
    for variant in variants:
        for share, rows in table[table.variant == variant.name].groupby("removed"):
            cells = {s: f"{rows[s].mean():.3f} ({rows[s].std():.3f})" for s in SCORES}
            lines.append({"variant": variant.name, "labels removed": f"{share:.0%}", **cells})
    return markdown(lines)


def difference_table(table: pd.DataFrame, variants: Sequence[Variant]) -> str:
    """Rows: pairs of variants by removed share; columns: scores."""
    lines = []
    by_name: Mapping[str, pd.DataFrame] = {
        str(name): rows.set_index(["removed", "seed"])[list(SCORES)].sort_index()
        for name, rows in table.groupby("variant")
    }
    for variant in variants:
        for other in filter(by_name.__contains__, variant.against):
            gaps = by_name[variant.name] - by_name[other]
            for share, rows in gaps.groupby("removed"):
                cells = {score: _interval(rows[score].to_numpy()) for score in SCORES}
                name = f"{variant.name} minus {other}"
                lines.append({"difference": name, "labels removed": f"{share:.0%}", **cells})
    return markdown(lines)


def _interval(gaps: np.ndarray) -> str:
    """Mean and half width of the 95 % t interval, bold where it excludes 0."""
    mean = gaps.mean()
    if len(gaps) < 2:
        return f"{mean:+.3f}"
    half = stats.t.ppf(0.975, len(gaps) - 1) * gaps.std(ddof=1) / len(gaps) ** 0.5
    text = f"{mean:+.3f} ± {half:.3f}"
    return f"**{text}**" if abs(mean) > half else text


if __name__ == "__main__":
    run(
        AblationSettings,
        command,
        prog="experiments.studies.systems.ablation",
        description=__doc__.split("\n")[0],
    )
