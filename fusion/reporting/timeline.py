"""The picture of one person's predictions over time.

Data flow: FramePredictions + FrameLabels + Envelope > frames grouped by columns of pixels > PNG.

Truth that is not there is a gap: in the lines, in the ribbon, in the strips beneath the units.
Long videos have many frames in one column of pixels. Then lines show the mean with the range from
the least to the greatest value, ribbons the most frequent class, heat maps the mean.

Letters: F frames, G groups of frames, N sound levels, U units.
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from textwrap import shorten
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator

from features.cli.wording import counted
from features.store.atomic_file import write_atomically
from fusion.data.predictions import FramePredictions
from fusion.metrics.official import ccc
from fusion.reporting.grouping import Groups
from fusion.tasks.labels import DIMENSIONS, EXPRESSIONS, UNITS, FrameLabels

SIZE, DPI = (16.0, 10.0), 100
FLOOR_DB = -60.0
"""Sound this far below the loudest moment is drawn as silence."""
FAINT_DB = -50.0
"""A loudest moment below this is not drawn as loud."""

# Okabe and Ito's palette, told apart with any colour vision; the two classes without a direction
# (Neutral, Other) are greys.
COLOURS = ("#C8C8C8", "#D55E00", "#009E73", "#CC79A7", "#F0E442", "#0072B2", "#56B4E9", "#555555")
DIMENSION_COLOURS = ("#0072B2", "#D55E00")
TRUTH, ON, SEEN, SOUND, FAINT = "#222222", "#810F7C", "#009E73", "#8A8A8A", "#666666"
OFF = "#E6E6E6"
HEAT = "BuPu"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 11,
}
HEIGHTS = {"valence": 2.1, "arousal": 2.1, "expression": 0.9, "units": 4.4, "face": 0.3}
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
"""Seconds between marks of the time axis."""


@dataclass(frozen=True)
class Envelope:
    """How loud the video is.

    Attributes:
        times: (N,) float64, seconds from the start of the video stream, strictly rising.
        level: (N,) float32, dB below full scale.
    """

    times: np.ndarray
    level: np.ndarray


def draw_timeline(
    predictions: FramePredictions,
    labels: FrameLabels | None,
    envelope: Envelope | None,
    path: Path,
) -> None:
    """Draws one person's timeline as a PNG of 1600 x 1000 pixels; equal input, equal bytes.

    Args:
        predictions: At least one frame.
        labels: Truth of the same frames, as far as it is known; rows are matched by number.
        envelope: Loudness of the sound; without it the panel is left out.
        path: The PNG.
    """
    truth = (labels or FrameLabels.empty(0)).on(predictions.times)
    groups = Groups.of(predictions.times)
    heights = HEIGHTS if envelope is None else HEIGHTS | {"sound": 0.8}
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=SIZE, dpi=DPI)
        FigureCanvasAgg(figure)
        panels = dict(zip(heights, _panels(figure, list(heights.values())), strict=True))
        for i, name in enumerate(DIMENSIONS):
            _draw_dimension(panels[name], groups, predictions, truth, i)
        _draw_expressions(panels["expression"], groups, predictions, truth)
        _draw_units(panels["units"], groups, predictions, truth)
        _draw_face(panels["face"], groups, predictions.face)
        if envelope is not None:
            _draw_sound(panels["sound"], envelope)
        _set_time_axis(list(panels.values()), groups.edges[0], groups.edges[-1])
        _write_title(figure, predictions, truth)
        image = BytesIO()
        figure.savefig(image, format="png", metadata={"Software": None})
    write_atomically(path, image.getvalue())


def _panels(figure: Figure, heights: list[float]) -> np.ndarray:
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    figure.subplots_adjust(left=0.09, right=0.885, top=0.905, bottom=0.085, hspace=0.14)
    return axes


def _draw_dimension(
    axes: Axes, groups: Groups, predictions: FramePredictions, truth: FrameLabels, i: int
) -> None:
    everywhere = np.ones(len(predictions), bool)
    axes.axhline(0, color="#CCCCCC", linewidth=0.8, zorder=0)
    if truth.va_mask.any():
        _draw_line(axes, groups, truth.va[:, i], truth.va_mask, TRUTH, "truth")
    _draw_line(axes, groups, predictions.va[:, i], everywhere, DIMENSION_COLOURS[i], "predicted")
    axes.set(ylim=(-1.05, 1.05), yticks=(-1, -0.5, 0, 0.5, 1), ylabel=DIMENSIONS[i])
    axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1.05))


def _draw_line(
    axes: Axes, groups: Groups, values: np.ndarray, mask: np.ndarray, colour: str, label: str
) -> None:
    """Mean line, with the range around it where a group has several frames; gaps stay gaps."""
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


def _draw_expressions(
    axes: Axes, groups: Groups, predictions: FramePredictions, truth: FrameLabels
) -> None:
    rows = {"predicted": (predictions.expr_class, np.ones(len(predictions), bool))}
    if truth.expr_mask.any():
        rows["truth"] = (truth.expr, truth.expr_mask)
    ribbons = [groups.most_frequent(*row, len(EXPRESSIONS)) for row in rows.values()]
    colours = ListedColormap(COLOURS)
    _draw_strips(axes, groups.edges, np.ma.stack(ribbons), 0.04, 0.96, colours, len(COLOURS) - 1)
    axes.set_yticks(np.arange(len(rows)) + 0.5, list(rows))
    axes.set_ylabel("expression")
    patches = [Patch(color=c, label=name) for c, name in zip(COLOURS, EXPRESSIONS, strict=True)]
    axes.legend(handles=patches, loc="upper left", bbox_to_anchor=(1.005, 1.1))


def _draw_units(
    axes: Axes, groups: Groups, predictions: FramePredictions, truth: FrameLabels
) -> None:
    """Probability, beneath it whether the unit is on (its threshold reached), then the truth."""
    everywhere = np.ones_like(predictions.au, bool)
    probability = groups.mean(predictions.au, everywhere).T
    heat = _draw_strips(axes, groups.edges, probability, 0.06, 0.47, HEAT)
    decided = groups.mean(predictions.au_on, everywhere).T
    _draw_strips(axes, groups.edges, decided, 0.53, 0.67, _shades(OFF, ON))
    patches = [Patch(color=ON, label="predicted on")]
    if truth.au_mask.any():
        true = groups.mean(truth.au, truth.au_mask).T
        _draw_strips(axes, groups.edges, true, 0.72, 0.86, _shades(OFF, TRUTH))
        patches.append(Patch(color=TRUTH, label="truth on"))
    axes.set_yticks(np.arange(len(UNITS)) + 0.45, UNITS)
    axes.set_ylabel("action units")
    axes.legend(handles=patches, loc="lower left", bbox_to_anchor=(1.005, -0.04))
    bar = axes.inset_axes((1.016, 0.2, 0.012, 0.38))
    axes.figure.colorbar(heat, cax=bar, ticks=(0, 0.5, 1)).set_label("probability")


def _draw_strips(
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


def _shades(none: str, full: str) -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list("shades", (none, full))


def _draw_face(axes: Axes, groups: Groups, face: np.ndarray) -> None:
    share = groups.mean(face, np.ones(len(face), bool))
    _draw_strips(axes, groups.edges, share[None], 0.0, 1.0, _shades("#FFFFFF", SEEN))
    axes.set_yticks([0.5], ["face seen"])


def _draw_sound(axes: Axes, envelope: Envelope) -> None:
    groups = Groups.of(envelope.times)
    peaks = groups.range(envelope.level, np.ones(len(envelope.level), bool))[1]
    level = np.clip(peaks - max(peaks.max(), FAINT_DB), FLOOR_DB, 0)
    axes.fill_between(groups.centres, FLOOR_DB, level, color=SOUND, linewidth=0)
    axes.set(ylim=(FLOOR_DB, 3), yticks=(FLOOR_DB, FLOOR_DB / 2, 0), ylabel="sound")
    axes.set_yticklabels(("-60", "-30", "0 dB"))


def _set_time_axis(panels: list[Axes], start: float, end: float) -> None:
    for axes in panels:
        axes.tick_params(axis="x", length=0)
        axes.yaxis.set_label_coords(-0.07, 0.5)
    step = next((s for s in STEPS if (end - start) / s <= 12), STEPS[-1])
    last = panels[-1]
    last.set_xlim(start, end)
    last.tick_params(axis="x", length=4)
    last.xaxis.set_major_locator(MultipleLocator(step))
    if end - start > 120:
        last.xaxis.set_major_formatter(FuncFormatter(lambda t, _: clock(t)))
    last.set_xlabel(f"time ({'h:min:s' if end > 3600 else 'min:s' if end - start > 120 else 's'})")


def clock(seconds: float) -> str:
    """`1:02` or `1:00:02`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _write_title(figure: Figure, predictions: FramePredictions, truth: FrameLabels) -> None:
    """Id and facts on the left, agreement with the truth on the right, provenance at the foot."""
    seconds = predictions.times[-1] - predictions.times[0]
    duration = clock(seconds) if seconds > 120 else f"{seconds:.1f} s"
    seen = f"face seen in {100 * predictions.face.mean():.0f} %"
    facts = f"{counted(len(predictions), 'frame')}, {duration}, {seen}"
    if predictions.video != predictions.id:
        facts = f"video {predictions.video}, {facts}"
    origin = " · ".join(f"{name} {value}" for name, value in predictions.provenance.items())
    for x, y, text, style in (
        (0.09, 0.955, predictions.id, {"fontsize": 17, "fontweight": "bold"}),
        (0.09, 0.927, facts, {"color": FAINT}),
        (0.885, 0.955, agreement(predictions, truth), {"fontsize": 13, "ha": "right"}),
        (0.09, 0.015, shorten(origin, 190, placeholder=" ..."), {"color": FAINT, "fontsize": 9}),
    ):
        figure.text(x, y, text, parse_math=False, **style)


def agreement(predictions: FramePredictions, truth: FrameLabels) -> str:
    """CCC of valence and arousal over this video's labelled frames; empty without truth."""
    mask = truth.va_mask
    if not mask.any():
        return ""
    scores = (ccc(truth.va[mask, i], predictions.va[mask, i]) for i in range(len(DIMENSIONS)))
    named = "   ".join(f"{name} {s:.2f}" for name, s in zip(DIMENSIONS, scores, strict=True))
    return f"CCC   {named}   ({counted(int(mask.sum()), 'labelled frame')})"
