"""Every shipped recipe on the demo corpus: trained, and scored on held-out people.

Data flow: demo corpus > tracks > each of configs/*.yaml trained > scores on the test part, whose
labels lie outside the corpus > a table.

    make demo-all        or        python -m experiments.demo.run_recipes

The corpus is synthetic and tiny: the table shows that every recipe works, not which is best.
"""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from experiments.demo.corpus import make_demo
from experiments.demo.run_demo import constant_scores, format_table, labelled
from features.cli.app import FAILED, OK, parse, run
from features.cli.default_corpus import DEMO_ROOT
from features.cli.wording import in_words
from features.encoders.registry import encoder_of
from features.errors import UserError
from features.extract import ExtractSettings, SourceSettings, extract
from features.store.track_store import TrackStore
from fusion.abaw.reading.annotations import read_truth
from fusion.evaluation.checkpoint_scores import score_clips
from fusion.inference.checkpoint import load_checkpoint
from fusion.training.config import TrainSettings
from fusion.training.stages import train

CONFIGS = Path(__file__).parents[2] / "configs"


@dataclass
class RunRecipesSettings:
    """Settings of the round.

    Args:
        root: Folder of the corpus.
        out: Folder of the runs.
        recipes: Names of recipes in configs.
        epochs: Most epochs of each stage; 0: as the recipes say.
        fresh: Train anew what was trained before.
    """

    root: Path = DEMO_ROOT
    out: Path = Path("runs/demo-all")
    recipes: list[str] = field(
        default_factory=lambda: ["mtl", "pasn", "progressive", "distill", "fpn"]
    )
    epochs: int = 0
    fresh: bool = False


def command(settings: RunRecipesSettings) -> int:
    """Trains and scores each recipe, and prints the table."""
    recipes = {name: recipe_settings(name, settings) for name in settings.recipes}
    demo = make_demo(settings.root)
    streams = {stream for recipe in recipes.values() for stream in recipe.data.streams}
    encoders = sorted({encoder_of(stream) for stream in streams})
    summary = extract(ExtractSettings(data=SourceSettings(root=demo.root), encoders=encoders))
    print(summary)
    store, truth = TrackStore(summary.store), read_truth(demo.truth)
    rows = {"constant": constant_scores(labelled(demo.root, "train"), truth)}
    seconds = {}
    for name, recipe in recipes.items():
        print(f"\n== {name}", flush=True)
        began = time.perf_counter()
        best = train(recipe)
        seconds[name] = time.perf_counter() - began
        rows[name] = score_clips(load_checkpoint(best), store, truth)[0].scores()
    print("\nHeld-out people (test part, labels outside the corpus):\n")
    print(format_table(rows))
    print(
        "\ntraining: " + ", ".join(f"{name} {in_words(value)}" for name, value in seconds.items())
    )
    return OK if not summary.failures else FAILED


def recipe_settings(name: str, settings: RunRecipesSettings) -> TrainSettings:
    """A shipped recipe as it is, in the folder of this round."""
    path = CONFIGS / f"{name}.yaml"
    if not path.is_file():
        raise UserError(f"--recipes: no {path.name} in configs")
    recipe = parse(TrainSettings, prog="", description="", argv=["--cfg", str(path)])
    return replace(
        recipe,
        runs=settings.out,
        data=replace(recipe.data, root=settings.root),
        epochs=settings.epochs or recipe.epochs,
        fresh=settings.fresh,
    )


if __name__ == "__main__":
    run(
        RunRecipesSettings,
        command,
        prog="experiments.demo.run_recipes",
        description=__doc__.split("\n")[0],
    )
