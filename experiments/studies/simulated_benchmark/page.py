"""The tables of the simulated benchmark: scores, streams, labels.

Benchmark, scores > `page` > Markdown.
"""

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np

from experiments.pages import table
from experiments.studies.simulated_benchmark.benchmark import Benchmark
from experiments.studies.simulated_benchmark.scores import Row
from experiments.studies.simulation.streams import GROUPS, Stream, percept_of
from features.store.track_store import TrackStore
from fusion.tasks.labels import Clip

SCORES = ("CCC_V", "CCC_A", "EXPR", "AU", "P")
BOTH = "ceiling, visual + audio"
Cells = dict[str, object]


def page(
    benchmark: Benchmark, ceilings: Sequence[Row], rows: Sequence[Row], **settings: object
) -> str:
    """All tables as Markdown.

    Args:
        benchmark: What was made.
        ceilings: Of single streams and of sets of them.
        rows: Of everything else.
        settings: `options` of the command line, `labels` (where those of VA are from), `epochs`,
            `scale` (share of the length of the files).
    """
    return _TEXT.format(
        day=date.today(),
        seed=benchmark.seed,
        sets=table(_sets(benchmark.simulated.clips)),
        streams=table(_streams(benchmark, ceilings)),
        scores=table(_scores([*ceilings, *rows])),
        **settings,
    )


def _sets(clips: Sequence[Clip]) -> Iterator[Cells]:
    """Files and labelled frames of each task, and how many carry all three."""
    for split in ("train", "validation"):
        of = [clip for clip in clips if clip.split == split]
        masks = [[c.labels.va_mask, c.labels.expr_mask, c.labels.au_mask.any(axis=1)] for c in of]
        files = np.array([[mask.any() for mask in each] for each in masks]).sum(axis=0)
        frames = np.array([[mask.sum() for mask in each] for each in masks]).sum(axis=0)
        shared = sum(int(np.logical_and.reduce(each).sum()) for each in masks)
        cells: Cells = {"split": split, "files": str(len(of))}
        for task, few, many in zip(("VA", "EXPR", "AU"), files, frames, strict=True):
            cells[task] = f"{few} files, {many:,} frames"
        yield cells | {"frames with all three": f"{shared:,}"}


def _streams(benchmark: Benchmark, ceilings: Sequence[Row]) -> Iterator[Cells]:
    """What each stream is like, and the CCC that it allows alone."""
    states = list(benchmark.simulated.states.values())
    percepts = np.concatenate([percept_of(one) for one in states[:: max(len(states) // 100, 1)]])
    alone = {row.name.removeprefix("ceiling, "): row.scores for row in ceilings}
    store = TrackStore(benchmark.store)
    for stream in benchmark.streams:
        ratios = [_ratio(percepts[:, part], stream, i) for i, part in enumerate(GROUPS.values())]
        ccc = alone.get(stream.name)
        valid = [store.read(stream.name, name).valid for name in store.ids(stream.name)]
        yield {
            "stream": stream.name,
            "dimensions": str(stream.dim),
            "clock": f"{stream.rate:g} a second" if stream.rate else "frames",
            "lag, s": f"{stream.lag:g}",
            "memory, s": f"{stream.memory:g}",
            "noise": ", ".join(f"{x:g}" for x in stream.noise),
            "bias": ", ".join(f"{x:g}" for x in stream.bias),
            "SNR, dB": ", ".join(f"{ratio:.1f}" for ratio in ratios),
            "valid": f"{np.concatenate(valid).mean():.1%}",
            "CCC V, A": f"{ccc['CCC_V']:.3f}, {ccc['CCC_A']:.3f}" if ccc else "-",
        }


def _ratio(percepts: np.ndarray, stream: Stream, group: int) -> float:
    """Signal to noise and bias in dB, of one token: mean variance of a group of dimensions."""
    power = stream.noise[group] ** 2 + stream.bias[group] ** 2
    return float(10 * np.log10(percepts.var(axis=0).mean() / power))


def _scores(rows: Sequence[Row]) -> Iterator[Cells]:
    """Scores with intervals, and the share of the ceiling's P."""
    best = next(row.scores["P"] for row in rows if row.name == BOTH)
    for row in rows:
        cells: Cells = {"system": row.name}
        for name in SCORES:
            cells[name] = f"{row.scores[name]:.3f}"
            if interval := row.intervals.get(name):
                cells[name] = f"{cells[name]} ({interval.low:.3f} to {interval.high:.3f})"
        yield cells | {"share": f"{row.scores['P'] / best:.0%}"}


_TEXT = """# A benchmark at Aff-Wild2's size and shape

Written by `python -m experiments.studies.simulated_benchmark.affwild2_sim{options}` on {day}, 2
cores of a shared machine.
Labels: {labels}, {scale:g} of the length of every file, seed {seed}. Nothing here is a result on
Aff-Wild2: the streams are simulated, and so are EXPR and AU unless real ones were given.

## Scores on validation

Official metrics, pooled over the validation frames; in brackets 95 % intervals, bootstrap over
videos. P = mean CCC + EXPR macro-F1 + AU mean F1. Recipes were trained for {epochs} epochs, of
which the one with the best validation P is scored. Share: of the P of the ceiling of visual and
audio together.

{scores}

A recipe decides units at .5; refitted: with thresholds of units and weights of classes chosen on
training frames, as those of the ceilings and the linear model are. The constant has all units on.

The ceiling is a smoother that knows embeddings, lags, noise and the conditional model, and looks
at past and future; what it knows and where it is not exact stands in
`experiments/studies/simulated_benchmark/ceiling.py`.
A class that the validation frames hardly show has F1 near 0 for every system.

## Streams

Deviations of noise (AR(1), time constant `memory`) and of the person's bias are in units of the
percept (valence and arousal standardised, classes 0 or 1), for VA, EXPR, AU. SNR: of one token,
variance of the percept over that of noise and bias, in dB. CCC: what the ceiling reaches with this
stream alone.

{streams}

## Labels of the tasks

Each task labels its own files and frames. Overlap of the sets is an assumption; sizes are real.

{sets}

EXPR is drawn to meet the training counts of the sixth challenge on average, AU frequencies from
general knowledge.
"""
