"""A benchmark at Aff-Wild2's size and shape: labels, simulated streams, ceiling and scores.

    python -m experiments.studies.simulated_benchmark.affwild2_sim
    python -m experiments.studies.simulated_benchmark.affwild2_sim \
        --annotations ROOT --out runs/real-labels
    python -m experiments.studies.simulated_benchmark.affwild2_sim \
        --recipes '[configs/mtl.yaml, configs/pasn.yaml]'

Data flow: VA annotations, the user's or imitated > states and labels of all tasks
(sim_states) > tracks (sim_streams) > ceiling (sim_ceiling), baselines and recipes (sim_scores)
> tables in OUT and, if asked for, a page.

Whatever is finished in OUT, tracks, runs or predictions, is found again; a killed run goes on.
The user's annotations are only read.
"""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from experiments.pages import write_page
from experiments.studies.simulated_benchmark.benchmark import make_benchmark
from experiments.studies.simulated_benchmark.page import page
from experiments.studies.simulated_benchmark.scores import ceiling_rows, recipe_rows, simple_rows
from features.cli.app import OK, run
from features.errors import UserError

__all__ = ["Affwild2SimSettings", "command", "make_benchmark"]

TABLES = "affwild2-sim.md"
PLACES = ("annotations", "out", "page")


@dataclass
class Affwild2SimSettings:
    """Settings of the benchmark.

    Args:
        out: Folder of labels, tracks, runs and predictions; one for each benchmark.
        annotations: Folder of real annotations; EXPR and AU are drawn if it has VA only. None:
            an imitation.
        scale: Share of the length of every file that is kept.
        full: Whole files, whatever the scale.
        seed: Of labels and streams.
        recipes: Configurations to train.
        seeds: Seeds to train each with.
        epochs: Passes over the training windows.
        levels: Simulate the streams of a pyramid too: visual.1, visual.2, visual.3.
        prior: Simulate a stream of expressions that is poor in identity too: prior.
        page: Markdown file for the tables, besides the one in `out`.
    """

    out: Path = Path("runs/affwild2-sim")
    annotations: Path | None = None
    scale: float = 0.1
    full: bool = False
    seed: int = 0
    recipes: list[Path] = field(default_factory=lambda: [Path("configs/mtl.yaml")])
    seeds: list[int] = field(default_factory=lambda: [1, 2])
    epochs: int = 12
    levels: bool = False
    prior: bool = False
    page: Path | None = None


def command(settings: Affwild2SimSettings) -> int:
    """Makes the benchmark, trains, scores, and writes the tables."""
    for recipe in settings.recipes:
        if not recipe.is_file():
            raise UserError(f"{recipe}: no such recipe; those of the project lie in configs")
    scale = 1.0 if settings.full else settings.scale
    benchmark = make_benchmark(
        settings.out,
        scale,
        settings.seed,
        settings.annotations,
        levels=settings.levels,
        prior=settings.prior,
    )
    rows = [*ceiling_rows(benchmark), *simple_rows(benchmark)]
    rows += recipe_rows(benchmark, settings.recipes, settings.seeds, settings.epochs)
    text = page(
        rows,
        seed=settings.seed,
        options=options_of(settings),
        labels="real VA annotations" if settings.annotations else "imitated VA annotations",
        epochs=settings.epochs,
        scale=scale,
    )
    write_page(text, settings.out / TABLES, settings.page)
    return OK


def options_of(settings: Affwild2SimSettings) -> str:
    """The options that are not the defaults; of folders only that they were given."""
    usual = vars(Affwild2SimSettings())
    changed = {name: value for name, value in vars(settings).items() if value != usual[name]}
    return "".join(
        f" --{name} {name.upper() if name in PLACES else shlex.quote(_shown(value))}"
        for name, value in changed.items()
    )


def _shown(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


if __name__ == "__main__":
    run(
        Affwild2SimSettings,
        command,
        prog="experiments.studies.simulated_benchmark.affwild2_sim",
        description=__doc__.split("\n")[0],
    )
