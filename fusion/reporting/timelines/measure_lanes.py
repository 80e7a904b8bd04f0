"""What measures tell of a person over time, as lanes of the timeline: lines, or a heat map of many.

Places in the picture, uncertainties and corrected columns have no lane of their own here.

Letters: F frames, C columns.
"""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes

from fusion.data.predictions import FramePredictions
from fusion.reporting.timelines.grouping import Groups
from fusion.reporting.timelines.lanes import ELEMENT, HEAT, LINE, PALETTE, draw_line, draw_strips
from fusion.tasks.measuring.measures import Measure

MANY = 5
"""Shares from which on they are a heat map."""
LOW = 0.6
"""Height of a lane of one share, in those of a line."""


def drawn_measures(said: FramePredictions) -> Iterator[Measure]:
    """Those that have a lane, in their order."""
    for measure in said.measures.values():
        if {column.origin for column in measure.columns} <= {"trained", "derived"}:
            yield measure


def height_of(measure: Measure) -> float:
    """Height of its lane."""
    if _is_heat(measure):
        return ELEMENT * len(measure.columns)
    return LINE * (LOW if len(measure.columns) == 1 else 1)


def draw_measure(axes: Axes, measure: Measure, groups: Groups) -> None:
    """Draws a measure into its lane; a frame without a value is a gap."""
    known = ~np.isnan(measure.values)
    if _is_heat(measure):
        rows = groups.mean(measure.values, known).T
        heat = draw_strips(axes, groups.edges, rows, 0.06, 0.94, HEAT)
        names = [name.removesuffix("_p") for name in measure.names]
        axes.set_yticks(np.arange(len(names)) + 0.5, names)
        bar = axes.inset_axes((1.016, 0.2, 0.012, 0.6))
        axes.figure.colorbar(heat, cax=bar, ticks=(0, 0.5, 1)).set_label("probability")
    else:
        for column, values, seen, colour in zip(
            measure.columns, measure.values.T, known.T, PALETTE, strict=False
        ):
            draw_line(axes, groups, values, seen, colour, column.name)
        axes.set_ylim(*_limits(measure))
        if len(measure.columns) > 1:
            axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1.05))
    note = "\n(derived)" if measure.columns[0].origin == "derived" else ""
    axes.set_ylabel(measure.heading.lower().replace(" and ", "\nand ") + note)


def _is_heat(measure: Measure) -> bool:
    shares = all((column.low, column.high) == (0, 1) for column in measure.columns)
    return shares and len(measure.columns) >= MANY


def _limits(measure: Measure) -> tuple[float, float]:
    """Of the axis: the range if it is narrow, else that of the values."""
    low = min((c.low for c in measure.columns if c.low is not None), default=-np.inf)
    high = max((c.high for c in measure.columns if c.high is not None), default=np.inf)
    known = measure.values[~np.isnan(measure.values)]
    if high - low > 2:
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    margin = max(high - low, 1e-3) / 40
    return low - margin, high + margin
