"""The tables of the simulated benchmark: scores, streams, labels.

Benchmark, scores > `page` > Markdown.
"""

from collections.abc import Iterator, Sequence
from datetime import date

from experiments.pages import table
from experiments.studies.simulated_benchmark.scores import Row

SCORES = ("CCC_V", "CCC_A", "EXPR", "AU", "P")
BOTH = "ceiling, visual + audio"
Cells = dict[str, object]


def page(rows: Sequence[Row], **settings: object) -> str:
    """The scores as Markdown.

    Args:
        rows: Ceilings and everything else.
        settings: `options` of the command line, `labels` (where those of VA are from), `seed` of
            the benchmark, `epochs`, `scale` (share of the length of the files).
    """
    return _TEXT.format(
        day=date.today(),
        scores=table(_scores(rows)),
        **settings,
    )


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

What noise, lag and person's bias each stream has stands in
`experiments/studies/simulation/streams.py`, whose labels are drawn in `labels.py` and `states.py`.
Each task labels its own files and frames; how far the real sets overlap is an assumption.
"""
