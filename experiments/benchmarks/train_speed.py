"""How fast training is: windows a second of our loop against its ceiling and against others.

    python -m experiments.benchmarks.train_speed

Data flow: tracks of noise at 512 + 768 dimensions > rounds in which all contestants take turns in
one process > medians; corpora of three sizes > a new process each > seconds and memory
> experiments/results/train-speed.md.

A ratio compares contestants of one round, so that what else the machine does weighs on both.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Literal

import torch

from experiments.benchmarks.train_speed_parts import (
    Clock,
    LeaderFollowerModel,
    Stepper,
    in_memory,
    make_data,
    naive,
    our_loop,
    write_corpus,
)
from features.cli.app import OK, run
from features.cli.progress import ProgressReport
from features.errors import UserError
from features.store.feature_track import write_atomically
from fusion.model.affect import AffectModel
from fusion.model.settings import ModelSettings
from fusion.streams.normalization import fit_normalisers

RESULT = Path(__file__).parents[1] / "results/train-speed.md"
DIMS = {"visual": 512, "audio": 768}
SMALL_DIMS = {"visual": 128, "audio": 128}
"""Of the corpora of growing size: 3 million frames take 1.5 GB."""
OURS, CEILING, NAIVE, LFAN = "our loop", "model in memory", "whole tracks", "LFAN-like in memory"
SIZE_EPOCHS = 4
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "processor": time.process_time}


@dataclass
class Settings:
    """Settings of the measurement.

    Args:
        frames: Of the largest corpus; the others have a tenth and a hundredth; 0: no such part.
        rounds: Rounds in which the contestants take turns, at least 3.
        steps: Steps of our loop and of the model in memory in a round; the slower ones take a
            quarter.
        batch: Windows of a batch.
        threads: Of torch.
        clock: wall, or processor: the time of this process alone, for a machine that has other work
            to do; to be used with one thread, since threads that wait for each other count too.
        corpus: Frames of the corpus that the contestants train on.
        work: Folder for the tracks, which are deleted afterwards; None: the system's.
        result: File to write.
        measure: Used by the command itself: frames of the corpus to measure in this process.
    """

    frames: int = 3_000_000
    rounds: int = 5
    steps: int = 24
    batch: int = 16
    threads: int = 2
    clock: Literal["wall", "processor"] = "wall"
    corpus: int = 120_000
    work: Path | None = None
    result: Path = RESULT
    measure: int = 0


@dataclass
class Size:
    """What a corpus of some size takes.

    Attributes:
        frames: Its size.
        opened: Seconds to check, open and cut all clips, and to fit the normalisers.
        fitted: Seconds of these that the normalisers take.
        shuffled: Seconds to put an epoch's windows in order.
        rate: Windows a second of our loop, median over the epochs.
        resident: MiB at the end of each epoch.
    """

    frames: int
    opened: float = 0.0
    fitted: float = 0.0
    shuffled: float = 0.0
    rate: float = 0.0
    resident: list[float] = field(default_factory=list)


def command(settings: Settings) -> int:
    """Measures and writes the page, or measures one size as a child of that."""
    if settings.rounds < 3:
        raise UserError(f"--rounds must be at least 3: {settings.rounds}")
    torch.set_num_threads(settings.threads)
    with TemporaryDirectory(dir=settings.work) as folder:
        if settings.measure:
            print(json.dumps(vars(measure_size(settings, Path(folder)))))
            return OK
        sizes = [settings.frames // part for part in (100, 10, 1)] if settings.frames else []
        with ProgressReport("rounds and sizes", settings.rounds + len(sizes)) as progress:
            rounds = []
            for rates in take_turns(settings, Path(folder)):
                rounds.append(rates)
                progress.step(" ".join(f"{rate:.0f}" for rate in rates.values()))
            measured = []
            for frames in sizes:
                measured.append(_in_new_process(settings, frames))
                progress.step(f"{frames} frames")
    text = page(settings, rounds, measured)
    write_atomically(settings.result, text.encode())
    print(text)
    return OK


def take_turns(settings: Settings, folder: Path) -> Iterator[dict[str, float]]:
    """Windows a second of each contestant, round after round; a first turn warms each up."""
    torch.manual_seed(1)
    data = make_data(*write_corpus(folder / "tracks", settings.corpus, DIMS), DIMS, settings.batch)
    data.setup("fit")
    memory, whole = in_memory(data, 4), naive(data)
    clock, few = CLOCKS[settings.clock], max(settings.steps // 4, 1)
    ceiling, wasteful = (Stepper(AffectModel(ModelSettings(), DIMS), clock) for _ in range(2))
    other = Stepper(LeaderFollowerModel(DIMS), clock)
    for model in (ceiling, other, wasteful):
        model.rate(memory, 1)
    for number in range(settings.rounds):
        before = ceiling.rate(memory, settings.steps)
        ours = our_loop(data, folder / f"run{number}", 2, settings.steps, clock).rates[-1]
        after = ceiling.rate(memory, settings.steps)
        yield {
            OURS: ours,
            CEILING: 2 / (1 / before + 1 / after),
            NAIVE: wasteful.rate(whole, few),
            LFAN: other.rate(memory, few),
        }


def measure_size(settings: Settings, folder: Path) -> Size:
    """Opens a corpus of `settings.measure` frames and trains on it a little."""
    size, clock = Size(settings.measure), CLOCKS[settings.clock]
    clips, store = write_corpus(folder / "tracks", size.frames, SMALL_DIMS)
    start = clock()
    data = make_data(clips, store, SMALL_DIMS, settings.batch)
    data.setup("fit")
    size.opened = clock() - start
    dataset, start = data.datasets["train"], clock()
    fit_normalisers(dataset.streams, data.specs)
    size.fitted, start = clock() - start, clock()
    list(data.train_dataloader().sampler)
    size.shuffled = clock() - start
    watch = our_loop(data, folder / "run", SIZE_EPOCHS, settings.steps, clock)
    size.rate, size.resident = median(watch.rates[1:]), watch.resident
    return size


def _in_new_process(settings: Settings, frames: int) -> Size:
    """One size; UserError if its process fails, whose own words come before."""
    names = ("steps", "batch", "threads", "clock", *(["work"] if settings.work else []))
    arguments = [f"--{name}={getattr(settings, name)}" for name in names]
    arguments.append(f"--measure={frames}")
    child = [sys.executable, "-m", "experiments.benchmarks.train_speed", *arguments]
    made = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=False)
    if made.returncode:
        raise UserError(f"a corpus of {frames} frames could not be measured; see the lines above")
    return Size(**json.loads(made.stdout.splitlines()[-1]))


def page(settings: Settings, rounds: Sequence[dict[str, float]], sizes: Sequence[Size]) -> str:
    """The page of results."""
    rates = "\n".join(
        f"| {name} | {median(each):.1f} | {min(each):.1f} to {max(each):.1f} |"
        for name in rounds[0]
        for each in [[one[name] for one in rounds]]
    )
    ratios = "\n".join(
        f"| {text} | {median(each):.{digits}f} | {min(each):.{digits}f} to {max(each):.{digits}f}"
        f" | {target} | {'yes' if median(each) >= least else 'no'} |"
        for text, over, target, least, digits in (
            ("our loop / the same model in memory", CEILING, "at least .95", 0.95, 3),
            ("our loop / LFAN-like model in memory", LFAN, "at least 5", 5.0, 2),
            ("our loop / whole tracks read for each window", NAIVE, "above 1", 1.0, 2),
        )
        for each in [[one[OURS] / one[over] for one in rounds]]
    )
    command = f"python -m experiments.benchmarks.train_speed{_changed(settings)}"
    text = _TEXT.format(
        day=date.today(), command=command, rates=rates, ratios=ratios, **vars(settings)
    )
    return text + (_SIZES.format(rows="\n".join(map(_size_row, sizes))) if sizes else "")


def _changed(settings: Settings) -> str:
    """Options that are other than the defaults and bear on the figures."""
    default = Settings()
    names = ("frames", "rounds", "steps", "batch", "threads", "clock", "corpus")
    changed = [n for n in names if getattr(settings, n) != getattr(default, n)]
    return "".join(f" --{name} {getattr(settings, name)}" for name in changed)


def _size_row(size: Size) -> str:
    memory = ", ".join(f"{each:.0f}" for each in size.resident)
    return (
        f"| {size.frames:,} | {size.opened:.2f} | {size.fitted:.2f} | {1e3 * size.shuffled:.1f}"
        f" | {size.rate:.0f} | {memory} |"
    )


_TEXT = """# Speed of training

{day}, 2 cores of a shared machine, torch with {threads} of them, {clock} time:

    {command}

300-frame windows, visual 512 + audio 768 dimensions (float16 tracks of noise), batch {batch}. In
{rounds} rounds the contestants take turns: {steps} steps of ours and of the model in memory, a
quarter as many of the others. Our loop is what `fusion.train` runs with the settings of
`configs/mtl.yaml`: Lightning's Trainer over AffectDataModule, logging and gradient clipping
included, validation and checkpoints not. The model in memory has the same model, loss and optimizer
on batches loaded before, measured before and after our loop in each round. Other work on the
machine slows all of them: the ratios, each taken within a round, are what counts.

| windows a second | median | lowest to highest |
|---|---|---|
{rates}

| ratio | median | lowest to highest | target | met |
|---|---|---|---|---|
{ratios}

The LFAN-like model is a stand-in of LFAN's size and shape (TCN of 256, 256, 128, 128 channels a
stream, kernel 5, at every frame; leader-follower attention; 4.9 million parameters) on batches in
memory. LFAN's own figures on two idle cores are 16.2 windows a second with its loop and 18.7 with
tensors in memory, a share of .87.
"""

_SIZES = """
## Size of the corpus

Two streams of 128 dimensions, clips of 6,944 frames, of which four of five are trained on; a new
process for each size, files in the page cache. Seconds to set up (headers, clocks, windows,
normalisers), of which normalisers; milliseconds to shuffle an epoch; windows a second; MiB of the
process at the end of each epoch. Labels are kept in memory, 78 bytes a frame, features are not.

| frames | set up, s | of which normalisers, s | shuffle, ms | windows/s | MiB after each epoch |
|---|---|---|---|---|---|
{rows}
"""

if __name__ == "__main__":
    run(
        Settings,
        command,
        prog="experiments.benchmarks.train_speed",
        description=__doc__.split("\n")[0],
    )
