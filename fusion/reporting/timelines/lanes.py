"""What a task says of a person over time, as lanes of the timeline.

A line for each of its values, a ribbon of its classes, a heat map of its probabilities with strips
of what is on: as `Task.kind` says. Truth that is not there is a gap.

Letters: F frames, G groups of frames, C values, classes or elements, R rows of strips.
"""

from itertools import cycle, islice
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.patches import Patch

from fusion.data.predictions import FramePredictions
from fusion.measuring.words import while_spoken
from fusion.reporting.timelines.grouping import Groups
from fusion.tasks.base import Task
from fusion.tasks.labels import FrameLabels

TRUTH, ON, OFF = "#222222", "#810F7C", "#E6E6E6"
HEAT = "BuPu"
PALETTE = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933"),
    *("#332288", "#F0E442", "#44AA99", "#AA4499", "#117733", "#999999", "#661100", "#6699CC"),
)
"""Colours of tasks that have none of their own, told apart with any colour vision."""
LINE, RIBBON, ELEMENT, LEAST, ENTRY = 2.1, 0.9, 4.4 / 12, 1.1, 0.29
"""Heights of lanes: of a value, of classes, of each element, of the fewest elements; and of an
entry of a legend."""


def colours_of(task: Task) -> list[str]:
    """A colour for each of a task's names."""
    return list(islice(cycle(task.colours or PALETTE), len(task.names)))


def heights_of(task: Task, below: Task | None = None) -> list[float]:
    """Heights of a task's lanes.

    Args:
        task: The task.
        below: The task whose lanes follow: beside those of elements the legend of classes has room.
    """
    count = len(task.names)
    if not task.drawn:
        return []
    if task.kind == "values":
        return [LINE] * count
    if task.kind == "binary":
        return [max(ELEMENT * count, LEAST)]
    beside = below is not None and below.kind == "binary" and len(below.names) >= count
    return [RIBBON if beside else max(RIBBON, ENTRY * count)]


def draw_task(
    lanes: list[Axes], task: Task, groups: Groups, said: FramePredictions, truth: FrameLabels
) -> None:
    """Draws a task into its lanes, as many as it has `heights_of`."""
    if task.drawn and task.kind == "values":
        for i, axes in enumerate(lanes):
            _draw_value(axes, task, i, groups, said, truth)
    elif task.drawn:
        draw = _draw_classes if task.kind == "classes" else _draw_elements
        draw(lanes[0], task, groups, said, truth)


def _draw_value(
    axes: Axes, task: Task, i: int, groups: Groups, said: FramePredictions, truth: FrameLabels
) -> None:
    told = while_spoken(task.names[i], said.values[task.name][:, i], said)
    true = task.labels_in(truth)
    mask = true.mask if true.mask.ndim == 1 else true.mask[:, i]
    low, high = task.value_range()
    if low <= 0 <= high:
        axes.axhline(0, color="#CCCCCC", linewidth=0.8, zorder=0)
    if mask.any():
        draw_line(axes, groups, true.values[:, i], mask, TRUTH, "truth")
    colour = colours_of(task)[i]
    draw_line(axes, groups, told, ~np.isnan(told), colour, "predicted")
    margin = (high - low) / 40
    axes.set(ylim=(low - margin, high + margin), yticks=np.linspace(low, high, 5))
    axes.set_ylabel(task.names[i])
    axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1.05))


def draw_line(
    axes: Axes, groups: Groups, values: np.ndarray, mask: np.ndarray, colour: str, label: str
) -> None:
    """Mean line of (F,) values, with the range around it where a group has several frames.

    Frames that the (F,) mask leaves out are gaps.
    """
    mean = groups.mean(values, mask)
    axes.plot(groups.centres, mean, color=colour, linewidth=1.5, label=label)
    if len(groups.starts) < len(values):
        low, high = groups.range(values, mask)
        axes.fill_between(
            groups.centres, low, high, color=colour, alpha=0.22, linewidth=0, label="its range"
        )
    known = ~np.ma.getmaskarray(mean)
    alone = known & ~np.append(known[1:], False) & ~np.append(False, known[:-1])
    axes.plot(groups.centres[alone], mean[alone], ".", color=colour, markersize=3)


def _draw_classes(
    axes: Axes, task: Task, groups: Groups, said: FramePredictions, truth: FrameLabels
) -> None:
    rows = {"predicted": (said.decided(task.name), np.ones(len(said), bool))}
    true, colours = task.labels_in(truth), colours_of(task)
    if true.mask.any():
        rows["truth"] = (true.values, true.mask)
    ribbons = np.ma.stack([groups.most_frequent(*row, len(colours)) for row in rows.values()])
    shades = ListedColormap(colours)
    draw_strips(axes, groups.edges, ribbons, 0.04, 0.96, shades, max(len(colours) - 1, 1))
    axes.set_yticks(np.arange(len(rows)) + 0.5, list(rows))
    axes.set_ylabel(task.thing)
    patches = [Patch(color=c, label=name) for c, name in zip(colours, task.names, strict=True)]
    axes.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.005, 1.1))


def _draw_elements(
    axes: Axes, task: Task, groups: Groups, said: FramePredictions, truth: FrameLabels
) -> None:
    """Probability, beneath it whether the element is on (its threshold reached), then the truth."""
    values, true = said.values[task.name], task.labels_in(truth)
    everywhere = np.ones_like(values, bool)
    probability = groups.mean(values, everywhere).T
    heat = draw_strips(axes, groups.edges, probability, 0.06, 0.47, HEAT)
    decided = groups.mean(said.decided(task.name), everywhere).T
    draw_strips(axes, groups.edges, decided, 0.53, 0.67, shades_of(OFF, ON))
    patches = [Patch(color=ON, label="predicted on")]
    if true.mask.any():
        on = groups.mean(true.values, true.mask).T
        draw_strips(axes, groups.edges, on, 0.72, 0.86, shades_of(OFF, TRUTH))
        patches.append(Patch(color=TRUTH, label="truth on"))
    axes.set_yticks(np.arange(len(task.names)) + 0.45, task.names)
    axes.set_ylabel(task.heading.lower())
    axes.legend(handles=patches, loc="lower left", bbox_to_anchor=(1.005, -0.04))
    bar = axes.inset_axes((1.016, 0.2, 0.012, 0.38))
    axes.figure.colorbar(heat, cax=bar, ticks=(0, 0.5, 1)).set_label("probability")


def draw_strips(
    axes: Axes,
    edges: np.ndarray,
    rows: np.ma.MaskedArray,
    low: float,
    high: float,
    colours: Any,
    top: float = 1.0,
) -> Any:
    """Draws row i of (R, G) values as a strip from i + `low` to i + `high`, downwards."""
    number = len(rows)
    borders = (np.arange(number)[:, None] + (low, high)).ravel()
    spaced = np.ma.zeros((2 * number - 1, rows.shape[1]))  # matplotlib reads masked values too
    spaced[1::2] = np.ma.masked
    spaced[::2] = rows
    axes.set_ylim(number, 0)
    return axes.pcolormesh(edges, borders, spaced, cmap=colours, vmin=0, vmax=top)


def shades_of(none: str, full: str) -> LinearSegmentedColormap:
    """Colours from that of 0 to that of 1."""
    return LinearSegmentedColormap.from_list("shades", (none, full))
