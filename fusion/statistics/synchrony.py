"""Whether two people of a video move together, and who follows whom.

Data flow: two columns > regular clock > windows > cross-correlation at each lag > peak of each
window > mean > chance by pairs of people who never met, or by windows of other times.

Windowed cross-correlation with its peak after Boker et al. 2002. Chance is a surrogate synchrony
(Ramseyer and Tschacher 2010): the same statistic for pairs of people from different videos
(pseudo-pairs), or for windows of one person against other windows of the other. Where there are
fewer than `FEWEST` such pairs, windows stand in, and the row says so.

Letters: W windows, N values of a window, L lags to either side.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, permutations
from typing import Any

import numpy as np

from fusion.statistics.people import Person
from fusion.statistics.settings import SynchronySettings
from fusion.tables.frame_table import FrameTable

KNOWN = 0.8
"""Share of a window's values that must be known; the rest is drawn straight between neighbours."""
FEWEST = 20
"""Surrogates below which chance is not told by pairs."""
MOST = 200
"""Surrogates that are looked at."""


@dataclass
class Synchrony:
    """Two people and a column.

    Attributes:
        video: Where they meet.
        first, second: Names.
        measure: The column.
        windows: That both are known in.
        correlation: Mean over windows of the peak (of Fisher's z, told as r).
        lag: Median lag of the peak, seconds; above 0: the second follows the first.
        at_once: Mean correlation without lag.
        chance: Mean of the surrogates' correlation.
        p: Share of surrogates that reach the correlation (one-sided; the pair counts as one).
        surrogates: How many.
        null: What they are: `pairs` or `windows`.
        why_blank: Why there is nothing.
    """

    video: str
    first: str
    second: str
    measure: str
    windows: int = 0
    correlation: float = np.nan
    lag: float = np.nan
    at_once: float = np.nan
    chance: float = np.nan
    p: float = np.nan
    surrogates: int = 0
    null: str = ""
    why_blank: str = ""


COLUMNS = tuple(Synchrony.__dataclass_fields__)


@dataclass(frozen=True)
class Windows:
    """A person's windows of one column.

    Attributes:
        inner: (W, N).
        outer: (W, N + 2 L), with what is around.
        known: (W,) bool.
    """

    inner: np.ndarray
    outer: np.ndarray
    known: np.ndarray


def windows_of(table: FrameTable, name: str, settings: SynchronySettings) -> Windows:
    """Windows at whole steps of the clip's clock, so that those of two people meet."""
    rate = settings.rate
    size, around = round(settings.window * rate), round(settings.lag * rate)
    step = max(round(settings.step * rate), 1)
    last = int(np.floor(float(table.ends[-1]) * rate)) if len(table) else 0
    values, known = _regular(table, name, np.arange(last) / rate)
    starts = np.arange(around, len(values) - size - around + 1, step)
    inside = np.arange(-around, size + around)
    outer = values[starts[:, None] + inside] if len(starts) else np.empty((0, len(inside)))
    share = known[starts[:, None] + inside].mean(axis=1) if len(starts) else np.empty(0)
    inner = outer[:, around : around + size]
    moves = np.ptp(inner, axis=1) > 0 if len(starts) else np.empty(0, bool)
    return Windows(inner, outer, (share >= KNOWN) & moves)


def _regular(table: FrameTable, name: str, ticks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values at ticks, straight between known frames, and whether the frame shown is known."""
    values = table.values[name]
    known = ~np.isnan(values)
    if not known.any():
        return np.zeros(len(ticks)), np.zeros(len(ticks), bool)
    shown = np.searchsorted(table.times, ticks + 1e-9, side="right") - 1
    held = (shown >= 0) & (ticks < table.ends[shown] + 1e-9) & known[shown]
    return np.interp(ticks, table.times[known], values[known]), held


def peaks(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each window: greatest correlation, its lag in values, and the correlation without lag.

    Args:
        first: (W, N).
        second: (W, N + 2 L), with what is around.
    """
    size = first.shape[1]
    slid = np.lib.stride_tricks.sliding_window_view(second, size, axis=1)  # (W, 2 L + 1, N)
    a = first - first.mean(axis=1, keepdims=True)
    b = slid - slid.mean(axis=2, keepdims=True)
    product = np.einsum("wn,wln->wl", a, b)
    scale = np.sqrt((a**2).sum(axis=1)[:, None] * (b**2).sum(axis=2))
    r = np.divide(product, scale, out=np.zeros_like(product), where=scale > 1e-12)
    around = (second.shape[1] - size) // 2
    # Of equal peaks the one nearest to no lag, so that a constant neighbour draws nothing away.
    order = np.argsort(np.abs(np.arange(-around, around + 1)), kind="stable")
    best = order[r[:, order].argmax(axis=1)]
    return r[np.arange(len(r)), best], best - around, r[:, around]


def pooled(r: np.ndarray) -> float:
    """Mean correlation by Fisher's z."""
    return float(np.tanh(np.arctanh(np.clip(r, -0.999999, 0.999999)).mean()))


def synchronies(
    people: Sequence[Person], names: Sequence[str], settings: SynchronySettings, seed: int
) -> list[dict[str, Any]]:
    """A row for each two people of a video and each column."""
    videos: dict[str, list[Person]] = {}
    for each in people:
        videos.setdefault(each.table.video, []).append(each)
    rows = []
    for name in names:
        held = {
            video: [(p, windows_of(p.table, name, settings)) for p in found if _has(p, name)]
            for video, found in videos.items()
        }
        strangers = list(_strangers(held))
        for video, found in held.items():
            for (p, a), (q, b) in combinations(found, 2):
                row = Synchrony(video, p.table.person, q.table.person, name)
                _fill(row, a, b, strangers, settings, seed)
                rows.append(asdict(row))
    return rows


def _has(person: Person, name: str) -> bool:
    return name in person.table.values


def _strangers(
    held: Mapping[str, Sequence[tuple[Person, Windows]]],
) -> Iterator[tuple[Windows, Windows]]:
    """Two people of different videos, who are not one participant."""
    everybody = [(v, p.participant.id, w) for v, found in held.items() for p, w in found]
    for (v, who, a), (w, other, b) in permutations(everybody, 2):
        if v != w and who != other:
            yield a, b


def _fill(
    row: Synchrony,
    a: Windows,
    b: Windows,
    strangers: list[tuple[Windows, Windows]],
    settings: SynchronySettings,
    seed: int,
) -> None:
    both = _together(a, b)
    row.windows = len(both)
    if not len(both):
        row.why_blank = "no window in which both are known and move"
        return
    r, lags, at_once = peaks(a.inner[both], b.outer[both])
    row.correlation, row.at_once = pooled(r), pooled(at_once)
    row.lag = float(np.median(lags)) / settings.rate
    rng = np.random.default_rng(seed)
    found = list(_by_pairs(strangers, rng)) if settings.null == "pairs" else []
    row.null = "pairs"
    if len(found) < FEWEST:
        row.null, found = "windows", list(_by_windows(a, b, both, rng))
    row.surrogates = len(found)
    if not found:
        row.null, row.why_blank = "", "chance is not known: one window, and too few other pairs"
        return
    row.chance = float(np.mean(found))
    row.p = (1 + sum(each >= row.correlation for each in found)) / (1 + len(found))


def _together(a: Windows, b: Windows) -> np.ndarray:
    """Indices of windows that both have."""
    many = min(len(a.known), len(b.known))
    return np.flatnonzero(a.known[:many] & b.known[:many])


def _by_pairs(
    strangers: list[tuple[Windows, Windows]], rng: np.random.Generator
) -> Iterator[float]:
    order = rng.permutation(len(strangers))[:MOST]
    for place in order:
        a, b = strangers[place]
        both = _together(a, b)
        if len(both):
            yield pooled(peaks(a.inner[both], b.outer[both])[0])


def _by_windows(
    a: Windows, b: Windows, both: np.ndarray, rng: np.random.Generator
) -> Iterator[float]:
    """Every window against another one: the other's windows moved round by at least one."""
    if len(both) < 2:
        return
    moves = np.arange(1, len(both))
    for move in rng.permutation(moves)[:MOST]:
        yield pooled(peaks(a.inner[both], b.outer[np.roll(both, move)])[0])
