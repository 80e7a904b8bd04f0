"""How far the work on one source is. Data flow: signs of life > frames and sound so far > share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from features.cli.progress import on_beat
from features.execution.sharding import SOUND_COST, extent_of
from features.pipeline.discovery import Source

if TYPE_CHECKING:  # loads torch
    from features.pipeline.extractor import Extractor

Progress = Callable[[float], object]
"""Is told the share of the work that is done, which rises to 1; from whichever thread works."""
STEP = 0.01
"""Least rise of the share that is told."""


@contextmanager
def telling(progress: Progress | None, source: Source, extractor: "Extractor") -> Iterator[None]:
    """Tells within how far the work on a source is, by its frames and its sound."""
    if progress is None:
        yield
        return
    cost, lock, last = max(extent_of(source).cost, 1.0), Lock(), 0.0
    heard = [one.name for one in extractor.encoders if hasattr(one, "encode_sound")]
    before = dict(extractor.times.amount)

    def tell() -> None:
        nonlocal last
        amount = {name: n - before.get(name, 0.0) for name, n in extractor.times.amount.items()}
        sound = sum(amount.get(name, 0.0) for name in heard) / max(len(heard), 1)
        share = min(0.99, (amount.get("find faces", 0.0) + SOUND_COST * sound) / cost)
        with lock:
            if share >= last + STEP:
                last = share
                progress(share)

    with on_beat(tell):
        yield
    progress(1.0)
