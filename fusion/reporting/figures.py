"""Pictures of an evaluation: confusion, F1 with intervals, calibration, clips, a comparison.

tables of fusion.reporting.tables and Calibration > PNG bytes; equal input, equal bytes.

Letters: C classes, M bins, K panels.
"""

from collections.abc import Callable, Sequence
from io import BytesIO

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fusion.metrics.calibration import Calibration, Reliability
from fusion.reporting.timeline import DIMENSION_COLOURS, HEAT, STYLE

DPI = 100
POINT, QUIET, INK = "#0072B2", "#CCCCCC", "#222222"
CLIP_MEASURES = ("CCC_V", "CCC_A", "EXPR F1", "AU F1")


def draw_confusion(table: pd.DataFrame) -> bytes:
    """Frames by true class (rows) and predicted class, coloured by the share of the row.

    Args:
        table: What `confusion_table` (or its like) makes: names of the true classes, then counts.
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
            axes.text(j, i, text, ha="center", va="center", color=ink, fontsize=9)
        axes.set_xticks(range(len(predicted)), predicted, rotation=30, ha="right")
        axes.set_yticks(range(len(true)), true)
        axes.set(xlabel="predicted", ylabel="true")
        axes.set_title("Expressions: share of the true class's frames, and frames", loc="left")
        axes.spines[:].set_visible(False)
        figure.colorbar(image, ax=axes, shrink=0.8)

    return _picture((10.0, 8.5), draw)


def draw_f1(classes: pd.DataFrame, units: pd.DataFrame) -> bytes:
    """F1 of each expression and unit with its interval, and how frequent it is in the truth."""

    def draw(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        frames = max(int(classes["true"].sum()), 1)
        _draw_intervals(left, _with_share(classes["expression"], classes["true"] / frames), classes)
        share = units["true"] / units["valid"].clip(lower=1)
        _draw_intervals(right, _with_share(units["unit"], share), units)
        for axes, title in ((left, "Expressions"), (right, "Action units")):
            axes.set(xlim=(-0.02, 1.02), xlabel="F1, 95 % interval by video")
            axes.set_title(f"{title} (share of the labelled frames)", loc="left", fontsize=12)

    return _picture((13.0, 5.5), draw)


def draw_calibration(calibration: Calibration) -> bytes:
    """What was observed where something was predicted: on the diagonal all is as it says."""
    every_unit = Reliability(0.0, 1.0, calibration.au.counts.sum(0, keepdims=True))
    panels = [
        ("Expression: confidence", "right", calibration.expr, 0),
        ("Action units: probability", "on", every_unit, 0),
        ("Valence", "mean label", calibration.va, 0),
        ("Arousal", "mean label", calibration.va, 1),
    ]

    def draw(figure: Figure) -> None:
        for axes, panel in zip(figure.subplots(1, len(panels)), panels, strict=True):
            _draw_reliability(axes, *panel)

    return _picture((17.0, 4.8), draw)


def draw_clips(clips: pd.DataFrame) -> bytes:
    """Each clip's scores from worst to best, a panel a measure; the worst are named."""

    def draw(figure: Figure) -> None:
        for axes, measure in zip(
            figure.subplots(1, len(CLIP_MEASURES)), CLIP_MEASURES, strict=True
        ):
            known = clips.dropna(subset=[measure]).sort_values([measure, "id"])
            rank = np.arange(1, len(known) + 1)
            axes.axhline(0, color=QUIET, linewidth=0.8, zorder=0)
            axes.plot(rank, known[measure], "o", color=POINT, markersize=4, alpha=0.8)
            low = -1.05 if measure.startswith("CCC") else -0.02
            axes.set(ylim=(low, 1.05), xlabel="clips, worst first")
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

    return _picture((17.0, 4.5), draw)


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
    axes: Axes, title: str, observed: str, reliability: Reliability, index: int
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
    colour = DIMENSION_COLOURS[index]
    if some.any():  # an empty line that is not clipped has no place, and the layout collapses
        axes.plot(predicted[some], seen[some], "o-", color=colour, markersize=5, clip_on=False)
    ticks = np.linspace(low, high, 5)
    axes.set(xticks=ticks, yticks=ticks, xlim=(low, high), ylim=(low, high))
    axes.set(xlabel="predicted (bars: frames)", ylabel=observed)
    axes.set_aspect("equal")


def _picture(size: tuple[float, float], draw: Callable[[Figure], None]) -> bytes:
    """The PNG that `draw` makes of an empty figure of `size` inches."""
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        image = BytesIO()
        figure.savefig(image, format="png", metadata={"Software": None})
    return image.getvalue()
