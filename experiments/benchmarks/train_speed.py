"""How fast training is: windows a second of our loop against its ceiling and against another model.

    python -m experiments.benchmarks.train_speed

Data flow: tracks of noise at 512 + 768 dimensions > rounds in which all contestants take turns in
one process > medians > experiments/results/train-speed.md.

A ratio compares contestants of one round, so that what else the machine does weighs on both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Literal

import torch

from experiments.benchmarks.train_speed_parts import (
    LeaderFollowerModel,
    Stepper,
    in_memory,
    make_data,
    our_loop,
    write_corpus,
)
from experiments.pages import table, write_page
from experiments.timing import Timing
from features.cli.app import OK, run
from features.cli.progress import ProgressReport
from features.errors import UserError
from fusion.model.affect import AffectModel
from fusion.model.settings import ModelSettings

RESULT = Path(__file__).parents[1] / "results/train-speed.md"
DIMS = {"visual": 512, "audio": 768}
OURS, CEILING, LFAN = "our loop", "model in memory", "LFAN-like in memory"


@dataclass
class Settings:
    """Settings of the measurement.

    Args:
        rounds: Rounds in which the contestants take turns, at least 3.
        steps: Steps of our loop and of the model in memory in a round; the slower one takes a
            quarter.
        batch: Windows of a batch.
        threads: Of torch.
        clock: wall, or processor: the time of this process alone, for a machine that has other work
            to do; to be used with one thread, since threads that wait for each other count too.
        corpus: Frames of the corpus that the contestants train on.
        work: Folder for the tracks, which are deleted afterwards; None: the system's.
        result: File to write.
    """

    rounds: int = 5
    steps: int = 24
    batch: int = 16
    threads: int = 2
    clock: Literal["wall", "processor"] = "wall"
    corpus: int = 120_000
    work: Path | None = None
    result: Path = RESULT


def command(settings: Settings) -> int:
    """Measures and writes the page."""
    if settings.rounds < 3:
        raise UserError(f"--rounds must be at least 3: {settings.rounds}")
    torch.set_num_threads(settings.threads)
    rounds = []
    with (
        TemporaryDirectory(dir=settings.work) as folder,
        ProgressReport("rounds", settings.rounds) as progress,
    ):
        for rates in take_turns(settings, Path(folder)):
            rounds.append(rates)
            progress.step(" ".join(f"{rate:.0f}" for rate in rates.values()))
    write_page(page(settings, rounds), settings.result)
    return OK


def take_turns(settings: Settings, folder: Path) -> Iterator[dict[str, float]]:
    """Windows a second of each contestant, round after round; a first turn warms each up."""

    def rate(timing: Timing) -> float:
        wall = settings.clock == "wall"
        return timing.amount / (timing.seconds if wall else timing.processor)

    torch.manual_seed(1)
    data = make_data(*write_corpus(folder / "tracks", settings.corpus, DIMS), DIMS, settings.batch)
    data.setup("fit")
    memory, steps = in_memory(data, 4), settings.steps
    ceiling, other = Stepper(AffectModel(ModelSettings(), DIMS)), Stepper(LeaderFollowerModel(DIMS))
    for model in (ceiling, other):
        model.steps(memory, 1)
    for number in range(settings.rounds):
        before = rate(ceiling.steps(memory, steps))
        ours = rate(our_loop(data, folder / f"run{number}", 2, steps))
        after = rate(ceiling.steps(memory, steps))
        lfan = rate(other.steps(memory, max(steps // 4, 1)))
        yield {OURS: ours, CEILING: 2 / (1 / before + 1 / after), LFAN: lfan}


def page(settings: Settings, rounds: Sequence[dict[str, float]]) -> str:
    """The page of results."""
    rates = [
        {"windows a second": name, **_spread([one[name] for one in rounds], 1)}
        for name in rounds[0]
    ]
    ratios = []
    for text, over, least in (
        ("our loop / the same model in memory", CEILING, 0.95),
        ("our loop / LFAN-like model in memory", LFAN, 5.0),
    ):
        each = [one[OURS] / one[over] for one in rounds]
        met = "yes" if median(each) >= least else "no"
        row = {"ratio": text, **_spread(each, 3), "target": f"at least {least:g}", "met": met}
        ratios.append(row)
    return _TEXT.format(
        day=date.today(),
        options=_changed(settings),
        rates=table(rates),
        ratios=table(ratios),
        **vars(settings),
    )


def _spread(values: Sequence[float], digits: int) -> dict[str, str]:
    return {
        "median": f"{median(values):.{digits}f}",
        "lowest to highest": f"{min(values):.{digits}f} to {max(values):.{digits}f}",
    }


def _changed(settings: Settings) -> str:
    """Options that are other than the defaults and bear on the figures."""
    default = vars(Settings())
    changed = {n: v for n, v in vars(settings).items() if v != default[n]}
    return "".join(f" --{n} {v}" for n, v in changed.items() if n not in ("work", "result"))


_TEXT = """# Speed of training

{day}, 2 cores of a shared machine, torch with {threads} of them, {clock} time:

    python -m experiments.benchmarks.train_speed{options}

300-frame windows, visual 512 + audio 768 dimensions (float16 tracks of noise), batch {batch}. In
{rounds} rounds the contestants take turns: {steps} steps of ours and of the model in memory, a
quarter as many of the other. Our loop is what `fusion.train` runs with the settings of
`configs/mtl.yaml`: Lightning's Trainer over AffectDataModule, logging and gradient clipping
included, validation and checkpoints not. The model in memory has the same model, loss and optimizer
on batches loaded before, measured before and after our loop in each round. Other work on the
machine slows all of them: the ratios, each taken within a round, are what counts.

{rates}

{ratios}

The LFAN-like model is a stand-in of LFAN's size and shape (TCN of 256, 256, 128, 128 channels a
stream, kernel 5, at every frame; leader-follower attention; 4.9 million parameters) on batches in
memory. LFAN's own figures on two idle cores are 16.2 windows a second with its loop and 18.7 with
tensors in memory, a share of .87.
"""

if __name__ == "__main__":
    run(
        Settings,
        command,
        prog="experiments.benchmarks.train_speed",
        description=__doc__.split("\n")[0],
    )
