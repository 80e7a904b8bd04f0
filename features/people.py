"""`python -m features.people STORE`: who is on screen when, by the faces tracks of a store.

Data flow: faces tracks > stretches of time in which somebody is in view > table, a line a video.

    python -m features.people data/demo/tracks         # table and summary
    python -m features.people tracks --out people.csv  # table as a file, and summary

Where `left` and `right` are told apart, `main` is one of them and stands in the table twice; the
summary counts them once. Ready-made crops show when somebody is in view, but not where.

Letters: F frames of a video.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import ClassVar

import numpy as np

from features.cli.app import FAILED, OK, run
from features.cli.default_corpus import DEMO_ROOT, default_store
from features.cli.progress import ProgressReport
from features.cli.wording import counted
from features.errors import UserError
from features.pipeline.planner import FACES
from features.store.atomic_file import write_atomically
from features.store.feature_track import MAIN, DamagedTrack, FeatureTrack
from features.store.track_store import TrackStore


@dataclass
class PeopleSettings:
    """Settings of the table.

    Args:
        store: Folder of the tracks; its name alone will do. None: the demo corpus's.
        out: CSV file for the table; without one it is printed.
        max_gap: Longest time out of view, in seconds, that does not end a stretch.
    """

    POSITIONAL: ClassVar[str] = "store"

    store: Path | None = None
    out: Path | None = None
    max_gap: float = 1.0


@dataclass(frozen=True)
class Stretch:
    """Somebody in view from one moment to another.

    Attributes:
        video: Id of the video.
        person: `main`, `left`, `right`, `person3` and so on.
        from_s: Seconds at which the first frame begins.
        to_s: Seconds at which the last frame ends.
        frames: Frames in view; at most those between.
        x: Mean of the middle of the face, pixels from the left.
        y: The same from the top.
        side: Mean side of the face in pixels: root of the box's area.
    """

    video: str
    person: str
    from_s: float
    to_s: float
    frames: int
    x: float
    y: float
    side: float


def stretches(track: FeatureTrack, max_gap: float) -> list[Stretch]:
    """When somebody is in view, by a faces track.

    Args:
        track: Its frames are F.
        max_gap: Longest time out of view, in seconds, that does not end a stretch.
    """
    rows = np.flatnonzero(track.valid)
    if not len(rows):
        return []
    parted = (np.diff(rows) > 1) & (np.diff(track.times[rows]) > max_gap)
    parts = np.split(rows, np.flatnonzero(parted) + 1)
    ends = _ends(track.times)
    return [_stretch(track, part, float(ends[part[-1]])) for part in parts]


def _stretch(track: FeatureTrack, rows: np.ndarray, end: float) -> Stretch:
    boxes = track.values[rows, :4].astype(np.float64)
    x, y = ((boxes[:, :2] + boxes[:, 2:]) / 2).mean(axis=0)
    side = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1).clip(0)).mean()
    start, info = float(track.times[rows[0]]), track.info
    return Stretch(info.video, info.person, start, end, len(rows), float(x), float(y), float(side))


def _ends(times: np.ndarray) -> np.ndarray:
    """(F,) when each frame gives way to the next; the last one stays as long as is usual."""
    step = np.median(np.diff(times)) if len(times) > 1 else 0.0
    return np.append(times[1:], times[-1:] + step)


def read_tracks(store: TrackStore) -> Iterator[FeatureTrack | DamagedTrack]:
    """Every faces track of a store, or what is wrong with it.

    Raises:
        UserError: If there is none.
    """
    ids = store.ids(FACES)
    if not ids:
        raise UserError(f"{store.root}: no faces tracks in it; run python -m features.extract")
    with ProgressReport("people", len(ids)) as progress:
        for name in ids:
            try:
                yield store.read(FACES, name)
            except DamagedTrack as error:
                yield error
            progress.step(name)


def summary(tracks: Sequence[FeatureTrack]) -> str:
    """One line on one video: how many people, and the seconds that each is in view."""
    people: list[FeatureTrack] = []
    for track in sorted(tracks, key=lambda one: one.info.person == MAIN):  # who may be another
        if track.valid.any() and not any(_equal(track, one) for one in people):
            people.append(track)
    count = counted(len(people), "person", "people")
    seen = [f", {track.info.person} {_seconds(track):.1f} s" for track in people]
    length = _ends(tracks[0].times)[-1:].sum()
    return f"{tracks[0].info.video}: {count} in {length:.1f} s{''.join(seen)}"


def _equal(track: FeatureTrack, other: FeatureTrack) -> bool:
    """Whether two tracks show the same faces."""
    return np.array_equal(track.values, other.values) and np.array_equal(track.valid, other.valid)


def _seconds(track: FeatureTrack) -> float:
    """Seconds in view."""
    return float((_ends(track.times) - track.times)[track.valid].sum())


def table(rows: Sequence[Stretch]) -> str:
    """CSV with a header and a row a stretch."""
    import pandas as pd  # takes a third of a second

    frame = pd.DataFrame(rows, columns=[field.name for field in fields(Stretch)])
    for names, places in ((["from_s", "to_s"], 3), (["x", "y", "side"], 1)):
        frame[names] = frame[names].map(f"{{:.{places}f}}".format)
    return str(frame.to_csv(index=False, lineterminator="\n"))


def command(settings: PeopleSettings) -> int:
    """Prints or writes the table, then a line a video."""
    if settings.max_gap < 0:
        raise UserError(f"--max_gap {settings.max_gap} must not be negative")
    store = TrackStore(settings.store or default_store(DEMO_ROOT))
    found = list(read_tracks(store))
    damaged = [one for one in found if isinstance(one, DamagedTrack)]
    tracks = sorted((one for one in found if isinstance(one, FeatureTrack)), key=_video)
    text = table([row for track in tracks for row in stretches(track, settings.max_gap)])
    if settings.out:
        write_atomically(settings.out, text.encode())
    else:
        print(text)
    for _, some in groupby(tracks, key=_video):
        print(summary(list(some)))
    for error in damaged:
        print(f"left out, for it is damaged (see python -m features.verify): {error}")
    return FAILED if damaged else OK


def _video(track: FeatureTrack) -> str:
    return track.info.video


main = partial(run, PeopleSettings, command, prog="features.people", description=__doc__ or "")

if __name__ == "__main__":
    main()
