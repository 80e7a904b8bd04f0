"""Pictures of an evaluation: confusion, F1 with intervals, calibration, clips, a comparison.

tables of fusion.reporting.tables and Calibration > PNG bytes; equal input, equal bytes.

Letters: C classes, M bins, K panels.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fusion.metrics.calibration import Calibration
from fusion.reporting.timeline import STYLE
from fusion.reporting.timelines.lanes import HEAT, colours_of
from fusion.tasks.base import Task
from fusion.tasks.scoring.reliability import Reliability

DPI = 100
POINT, QUIET, INK = "#0072B2", "#CCCCCC", "#222222"
ABREAST = 4
"""Most panels in a row."""


def draw_confusion(table: pd.DataFrame, heading: str) -> bytes:
    """Frames by true class (rows) and predicted class, coloured by the share of the row.

    Args:
        table: What `confusion_table` makes: names of the true classes, then counts.
        heading: What the classes are.
    """
    true, predicted = list(table.iloc[:, 0]), list(table.columns[1:])
    confusion = table[predicted].to_numpy()

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        rows = confusion.sum(1, keepdims=True)
        shares = np.divide(confusion, rows, out=np.zeros(confusion.shape), where=rows > 0)
        image = axes.imshow(shares, cmap=HEAT, vmin=0, vmax=1)
        for (i, j), value in np.ndenumerate(confusion):
            ink = "white" if shares[i, j] > 0.55 else INK
            text = f"{shares[i, j]:.0%}\n{value:,}" if value else "0"
            axes.text(j, i, text, ha="center", verticalalignment="center", color=ink, fontsize=9)
        axes.set_xticks(range(len(predicted)), predicted, rotation=30, ha="right")
        axes.set_yticks(range(len(true)), true)
        axes.set(xlabel="predicted", ylabel="true")
        axes.set_title(f"{heading}: share of the true class's frames, and frames", loc="left")
        axes.spines[:].set_visible(False)
        figure.colorbar(image, ax=axes, shrink=0.8)

    return _picture((10.0, 8.5), draw)


def draw_f1(tables: Sequence[tuple[Task, pd.DataFrame]]) -> bytes:
    """F1 of each class or element with its interval, and how frequent it is in the truth.

    Args:
        tables: Tasks, a panel each, with their tables.
    """

    def draw(figure: Figure) -> None:
        for axes, (task, rows) in zip(_grid(figure, len(tables)), tables, strict=True):
            valid = rows["valid"].clip(lower=1) if "valid" in rows else max(rows["true"].sum(), 1)
            _draw_intervals(axes, _with_share(rows[task.thing], rows["true"] / valid), rows)
            axes.set(xlim=(-0.02, 1.02), xlabel="F1, 95 % interval by video")
            title = f"{task.heading} (share of the labelled frames)"
            axes.set_title(title, loc="left", fontsize=12)

    return _picture(_size(len(tables), 6.5, 5.5), draw)


def draw_calibration(calibration: Calibration) -> bytes:
    """What was observed where something was predicted: on the diagonal all is as it says."""
    panels: list[tuple[str, str, Reliability, int, str]] = []
    for task, kept in calibration.of_kinds():
        if task.kind == "classes":
            panels.append((f"{task.thing.capitalize()}: confidence", "right", kept, 0, POINT))
        elif task.kind == "binary" and task.quantities:
            every = Reliability(kept.low, kept.high, kept.counts.sum(0, keepdims=True))
            panels.append((f"{task.heading}: probability", "on", every, 0, POINT))
        elif task.kind == "values":
            named = zip(task.names, colours_of(task), strict=True)
            for i, (name, colour) in enumerate(named):
                panels.append((name.capitalize(), "mean label", kept, i, colour))

    def draw(figure: Figure) -> None:
        for axes, panel in zip(_grid(figure, len(panels)), panels, strict=True):
            _draw_reliability(axes, *panel)

    return _picture(_size(len(panels), 4.25, 4.8), draw)


def draw_clips(clips: pd.DataFrame, measures: Mapping[str, tuple[float, float] | None]) -> bytes:
    """Each clip's scores from worst to best, a panel a measure; the worst are named.

    Args:
        clips: What `clip_table` makes.
        measures: Columns that are drawn, each with the range of its axis; None: free.
    """

    def draw(figure: Figure) -> None:
        panels = _grid(figure, len(measures))
        for axes, (measure, ends) in zip(panels, measures.items(), strict=True):
            known = clips.dropna(subset=[measure]).sort_values([measure, "id"])
            rank = np.arange(1, len(known) + 1)
            axes.axhline(0, color=QUIET, linewidth=0.8, zorder=0)
            axes.plot(rank, known[measure], "o", color=POINT, markersize=4, alpha=0.8)
            axes.set(xlabel="clips, worst first", **({"ylim": ends} if ends else {}))
            axes.set_title(measure, loc="left", fontsize=12)
            worst = [f"{v:.2f}  {_short(i)}" for i, v in known[["id", measure]].head(3).values]
            axes.text(
                0.97,
                0.03,
                "\n".join(worst),
                transform=axes.transAxes,
                ha="right",
                fontsize=9,
                in_layout=False,  # long ids would leave no room for the panels
            )

    return _picture(_size(len(measures), 4.25, 4.5), draw)


def draw_comparison(table: pd.DataFrame, names: Sequence[str]) -> bytes:
    """Difference of each score with its interval; grey where the interval holds 0.

    Args:
        table: What `comparison_table` makes.
        names: What the first and the second are called.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        values = table.rename(columns={"difference": "F1"}).dropna(subset=["F1"])
        sure = ((values["low"] > 0) | (values["high"] < 0)).to_numpy()
        _draw_intervals(axes, list(values["score"]), values, np.where(sure, POINT, "#999999"))
        axes.axvline(0, color=INK, linewidth=1)
        axes.set(xlabel="difference, 95 % interval by video (grey: holds 0)")
        first, second = (_short(name, 60) for name in names)
        axes.set_title(f"right of 0: {first} better\nleft of 0: {second} better", loc="left")

    return _picture((9.0, 8.5), draw)


def _draw_intervals(
    axes: Axes, names: Sequence[str], table: pd.DataFrame, colours: np.ndarray | None = None
) -> None:
    """Values of column F1 as dots, `low` to `high` as lines, the first name on top."""
    place = np.arange(len(names))
    colours = np.full(len(names), POINT) if colours is None else colours
    axes.hlines(place, table["low"], table["high"], colors=list(colours), linewidth=3, alpha=0.4)
    axes.scatter(table["F1"], place, color=list(colours), s=36, zorder=3)
    axes.set_yticks(place, list(names))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis="x", color=QUIET, linewidth=0.6)
    axes.set_axisbelow(True)


def _short(name: str, most: int = 32) -> str:
    """A name that is no longer than `most` signs; its end tells more than its beginning."""
    return name if len(name) <= most else f"…{name[1 - most :]}"


def _with_share(names: pd.Series, share: pd.Series) -> list[str]:
    return [f"{name} ({part:.1%})" for name, part in zip(names, share, strict=True)]


def _draw_reliability(
    axes: Axes, title: str, observed: str, reliability: Reliability, index: int, colour: str
) -> None:
    low, high = reliability.low, reliability.high
    predicted, seen, frames = (values[index] for values in reliability.curves())
    axes.set_title(title, loc="left", fontsize=12)
    if not frames.any():  # an empty panel would take the room of the others
        axes.set_axis_off()
        axes.text(0, 0.9, "no label", transform=axes.transAxes, color=QUIET)
        return
    width = (high - low) / len(frames)
    heights = frames / max(frames.max(), 1) * (high - low) * 0.3
    lefts = low + width * np.arange(len(frames))
    axes.bar(lefts, heights, width * 0.9, low, align="edge", color=QUIET)
    axes.plot([low, high], [low, high], color="#999999", linewidth=1, linestyle="--")
    some = frames > 0
    if some.any():  # an empty line that is not clipped has no place, and the layout collapses
        axes.plot(predicted[some], seen[some], "o-", color=colour, markersize=5, clip_on=False)
    ticks = np.linspace(low, high, 5)
    axes.set(xticks=ticks, yticks=ticks, xlim=(low, high), ylim=(low, high))
    axes.set(xlabel="predicted (bars: frames)", ylabel=observed)
    axes.set_aspect("equal")


def _size(panels: int, width: float, height: float) -> tuple[float, float]:
    """Inches of a picture of so many panels of a width and height."""
    return width * min(panels, ABREAST), height * math.ceil(panels / ABREAST)


def _grid(figure: Figure, panels: int) -> list[Axes]:
    """Axes of so many panels, `ABREAST` of them abreast."""
    columns = min(panels, ABREAST)
    rows = math.ceil(panels / ABREAST)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for spare in axes[panels:]:
        spare.set_axis_off()
    return list(axes[:panels])


def _picture(size: tuple[float, float], draw: Callable[[Figure], None]) -> bytes:
    """The PNG that `draw` makes of an empty figure of `size` inches."""
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        image = BytesIO()
        figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()
