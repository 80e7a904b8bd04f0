"""The tables of the simulated benchmark: scores, streams, labels.

Benchmark, scores > `page` > Markdown.
"""

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np

from experiments.studies.simulated_benchmark.benchmark import Benchmark
from experiments.studies.simulated_benchmark.scores import Row
from experiments.studies.simulation.affwild2_table import NO_LABEL, figures_table
from experiments.studies.simulation.labels import labelled
from experiments.studies.simulation.states import AU_SHARES, EXPR_COUNTS
from experiments.studies.simulation.streams import GROUPS, Stream, percept_of
from features.store.track_store import TrackStore
from fusion.tasks.labels import EXPRESSIONS, UNITS, Clip

SCORES = ("CCC_V", "CCC_A", "EXPR", "AU", "P")
BOTH = "ceiling, visual + audio"


def page(
    benchmark: Benchmark,
    ceilings: Sequence[Row],
    rows: Sequence[Row],
    *,
    options: str,
    labels: str,
    epochs: int,
    scale: float,
) -> str:
    """All tables as Markdown.

    Args:
        benchmark: What was made.
        ceilings: Of single streams and of sets of them.
        rows: Of everything else.
        options: Of the command line, with a space before each.
        labels: Where the VA labels are from.
        epochs: Of the training.
        scale: Share of the length of the files.
    """
    clips = benchmark.simulated.clips
    return _TEXT.format(
        day=date.today(),
        options=options,
        labels=labels,
        scale=scale,
        epochs=epochs,
        seed=benchmark.seed,
        figures=_figures(clips, scale),
        sets="\n".join(_set_lines(clips)),
        classes="\n".join(_class_lines(clips)),
        streams="\n".join(_stream_lines(benchmark, ceilings)),
        scores="\n".join(_score_lines([*ceilings, *rows])),
    )


def _figures(clips: Sequence[Clip], scale: float) -> str:
    tracks: dict[str, list[np.ndarray]] = {"train": [], "validation": []}
    for clip in filter(lambda clip: labelled(clip, "VA"), clips):
        seen = clip.labels.va_mask[:, None]
        tracks[clip.split].append(np.where(seen, clip.labels.va.astype(float), NO_LABEL))
    return figures_table(tracks, scale).replace("| imitation |", "| files used here |")


def _set_lines(clips: Sequence[Clip]) -> Iterator[str]:
    """Files and labelled frames of each task, and how many carry all three."""
    for split in ("train", "validation"):
        of = [clip for clip in clips if clip.split == split]
        masks = [[c.labels.va_mask, c.labels.expr_mask, c.labels.au_mask.any(axis=1)] for c in of]
        files = np.array([[mask.any() for mask in each] for each in masks])
        frames = np.array([[mask.sum() for mask in each] for each in masks]).sum(axis=0)
        shared = sum(int(np.logical_and.reduce(each).sum()) for each in masks)
        cells = [f"{n} files, {f:,} frames" for n, f in zip(files.sum(0), frames, strict=True)]
        yield f"| {split} | {len(of)} | {' | '.join(cells)} | {shared:,} |"


def _class_lines(clips: Sequence[Clip]) -> Iterator[str]:
    """Share of the labelled frames of each class, per cent, and the share aimed at."""
    shares = []
    for split in ("train", "validation"):
        of = [clip.labels for clip in clips if clip.split == split]
        expr = np.concatenate([one.expr[one.expr_mask] for one in of])
        units = sum(((one.au > 0.5) & one.au_mask).sum(axis=0) for one in of)
        seen = sum(one.au_mask.sum(axis=0) for one in of)
        counts = np.bincount(expr, minlength=len(EXPRESSIONS))
        both = [counts / max(len(expr), 1), units / np.maximum(seen, 1)]
        shares.append(np.concatenate(both))
    aims = np.concatenate([EXPR_COUNTS / EXPR_COUNTS.sum(), AU_SHARES])
    for name, *three in zip((*EXPRESSIONS, *UNITS), *shares, aims, strict=True):
        yield f"| {name} | {' | '.join(f'{100 * share:.1f}' for share in three)} |"


def _stream_lines(benchmark: Benchmark, ceilings: Sequence[Row]) -> Iterator[str]:
    """What each stream is like, and the CCC that it allows alone."""
    states = list(benchmark.simulated.states.values())
    percepts = np.concatenate(
        [percept_of(state) for state in states[:: max(len(states) // 100, 1)]]
    )
    alone = {row.name.removeprefix("ceiling, "): row.scores for row in ceilings}
    for stream in benchmark.streams:
        ratios = [_ratio(percepts[:, part], stream, i) for i, part in enumerate(GROUPS.values())]
        ccc = alone.get(stream.name)
        allowed = f"{ccc['CCC_V']:.3f}, {ccc['CCC_A']:.3f}" if ccc else "-"
        clock = f"{stream.rate:g} a second" if stream.rate else "frames"
        numbers = [", ".join(f"{x:g}" for x in three) for three in (stream.noise, stream.bias)]
        levels = ", ".join(f"{ratio:.1f}" for ratio in ratios)
        yield (
            f"| {stream.name} | {stream.dim} | {clock} | {stream.lag:g} | {stream.memory:g} |"
            f" {' | '.join(numbers)} | {levels} | {_share_valid(benchmark, stream):.1%} |"
            f" {allowed} |"
        )


def _ratio(percepts: np.ndarray, stream: Stream, group: int) -> float:
    """Signal to noise and bias in dB, of one token: mean variance of a group of dimensions."""
    power = stream.noise[group] ** 2 + stream.bias[group] ** 2
    return float(10 * np.log10(percepts.var(axis=0).mean() / power))


def _share_valid(benchmark: Benchmark, stream: Stream) -> float:
    store = TrackStore(benchmark.store)
    valid = [store.read(stream.name, name).valid for name in store.ids(stream.name)]
    return float(np.concatenate(valid).mean())


def _score_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Scores with intervals, and the share of the ceiling's P."""
    best = next(row.scores["P"] for row in rows if row.name == BOTH)
    for row in rows:
        cells = [f"{row.scores[name]:.3f}{_interval(row, name)}" for name in SCORES]
        yield f"| {row.name} | {' | '.join(cells)} | {row.scores['P'] / best:.0%} |"


def _interval(row: Row, name: str) -> str:
    if name not in row.intervals:
        return ""
    return f" ({row.intervals[name].low:.3f} to {row.intervals[name].high:.3f})"


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

| system | CCC V | CCC A | EXPR F1 | AU F1 | P | share |
|---|---|---|---|---|---|---|
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

| stream | dimensions | clock | lag, s | memory, s | noise | bias | SNR, dB | valid | CCC V, A |
|---|---|---|---|---|---|---|---|---|---|
{streams}

## Labels of the tasks

Each task labels its own files and frames. Overlap of the sets is an assumption; sizes are real.

| split | files | VA | EXPR | AU | frames with all three |
|---|---|---|---|---|---|
{sets}

Share of the labelled frames, %. Aimed at: for EXPR the training counts of the sixth challenge; for
AU frequencies from general knowledge, not checked in a source. Expressions and units are drawn to
meet them over the training states on average; what is drawn of short files strays from that, and
validation states differ.

| class | train | validation | aimed at |
|---|---|---|---|
{classes}

## VA files beside the real ones

With a scale below 1 the files are cut short: rows and lengths are compared with so much of the
real ones, but more of the variance lies between short files, and less correlation is left at 30
frames when their own mean is removed; compare those two at scale 1.

{figures}
"""
