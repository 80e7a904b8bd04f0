"""What an extraction would do and how long it would take.

Data flow: what each source lacks > frames, sound, bytes by the headers; the first seconds of one or
two items through the real readers and encoders, into a folder that is thrown away > seconds a frame
> CostEstimate.

The sample is measured in one process with as many threads as a worker has. So many workers are
taken to be so many times as fast, as long as there are items for all of them.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from features.cli.wording import counted, in_words
from features.encoders.base import Description
from features.errors import UserError
from features.execution.sharding import Extent, extent_of
from features.faces.person_track import FACE_COLUMNS
from features.faces.precropped import crop_numbers
from features.media.timeline import read_timeline
from features.pipeline.discovery import Source
from features.pipeline.planner import Plan
from features.store.temp_folders import scratch_folder

if TYPE_CHECKING:  # loads torch, which is not needed where there is nothing to measure
    from features.pipeline.extractor import Extractor

SAMPLE_SECONDS = 4.0
"""Length of what is measured of an item."""
SAMPLE_RATE = 25
"""Pictures that stand for a second of ready-made crops."""
ROW_BYTES = 9
"""Bytes of the time and the validity of a row."""


@dataclass(frozen=True)
class CostEstimate:
    """What an extraction would do.

    Attributes:
        store: Where tracks would go.
        frames: Frames of the items that lack something.
        sound: Seconds of their sound.
        bytes: What would be written, for one person a video.
        seconds: How long it would take here; None if nothing could be measured.
        sampled: Items whose first seconds were measured.
        workers: Worker processes that would do it; 0: this process.
    """

    store: Path
    frames: int
    sound: float
    bytes: float
    seconds: float | None
    sampled: int
    workers: int = 0

    def __str__(self) -> str:
        """One line a figure."""
        there = next(path for path in (self.store, *self.store.absolute().parents) if path.exists())
        free = shutil.disk_usage(there).free
        about = "unknown: no item could be measured"
        if self.seconds is not None:
            workers = counted(self.workers, "worker process", "worker processes")
            about = f"about {in_words(self.seconds)} here, with {workers}"
            sampled = counted(self.sampled, "item")
            about += f" (by the first {SAMPLE_SECONDS:g} s of {sampled})" if self.sampled else ""
        return (
            f"  frames: {self.frames}\n"
            f"  sound: {in_words(self.sound) if self.sound else 'none'}\n"
            f"  to be written: about {self.bytes / 1e6:.1f} MB to {self.store}"
            f" ({free / 1e6:.0f} MB free)\n"
            f"  time: {about}"
        )


def estimate_cost(
    plans: Sequence[Plan],
    store: Path,
    extractor_in: "Callable[[Path], Extractor]",
    workers: int = 0,
) -> CostEstimate:
    """Adds up headers and measures a sample.

    Args:
        plans: What is to be done.
        store: Where tracks would go.
        extractor_in: Makes the extractor of these settings for another store.
        workers: Worker processes that would do it; 0: this process.
    """
    extents = {plan.source.id: extent_of(plan.source) for plan in plans}
    groups: dict[tuple[object, ...], list[Plan]] = {}
    for plan in sorted(plans, key=lambda plan: -extents[plan.source.id].cost):
        needs = plan.faces, *(e.name for e in (*plan.visual, *plan.audio, *plan.files))
        groups.setdefault(needs, []).append(plan)
    seconds, longest, sampled = 0.0, 0.0, 0
    for group in groups.values():
        spent, cost, items = _sample(group, extractor_in)
        costs = [extents[plan.source.id].cost for plan in group]
        seconds += spent / cost * sum(costs) if cost else 0.0
        longest = max(longest, spent / cost * max(costs) if cost else 0.0)
        sampled += items
    return CostEstimate(
        store=store,
        frames=sum(extent.frames for extent in extents.values()),
        sound=sum(extent.sound for extent in extents.values()),
        bytes=sum(_bytes(plan, extents[plan.source.id]) for plan in plans),
        seconds=max(seconds / max(workers, 1), longest) if sampled or not plans else None,
        sampled=sampled,
        workers=workers,
    )


def _sample(
    plans: Sequence[Plan], extractor_in: "Callable[[Path], Extractor]"
) -> tuple[float, float, int]:
    """Seconds, cost and number of the samples of a costly item and a usual one of a kind."""
    seconds, cost, items = 0.0, 0.0, 0
    with scratch_folder("plan") as folder:
        extractor = extractor_in(Path(folder, "tracks"))
        for number in sorted({0, len(plans) // 2}):
            try:
                if number == 0:  # weights are loaded in the first second of work
                    _measure(plans[0], extractor, 1.0)
                spent, done = _measure(plans[number], extractor, SAMPLE_SECONDS)
            except UserError:  # extraction will name the fault
                continue
            seconds, cost, items = seconds + spent, cost + done, items + 1
    return seconds, cost, items


def _measure(plan: Plan, extractor: "Extractor", most: float) -> tuple[float, float]:
    """Seconds that the first `most` seconds of an item take, and what they cost."""
    extractor.most = most
    cost = _first_of(plan.source, most).cost  # has read the packets, which no sample should count
    if plan.visual and not plan.faces:
        extractor.work(Plan(plan.source, True, (), ()))
        plan = replace(plan, people=extractor.plan(plan.source).people)  # fewer than in all of it
    began = time.perf_counter()
    extractor.work(plan)
    return time.perf_counter() - began, cost


def _first_of(source: Source, most: float) -> Extent:
    """How much there is in the first seconds of a source; MediaError if it cannot be read."""
    rows = round(most * SAMPLE_RATE)
    if source.video:
        rows = int((read_timeline(source.video).times < most).sum())
    frames = rows if source.video else 0
    if source.crops:
        frames = sum(int((crop_numbers(one) <= rows).sum()) for one in source.crops.values())
    return Extent(frames, min(extent_of(source).sound, most))


def _bytes(plan: Plan, extent: Extent) -> float:
    """Bytes of the tracks, without headers."""
    faces = extent.frames * (4 * len(FACE_COLUMNS) + ROW_BYTES) if plan.faces else 0
    visual = extent.frames * sum(map(_row_bytes, plan.visual))
    audio = sum(extent.sound * e.token_rate * _row_bytes(e) for e in plan.audio)
    return faces + visual + audio


def _row_bytes(encoder: Description) -> int:
    """Bytes of one row of all streams of an encoder, in float16."""
    return sum(2 * dim + ROW_BYTES for dim in encoder.streams.values())
