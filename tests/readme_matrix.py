"""`python -m tests.readme_matrix`: README's sequence of commands for every kind of corpus.

Data flow: kinds x recipes > small corpora > check, extract, train, tune, evaluate, folds, ensemble,
predict, submit, report > lines that say how each ended.

    python -m tests.readme_matrix                          # all, in this process
    python -m tests.readme_matrix --shell true             # through a shell, as a user would
    python -m tests.readme_matrix --kinds [ravdess] --recipes [fpn]

Each command must end with status 0, or a recipe must say in one line what the corpus lacks. Two
epochs each; what is learnt is of no interest.
"""

import io
import os
import runpy
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from features.cli.app import FAILED, OK, run
from features.errors import UserError
from tests.readme_matrix_corpora import (
    KINDS,
    Kind,
    film,
    put_media,
    put_tracks,
    write_labels,
)

RECIPES = ("mtl", "pasn", "progressive", "distill", "fpn")
CONFIGS = Path(__file__).parents[1] / "configs"
ENCODERS = "[expression,pyramid,wav2vec2]"
SMALL = ("--model.dim", "16", "--model.stream_dim", "8")
"""For tracks that are made up."""
REFUSED = {("emodb", "fpn"): "pyramid.1"}
"""What has to be refused at once, and a word of the line that says so: voices have no pictures."""


@dataclass
class MatrixSettings:
    """Settings of the matrix.

    Args:
        kinds: Kinds of corpora; empty: all.
        recipes: Shipped recipes; empty: all.
        shell: Run each command in a process of its own.
        made_up: Take made-up tracks, and leave out check and extraction.
        out: Folder for corpora and runs.
    """

    kinds: list[str] = field(default_factory=list)
    recipes: list[str] = field(default_factory=list)
    shell: bool = False
    made_up: bool = False
    out: Path = Path("runs/readme_matrix")


@dataclass(frozen=True)
class Step:
    """A command that was run.

    Attributes:
        name: Of the step.
        status: Exit status; None: a traceback.
        seconds: How long it took.
        text: What it printed, on both streams.
    """

    name: str
    status: int | None
    seconds: float
    text: str

    @property
    def last(self) -> str:
        """Last line that it printed."""
        lines = self.text.strip().splitlines()
        return lines[-1] if lines else ""


def commands(kind: Kind, recipe: str, root: Path, made_up: bool) -> Iterator[tuple[str, list[str]]]:
    """Name, and module with arguments, of each command for one corpus and recipe."""
    data = ["--data.root", str(root)]
    fold = [] if kind.split else ["--data.fold", "0", "--data.folds", "2"]
    sound = ["--data.streams", "[wav2vec2]"] if kind.sound else []
    train = ["fusion.train", "--cfg", str(CONFIGS / f"{recipe}.yaml"), *data, "--epochs", "2"]
    train += [*sound, *(SMALL if made_up else ())]
    best = ["--checkpoint", f"runs/{recipe}/best.ckpt"]
    members = "[runs/folds/fold0/best.ckpt,runs/folds/fold1/best.ckpt]"
    task = kind.tasks[0]
    source = (
        ["--store", str(root / "tracks")] if made_up else ["--input", str(root / kind.files[-1])]
    )
    yield "train", [*train, *fold]
    yield "tune", ["fusion.tune", *best, *data]
    yield "evaluate", ["fusion.evaluate", *best, *data, "--out", "scores", "--draws", "50"]
    yield "folds", [*train, "--name", "folds", "--folds", "2"]
    yield "ensemble", ["fusion.ensemble", "--members", members, "--out", "joined", *data]
    yield "predict", ["fusion.predict", *best, *source, "--out", "predictions"]
    sample = ["--template", str(root.parent / f"{task}_sample.txt"), "--out", f"{task}.txt"]
    yield "submit", ["fusion.submit", "--challenge", task, *sample, *best, *data]
    yield "report", ["fusion.report", "--pred", "predictions", *data]


def prepare(kind: Kind, settings: MatrixSettings) -> tuple[Path, list[Step]]:
    """A corpus with its tracks; what check and extraction say of it."""
    root = settings.out.resolve() / kind.name / "corpus"
    if root.exists():
        raise UserError(f"{root} is there; remove it, or choose another --out")
    write_labels(root, kind)
    if settings.made_up:
        put_tracks(root, kind)
        return root, []
    put_media(root, kind, film(settings.out / "films"))
    extract = ["features.extract", "--data.root", str(root), "--encoders", ENCODERS]
    check = ["fusion.check", str(root)]
    steps = [
        call("check", check, root.parent, settings.shell),
        call("extract", [*extract, "--workers", "0"], root.parent, settings.shell),
    ]
    return root, steps


def run_cell(
    kind: Kind, recipe: str, root: Path, settings: MatrixSettings, only: Sequence[str] = ()
) -> list[Step]:
    """Commands of one recipe on one corpus, all or some of them, up to the first that fails."""
    folder = root.parent / recipe
    folder.mkdir(parents=True, exist_ok=True)
    steps = []
    for name, argv in commands(kind, recipe, root, settings.made_up):
        if only and name not in only:
            continue
        steps.append(call(name, argv, folder, settings.shell))
        if steps[-1].status != OK:
            break
    return steps


def call(name: str, argv: Sequence[str], folder: Path, shell: bool) -> Step:
    """Runs a module with its arguments in a folder."""
    start = time.perf_counter()
    status, text = _through_shell(argv, folder) if shell else _here(argv, folder)
    return Step(name, status, time.perf_counter() - start, text)


def _through_shell(argv: Sequence[str], folder: Path) -> tuple[int | None, str]:
    paths = os.pathsep.join(filter(None, [str(CONFIGS.parent), os.environ.get("PYTHONPATH")]))
    result = subprocess.run(
        [sys.executable, "-m", *argv],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    text = result.stdout + result.stderr
    return (None if "Traceback (most recent" in text else result.returncode), text


def _here(argv: Sequence[str], folder: Path) -> tuple[int | None, str]:
    """As `python -m`, in this process."""
    text = io.StringIO()
    status: int | None = OK
    here = (chdir(folder), patch.object(sys, "argv", list(argv)), warnings.catch_warnings())
    with here[0], here[1], here[2], redirect_stdout(text), redirect_stderr(text):
        try:
            warnings.filterwarnings("ignore", "'.*' found in sys.modules", RuntimeWarning)
            runpy.run_module(argv[0], run_name="__main__")
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else FAILED if stop.code else OK
            text.write("" if isinstance(stop.code, int | None) else f"{stop.code}\n")
        except Exception:  # what a user would see as a traceback is what is looked for
            status = None
            text.write(traceback.format_exc())
    return status, text.getvalue()


def fault(kind: Kind, recipe: str, steps: Sequence[Step]) -> str:
    """What is wrong with how a cell ended; empty if all is well."""
    word, last = REFUSED.get((kind.name, recipe)), steps[-1]
    if word:
        refused = last.name == "train" and last.status == FAILED and word in last.last
        return "" if refused else f"train should name {word}: {last.last}"
    if last.status != OK:
        how = "a traceback" if last.status is None else f"status {last.status}"
        return f"{last.name} ended with {how}: {last.last}"
    return ""


def command(settings: MatrixSettings) -> int:
    """Runs all cells and prints how each ended."""
    unknown = [k for k in settings.kinds if k not in KINDS]
    unknown += [recipe for recipe in settings.recipes if recipe not in RECIPES]
    if unknown:
        raise UserError(f"no kind or recipe '{unknown[0]}'; {', '.join([*KINDS, *RECIPES])}")
    bad = 0
    for kind in (KINDS[name] for name in settings.kinds or KINDS):
        root, steps = prepare(kind, settings)
        for step in steps:
            bad += step.status != OK
            print(f"{kind.name:16}{step.name:12} {step.seconds:6.1f} s  {step.status}  {step.last}")
        for recipe in settings.recipes or RECIPES:
            done = run_cell(kind, recipe, root, settings)
            wrong = fault(kind, recipe, done)
            bad += bool(wrong)
            seconds = sum(step.seconds for step in done)
            print(f"{kind.name:16}{recipe:12} {seconds:6.1f} s  {wrong or 'fine'}", flush=True)
            if wrong:
                print("\n".join(f"    {line}" for line in done[-1].text.splitlines()[-30:]))
    print(f"{bad} went wrong" if bad else "all fine")
    return FAILED if bad else OK


if __name__ == "__main__":
    run(
        MatrixSettings,
        command,
        prog="tests.readme_matrix",
        description=(__doc__ or "").split("\n")[0],
    )
