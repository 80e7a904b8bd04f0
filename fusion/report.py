"""`python -m fusion.report`: one picture for each predicted video.

Data flow: predictions, and truth and loudness where they are found > timeline > `ID.png`.

    python -m fusion.report predictions
    python -m fusion.report predictions --data.root /data/Aff-Wild2 --id 12,12_left
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from features.cli.app import FAILED, OK, run
from features.cli.default_corpus import default_store
from features.cli.progress import ProgressReport
from features.cli.wording import counted
from features.errors import UserError
from features.pipeline.discovery import find_sources
from features.store.track_store import TrackStore
from fusion.abaw.reading.annotations import CorpusKind, read_truth
from fusion.corpora import read_corpus
from fusion.data.prediction_files import list_predictions, read_predictions
from fusion.data.predictions import FramePredictions
from fusion.tasks.labels import FrameLabels, TaskLabels

if TYPE_CHECKING:  # loads matplotlib
    from fusion.reporting.timeline import Envelope


@dataclass
class TruthSettings:
    """Where truth is.

    Args:
        root: Folder of the corpus with its annotations. None: no truth is drawn.
        truth: Folder with the labels of test videos, if you have them. None: `ROOT_truth` beside
            the corpus, if there is such a folder.
        challenge: Which of ABAW's annotations count in a folder that holds both: of single tasks,
            or the multi-task ones (mtl). auto: there must be only one kind.
    """

    root: Path | None = None
    truth: Path | None = None
    challenge: CorpusKind = "auto"


@dataclass
class ReportSettings:
    """Settings of the report.

    Args:
        pred: Folder of predictions, as fusion.predict writes them.
        data: Where truth is.
        store: Folder of tracks, whose prosody shows how loud it is. None: `ROOT/tracks`, if there.
        videos: Video or folder of videos, to read the sound of those without a prosody track.
        out: Folder for the pictures. None: `report` in the folder of predictions.
        id: Ids to draw, separated by commas. None: all.
    """

    POSITIONAL: ClassVar[str] = "pred"
    ESSENTIAL: ClassVar[tuple[str, ...]] = (
        "data.root",
        "data.truth",
        "store",
        "videos",
        "out",
        "id",
    )

    pred: Path
    data: TruthSettings = field(default_factory=TruthSettings)
    store: Path | None = None
    videos: Path | None = None
    out: Path | None = None
    id: str | None = None


@dataclass
class ReportSummary:
    """What a report did.

    Attributes:
        pictures: Id to the picture made of it.
        failures: Id to cause.
        remarks: Id to what is odd, though drawn.
    """

    pictures: dict[str, Path] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)

    def print(self) -> None:
        """Prints the closing lines."""
        for path in self.pictures.values():
            print(path)
        for name, remark in self.remarks.items():
            print(f"  remark: {name}: {remark}")
        for name, cause in self.failures.items():
            print(f"  failed: {name}: {cause}")
        print(f"{counted(len(self.pictures), 'picture')}, {len(self.failures)} failed")


def report(settings: ReportSettings) -> ReportSummary:
    """Draws what is asked for; one bad item never stops the others.

    Raises:
        UserError: If there are no predictions, an id is unknown, or the truth cannot be read.
    """
    paths = choose(list_predictions(settings.pred), settings.id, settings.pred)
    truth = read_labels(settings.data)
    sound = SoundFinder.of(settings)
    out = settings.out or settings.pred / "report"
    summary = ReportSummary()
    with ProgressReport("report", len(paths)) as progress:
        for name, path in paths.items():
            try:
                predictions = read_predictions(path)
                picture = out / f"{name}.png"
                _draw(predictions, truth.get(name), sound.find(predictions.video), picture)
            except UserError as error:
                summary.failures[name] = str(error)
            else:
                summary.pictures[name] = picture
                summary.remarks |= _remark(predictions, truth.get(name))
            progress.step(name)
    return summary


def choose(paths: dict[str, Path], ids: str | None, folder: Path) -> dict[str, Path]:
    """The paths of the wanted ids, all if `ids` is None.

    Raises:
        UserError: If there is nothing to choose from, or an id is not there.
    """
    if not paths:
        raise UserError(f"{folder}: no predictions in it (.parquet or .csv); run fusion.predict")
    if ids is None or ids in paths:
        return paths if ids is None else {ids: paths[ids]}
    wanted = [name.strip() for name in ids.split(",") if name.strip()]
    for name in wanted:
        if name not in paths:
            near = difflib.get_close_matches(name, paths, n=1, cutoff=0.0)[0]
            raise UserError(f"{folder}: no predictions of '{name}'; did you mean '{near}'?")
    return {name: paths[name] for name in wanted}


def read_labels(data: TruthSettings) -> dict[str, FrameLabels]:
    """Labels by id from the corpus and from the folder of test truth; empty without folders.

    Raises:
        UserError: If a folder has no annotations or a bad one.
    """
    clips = read_corpus(data.root, data.challenge) if data.root else []
    beside = data.root.with_name(f"{data.root.name}_truth") if data.root else None
    truth = data.truth or (beside if beside and beside.is_dir() else None)
    clips += read_truth(truth, data.challenge) if truth else []
    by_id: dict[str, list[FrameLabels]] = {}
    for clip in clips:
        by_id.setdefault(clip.id, []).append(clip.labels)
    return {name: merge(labels) for name, labels in by_id.items()}


def merge(parts: Iterable[FrameLabels]) -> FrameLabels:
    """All labels of one id, which may have different tasks in different splits; the first wins."""
    parts = list(parts)
    if len(parts) == 1:  # labels of a whole clip, or by time, stay what they are
        return parts[0]
    frames = max(map(len, parts))
    merged: dict[str, TaskLabels] = {}
    for part in (labels.resized(frames) for labels in parts):
        for task, new in part.by_task.items():
            first = merged.setdefault(task, new)
            fresh = new.mask & ~first.mask
            first.values[fresh] = new.values[fresh]
            first.mask[fresh] = True
    return FrameLabels(frames, merged)


@dataclass(frozen=True)
class SoundFinder:
    """Where loudness comes from.

    Attributes:
        store: The tracks, asked first.
        media: Video id to its files, the one that is heard first before the others.
    """

    store: TrackStore | None
    media: dict[str, tuple[Path, ...]]

    @staticmethod
    def of(settings: ReportSettings) -> "SoundFinder":
        """Looks where the settings say; UserError if a named folder is absent or empty."""
        if settings.store and not settings.store.is_dir():
            raise UserError(
                f"{settings.store}: no such folder of tracks; features.extract makes it"
            )
        root = settings.data.root
        folder = settings.store or (default_store(root) if root else None)
        sources = find_sources(settings.videos) if settings.videos else []
        media = {source.id: source.files for source in sources}
        return SoundFinder(TrackStore(folder) if folder else None, media)

    def find(self, video: str) -> "Envelope | None":
        """Loudness of a video, None if nothing tells; UserError for a damaged track or file."""
        from fusion.reporting.loudness import envelope_of_media, envelope_of_store

        envelope = envelope_of_store(self.store, video) if self.store else None
        for path in () if envelope else self.media.get(video, ()):
            envelope = envelope or envelope_of_media(path)
        return envelope


def _draw(
    predictions: FramePredictions,
    labels: FrameLabels | None,
    envelope: "Envelope | None",
    picture: Path,
) -> None:
    if not len(predictions):
        raise UserError("predictions without a single frame; nothing to draw")
    from fusion.reporting.timeline import draw_timeline

    draw_timeline(predictions, labels, envelope, picture)


def _remark(predictions: FramePredictions, labels: FrameLabels | None) -> dict[str, str]:
    """Says that truth and predictions differ in length, which the real set often has."""
    rows = labels.rows_for(len(predictions)) if labels else 0
    if rows in (0, len(predictions)):
        return {}
    frames = counted(len(predictions), "frame")
    counts = f"{counted(rows, 'row')} of labels, {frames}"
    return {predictions.id: f"{counts}; matched by frame number"}


def command(settings: ReportSettings) -> int:
    """Draws the report and prints its summary."""
    summary = report(settings)
    summary.print()
    return FAILED if summary.failures else OK


main = partial(run, ReportSettings, command, prog="fusion.report", description=__doc__ or "")

if __name__ == "__main__":
    main()
