"""The picture of one person's predictions over time.

Data flow: FramePredictions + FrameLabels + Envelope > frames grouped by columns of pixels > PNG.

What a lane shows, and where, the kind of the task says (fusion/reporting/timelines/lanes.py).
Long videos have many frames in one column of pixels. Then lines show the mean with the range from
the least to the greatest value, ribbons the most frequent class, heat maps the mean.

Letters: F frames, G groups of frames, N sound levels.
"""

from dataclasses import dataclass
from io import BytesIO
from itertools import chain, islice, zip_longest
from pathlib import Path
from textwrap import shorten

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from features.cli.wording import counted
from features.store.atomic_file import write_atomically
from fusion.data.predictions import FramePredictions
from fusion.metrics.official import ccc
from fusion.reporting.timelines.grouping import Groups
from fusion.reporting.timelines.lanes import draw_strips, draw_task, heights_of, shades_of
from fusion.reporting.timelines.measure_lanes import draw_measure, drawn_measures, height_of
from fusion.tasks.labels import FrameLabels

SIZE, DPI = (16.0, 10.0), 100
FULL = 10.7
"""Height of lanes, in their units, above which a picture grows."""
FLOOR_DB = -60.0
"""Sound this far below the loudest moment is drawn as silence."""
FAINT_DB = -50.0
"""A loudest moment below this is not drawn as loud."""

SEEN, SOUND, FAINT = "#009E73", "#8A8A8A", "#666666"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.fontsize": 11,
}
FACE, LOUD = 0.3, 0.8
"""Heights of the lanes of the face and of the sound; the others: fusion/reporting/timelines."""
AGREED = 4
"""Most values whose agreement with the truth has room beside the title."""
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


class Timeline(Figure):
    """The picture; a notebook shows it."""

    def _repr_png_(self) -> bytes:
        return png_of(self)


def draw_timeline(
    predictions: FramePredictions,
    labels: FrameLabels | None,
    envelope: Envelope | None,
    path: Path,
) -> None:
    """Draws one person's timeline as PNG, SVG or PDF; equal input, equal bytes.

    Args:
        predictions: As of `timeline`.
        labels: Likewise.
        envelope: Likewise.
        path: The picture; its ending says which.
    """
    write_atomically(path, bytes_of(timeline(predictions, labels, envelope), path.suffix[1:]))


def png_of(figure: Figure) -> bytes:
    """A figure as a PNG."""
    return bytes_of(figure, "png")


UNDATED = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Metadata of formats without what differs from day to day."""


def bytes_of(figure: Figure, format: str) -> bytes:
    """A figure as png, svg or pdf."""
    image = BytesIO()
    with matplotlib.style.context(["default", STYLE, {"svg.hashsalt": "affuse"}]):
        figure.savefig(image, format=format, metadata=UNDATED[format])
    return image.getvalue()


def timeline(
    predictions: FramePredictions,
    labels: FrameLabels | None = None,
    envelope: Envelope | None = None,
) -> Timeline:
    """One person's timeline, 1600 x 1000 pixels, more where there are many lanes.

    Args:
        predictions: At least one frame.
        labels: Truth of the same frames, as far as it is known; rows are matched by number.
        envelope: Loudness of the sound; without it the panel is left out.
    """
    truth = (labels or FrameLabels(0)).on(predictions.times)
    groups = Groups.of(predictions.times)
    tasks = [task for task in predictions.tasks.values() if task.drawn]
    lanes = [heights_of(task, below) for task, below in zip_longest(tasks, tasks[1:])]
    measures = list(drawn_measures(predictions))
    told = [height_of(measure) for measure in measures]
    heights = [*chain(*lanes), *told, FACE, *([] if envelope is None else [LOUD])]
    with matplotlib.style.context(["default", STYLE]):
        width, height = SIZE
        figure = Timeline(figsize=(width, height * max(sum(heights) / FULL, 1)), dpi=DPI)
        FigureCanvasAgg(figure)
        panels = list(_panels(figure, heights))
        rest = iter(panels)
        for task, own in zip(tasks, lanes, strict=True):
            draw_task(list(islice(rest, len(own))), task, groups, predictions, truth)
        for measure in measures:
            draw_measure(next(rest), measure, groups)
        _draw_face(next(rest), groups, predictions.face)
        if envelope is not None:
            _draw_sound(next(rest), envelope)
        _set_time_axis(panels, groups.edges[0], groups.edges[-1])
        _write_title(figure, predictions, truth)
    return figure


def _panels(figure: Figure, heights: list[float]) -> np.ndarray:
    axes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)
    figure.subplots_adjust(left=0.09, right=0.885, top=0.905, bottom=0.085, hspace=0.14)
    return axes[:, 0]


def _draw_face(axes: Axes, groups: Groups, face: np.ndarray) -> None:
    share = groups.mean(face, np.ones(len(face), bool))
    draw_strips(axes, groups.edges, share[None], 0.0, 1.0, shades_of("#FFFFFF", SEEN))
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
    """CCC of each value of a task over this video's labelled frames; empty without truth."""
    for name, task in predictions.tasks.items():
        labels = task.labels_in(truth)
        if task.kind != "values" or len(task.names) > AGREED or not labels.mask.any():
            continue
        mask = labels.mask if labels.mask.ndim == 2 else labels.mask[:, None]
        columns = zip(
            task.names,
            labels.values.T,
            predictions.values[name].T,
            np.broadcast_to(mask, labels.values.shape).T,
            strict=True,
        )
        scores = [f"{n} {ccc(true[m], said[m]):.2f}" for n, true, said, m in columns if m.any()]
        frames = counted(int(labels.rows.sum()), "labelled frame")
        return f"CCC   {'   '.join(scores)}   ({frames})"
    return ""
