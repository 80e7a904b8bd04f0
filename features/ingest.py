"""Takes features that another program computed into the store.

Data flow: file or folder of CSV, OpenFace CSV, npy or npz > Table > FeatureTrack > store.

    python -m features.ingest --input openface/ --store tracks/ --stream openface
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from features.cli.app import FAILED, OK, run
from features.cli.progress import ProgressReport
from features.cli.wording import counted
from features.errors import UserError
from features.importers.tables import SUFFIXES, Table, read_table
from features.media.kinds import by_ending
from features.pipeline.known_clocks import IMPORTED, KnownClocks, require_possible
from features.store.feature_track import SOUND, DamagedTrack, FeatureTrack, TrackInfo
from features.store.fingerprint import settings_hash, sha256_of
from features.store.track_store import Status, TrackStore

CLIP_LEVEL = "clip-level"
"""`TrackInfo.notes` of a track whose one token, at 0 s, stands for the whole clip."""


@dataclass(frozen=True)
class IngestSettings:
    """Settings of features.ingest.

    Args:
        input: A file or a folder of files: .csv with a header, .npy (T, D), or .npz with values
            and, if there are, times and valid. A file's stem is the video's id; _left or _right at
            its end names the person. A CSV with a column id (or clip, video, name, file) and
            neither time nor frame has one row a clip.
        store: Folder of the tracks.
        stream: Name of the stream to make.
        fps: Rows or frame numbers per second, where the file has no times; overrides those it has.
        times_from: Stream of the store whose times the frames have: frame n gets its n-th time.
            Right for videos of uneven frame rate.
        first_frame: Number of a video's first frame in the frame column. If not given, 1 for
            OpenFace, else 0.
        columns: Regular expressions of the names of the columns to take. If none, all; of OpenFace,
            the action units.
        min_confidence: OpenFace frames below this confidence are not valid.
        time_unit: Unit of the times that files have: s, or ms.
        sound: Whether the features are of the video's sound and so of no person.
    """

    POSITIONAL: ClassVar[str] = "input"

    input: Path
    store: Path
    stream: str
    fps: float | None = None
    times_from: str | None = None
    first_frame: int | None = None
    columns: list[str] = field(default_factory=list)
    min_confidence: float = 0.8
    time_unit: Literal["s", "ms"] = "s"
    sound: bool = False


def ingest(settings: IngestSettings) -> int:
    """Makes tracks of all files, prints a summary and returns the exit status."""
    if settings.fps is not None and not settings.fps > 0:
        raise UserError(f"--fps {settings.fps} must be above 0")
    store = TrackStore(settings.store)
    clocks, unheld = KnownClocks(store), list[str]()
    files = _files(settings.input)
    owners: dict[str, Path] = {}
    widths: dict[int, Path] = {}
    counts = {True: 0, False: 0}
    failed = []
    with ProgressReport("ingest", len(files)) as progress:
        for path in files:
            try:
                for track in _tracks(path, settings, store, clocks):
                    _check_alone(track, path, owners, widths)
                    unheld += _hold(path, track, settings, clocks)
                    counts[_write(track, store)] += 1
            except UserError as error:
                message = str(error)
                failed.append(message if str(path) in message else f"{path}: {message}")
            progress.step(path.name)
    written = counted(counts[True], "track")
    print(
        f"{counted(len(files), 'file')}: {written} written, {counts[False]} ready before,", end=""
    )
    print(f" {len(failed)} failed")
    if unheld:
        known = "no track or file of the video is there to hold them against"
        print(f"  times taken as they are, since {known}: {counted(len(unheld), 'track')},"
              f" such as {unheld[0]}")  # fmt: skip
    for message in failed:
        print(f"  failed: {message}")
    print(f"tracks: {settings.store / settings.stream}")
    return FAILED if failed else OK


def _files(source: Path) -> list[Path]:
    """The files to read; UserError if there is none."""
    if source.is_file() and source.suffix.lower() in SUFFIXES:
        return [source]
    if source.is_dir():
        found = [
            p for p in sorted(source.iterdir()) if p.suffix.lower() in SUFFIXES and p.is_file()
        ]
        if found:
            return found
    elif not source.exists():
        raise UserError(f"{source}: no such file or folder; give features by --input")
    raise UserError(f"{source}: no {', '.join(SUFFIXES)} file to ingest; give another --input")


def _hold(
    path: Path, track: FeatureTrack, settings: IngestSettings, clocks: KnownClocks
) -> list[str]:
    """Holds times against what is known of the video; the id if nothing is."""
    if settings.times_from is not None or track.info.notes == CLIP_LEVEL:
        return []
    known = clocks.length(track.info.id, track.info.video)
    if known and settings.sound:  # tokens of sound may be as many as frames, by chance
        known = replace(known, frames=known.frames[:0])
    require_possible(path, track.times, known)
    return [] if known else [track.info.id]


def _tracks(
    path: Path, settings: IngestSettings, store: TrackStore, clocks: KnownClocks
) -> Iterator[FeatureTrack]:
    """The file's tracks: one, or one a row if each row is a clip."""
    table = read_table(path, settings.columns, settings.min_confidence)
    source = sha256_of(path)
    if not table.ids:
        info = _info(path.stem, source, table, settings, clocks)
        times = _times(path, table, settings, store, info.id)
        _check_rising(path, table, times)
        yield FeatureTrack(table.values, times, table.valid, info)
    for row, clip in enumerate(table.ids):
        name = clip.removesuffix(Path(clip).suffix) if by_ending(Path(clip)) else clip
        info = _info(name, source, table, settings, clocks, notes=CLIP_LEVEL)
        yield FeatureTrack(table.values[row, None], np.zeros(1), table.valid[row, None], info)


def _info(
    name: str,
    source: str,
    table: Table,
    settings: IngestSettings,
    clocks: KnownClocks,
    notes: str = "",
) -> TrackInfo:
    """Where a track comes from."""
    video, person = (name, SOUND) if settings.sound else clocks.whose(name)
    made: list[object] = [table.columns, settings.fps, settings.times_from, settings.first_frame]
    if settings.time_unit != "s":
        made.append(settings.time_unit)
    return TrackInfo(
        video=video,
        person=person,
        stream=settings.stream,
        encoder=IMPORTED,
        revision="",
        settings=settings_hash([*made, settings.min_confidence, person]),
        source=source,
        notes=notes,
        columns=tuple(table.columns),
    )


def _times(
    path: Path, table: Table, settings: IngestSettings, store: TrackStore, track_id: str
) -> np.ndarray:
    """(T,) float64 seconds of the rows of a file."""
    if settings.fps is None and settings.times_from is None:
        if table.times is None:
            raise UserError(f"{path}: no times; give --fps or --times_from, or add a column 'time'")
        return table.times / (1000 if settings.time_unit == "ms" else 1)
    first = table.first_frame if settings.first_frame is None else settings.first_frame
    rows = np.arange(len(table.values)) if table.frames is None else table.frames - first
    if settings.fps is not None:
        return rows / settings.fps
    return _times_of_frames(path, rows, store, str(settings.times_from), track_id)


def _times_of_frames(
    path: Path, rows: np.ndarray, store: TrackStore, stream: str, track_id: str
) -> np.ndarray:
    """Times of frames, numbered from 0, as another stream has them."""
    try:
        times = store.read(stream, track_id).times
    except (FileNotFoundError, DamagedTrack) as error:
        raise UserError(
            f"{path}: no whole track '{track_id}' of --times_from {stream} in the store; extract it"
        ) from error
    if not np.isin(rows, np.arange(len(times))).all():
        raise UserError(
            f"{path}: frames {rows.min():g} to {rows.max():g}, but '{track_id}' of --times_from"
            f" {stream} has 0, 1, ... {len(times) - 1}; see --first_frame"
        )
    found: np.ndarray = times[rows.astype(int)]
    return found


def _check_rising(path: Path, table: Table, times: np.ndarray) -> None:
    """UserError that names the first row whose time is not a number or not after the last one."""
    fine = np.isfinite(times) & (np.diff(times, prepend=-np.inf) > 0)
    if not fine.all():
        row = int(np.argmin(fine))
        raise UserError(
            f"{path}, {table.where(row)}: the time {times[row]:g} s does not come after the last;"
            " give one person's rows in order, or --fps if the times are not true"
        )


def _check_alone(
    track: FeatureTrack, path: Path, owners: dict[str, Path], widths: dict[int, Path]
) -> None:
    """UserError if another file gave this track already, or tracks of another width."""
    if (owner := owners.setdefault(track.info.id, path)) != path:
        raise UserError(f"{path}: '{track.info.id}' comes from {owner} too; rename one of them")
    widths.setdefault(track.dim, path)
    width, model = next(iter(widths.items()))
    if track.dim != width:
        raise UserError(
            f"{path}: {counted(track.dim, 'feature')}, but {model} has {width};"
            " give --columns or another --stream"
        )


def _write(track: FeatureTrack, store: TrackStore) -> bool:
    """Writes the track unless it is there; UserError if an encoder's track would be lost."""
    info = track.info
    status = store.status(info.stream, info.id, info.key)
    if status is Status.STALE and store.info(info.stream, info.id).encoder != IMPORTED:
        raise UserError(
            f"{store.path(info.stream, info.id)} was extracted, not ingested;"
            " choose another --stream"
        )
    if status is not Status.READY:
        store.write(track)
    return status is not Status.READY


main = partial(run, IngestSettings, ingest, prog="features.ingest", description=__doc__ or "")

if __name__ == "__main__":
    main()
