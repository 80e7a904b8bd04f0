"""How a column goes over the clip in each group, as a mean over people with a band.

Data flow: tables > (P, T) means of each person in bins of time > mean and 95 % band over people >
curves/NAME.csv and NAME.png.

Letters: P people, T bins, B draws.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusion.events.tables import write_rows
from fusion.statistics.people import Person
from fusion.tables.frame_table import FrameTable

COLUMNS = ("level", "time", "mean", "low", "high", "people")
FEWEST = 3
"""People below which a band is not drawn."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe and Ito's, told apart with any colour vision."""


def binned(table: FrameTable, name: str, width: float, bins: int) -> np.ndarray:
    """(T,) mean of a column in each bin from the start of the clip; NaN without a value."""
    values = table.values[name]
    known = ~np.isnan(values)
    place = np.floor(table.times[known] / width + 1e-9).astype(int)
    inside = (place >= 0) & (place < bins)
    place, weights = place[inside], table.durations[known][inside]
    total = np.bincount(place, weights, bins)
    summed = np.bincount(place, weights * values[known][inside], bins)
    return np.divide(summed, total, out=np.full(bins, np.nan), where=total > 0)


def curve(rows: np.ndarray, draws: int, seed: int) -> dict[str, np.ndarray]:
    """Mean and band of (P, T) rows over the people who have a value at a time."""
    known = ~np.isnan(rows)
    people = known.sum(axis=0)
    picked = np.random.default_rng(seed).multinomial(
        len(rows), np.full(len(rows), 1 / len(rows)), size=draws
    )  # (B, P) how often a person is drawn
    filled = np.where(known, rows, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = filled.sum(axis=0) / people
        drawn = (picked @ filled) / (picked @ known.astype(float))
    low, high = np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    enough = people >= FEWEST
    if enough.any():
        low[enough], high[enough] = np.nanpercentile(drawn[:, enough], (2.5, 97.5), axis=0)
    return {"mean": mean, "low": low, "high": high, "people": people}


def curves_of(
    people: Sequence[Person], name: str, group: str, width: float, draws: int, seed: int
) -> dict[str, dict[str, np.ndarray]]:
    """Level to its curve; a person in several clips of a level is the mean of them."""
    held = [each for each in people if name in each.table.values and group in each.participant.told]
    longest = max((float(each.table.ends[-1]) for each in held if len(each.table)), default=0.0)
    bins = max(int(np.ceil(longest / width - 1e-9)), 1)
    by: dict[str, dict[str, list[np.ndarray]]] = {}
    for each in held:
        level = by.setdefault(each.participant.told[group], {})
        level.setdefault(each.participant.id, []).append(binned(each.table, name, width, bins))
    found = {}
    for level_name, persons in sorted(by.items()):
        rows = np.stack([_mean_of(np.stack(clips)) for clips in persons.values()])
        found[level_name] = curve(rows, draws, seed)
    return found


def _mean_of(clips: np.ndarray) -> np.ndarray:
    known = ~np.isnan(clips)
    count = known.sum(axis=0)
    total = np.where(known, clips, 0).sum(axis=0)
    return np.divide(total, count, out=np.full(clips.shape[1], np.nan), where=count > 0)


def write_curves(
    curves: Mapping[str, Mapping[str, np.ndarray]], name: str, width: float, folder: Path, unit: str
) -> list[Path]:
    """The table and the picture of a column."""
    rows: list[dict[str, Any]] = [
        {
            "level": level,
            "time": (place + 0.5) * width,
            **{key: values[place].item() for key, values in each.items()},
        }
        for level, each in curves.items()
        for place in range(len(each["mean"]))
        if each["people"][place]
    ]
    stem = re.sub(r"[/\\\0]|^\.", "_", name)
    table = write_rows(folder / f"{stem}.csv", COLUMNS, rows)
    return [table, _draw(curves, name, width, folder / f"{stem}.png", unit)]


def _draw(
    curves: Mapping[str, Mapping[str, np.ndarray]], name: str, width: float, path: Path, unit: str
) -> Path:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    for (level, each), colour in zip(curves.items(), COLOURS, strict=False):
        times = (np.arange(len(each["mean"])) + 0.5) * width
        people = int(each["people"].max())
        axes.plot(times, each["mean"], color=colour, label=f"{level} (n = {people})", marker=".")
        axes.fill_between(times, each["low"], each["high"], color=colour, alpha=0.2, linewidth=0)
    axes.set_xlabel("time (s)")
    axes.set_ylabel(f"{name} ({unit})" if unit else name)
    axes.set_title("mean over people, 95 % band by resampling people", fontsize="medium")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    return path
