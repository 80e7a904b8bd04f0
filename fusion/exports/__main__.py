"""`python -m fusion.exports`: predictions and events as files that other programs read.

Data flow: predictions + rules + reviews > frames and events of each video > files of each format.

    python -m fusion.exports predictions --format elan,praat --videos clips
    python -m fusion.exports predictions --format excel --review review.json
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

from features.cli.app import FAILED, OK, run
from features.cli.progress import ProgressReport
from features.cli.wording import closing_lines, counted
from features.errors import UserError
from features.pipeline.discovery import find_sources
from fusion.events.binding import with_measures
from fusion.events.event_list import events_of
from fusion.events.rules import RuleSet, read_rules
from fusion.exports.base import ExportPerson, ExportVideo
from fusion.tables.folder import PredictionFolder, VideoTables
from fusion.tables.settings import TablesSettings

COMMON = "dataset_description.json"
"""A file of all videos."""


@dataclass
class ExportSettings(TablesSettings):
    """Settings of an export. What is said of a face of little validity is no event and no class;
    frames keep all.

    Args:
        format: Formats, separated by commas: elan, praat, boris, openface, bids, webvtt, jsonl,
            parquet, excel.
        videos: Video or folder of videos, to be linked.
    """

    ESSENTIAL: ClassVar[tuple[str, ...]] = (
        *("format", "rules", "review", "videos", "min_validity", "out"),
    )

    format: list[str] = field(default_factory=list)
    videos: Path | None = None


@dataclass
class ExportSummary:
    """What was written.

    Attributes:
        files: In their order.
        failures: Id or video, and format, to cause.
        remarks: What is odd, though written.
    """

    files: list[Path] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def print(self) -> None:
        """Prints the closing lines."""
        files = counted(len(dict.fromkeys(self.files)), "file")
        print("\n".join(closing_lines(files, self.files, self.remarks, self.failures)))


def export(settings: ExportSettings) -> ExportSummary:
    """Writes all formats of all videos; one that fails never stops the others.

    Raises:
        UserError: If formats, rules or reviews make no sense, or there is nothing.
    """
    from fusion.exports.formats import chosen

    formats, rules = chosen(settings.format), read_rules(settings.rules)
    folder = PredictionFolder.of(settings.pred, settings.review)
    sources = find_sources(settings.videos) if settings.videos else []
    media = {source.id: source.files[0] for source in sources if source.files}
    out = settings.folder("export")
    summary, owners = ExportSummary(), dict[Path, str]()
    missing: list[dict[str, str]] = []
    with ProgressReport("export", len(folder)) as progress:
        for tables in folder.read():
            if not tables.people:
                continue
            video = video_of(tables, rules, settings.min_validity, media.get(tables.video))
            missing += [person.found.missing for person in video.people]
            for each in formats:
                try:
                    files = each.write(video, out)
                    _require_own(files, video.video, owners)
                    summary.files += files
                except UserError as error:
                    summary.failures[f"{video.video}, {each.name}"] = str(error)
            if settings.videos and video.media is None:
                summary.remarks.append(f"{video.video}: no such video to link")
            progress.step(video.video)
    summary.failures |= folder.failures
    summary.remarks += rules.remarks(missing)
    return summary


def _require_own(files: list[Path], video: str, owners: dict[Path, str]) -> None:
    """UserError where the names of two videos became one in a format; all share `COMMON`."""
    for path in files:
        other = owners.setdefault(path, video)
        if other != video and path.name != COMMON:
            raise UserError(f"{path} is of '{other}' too and was written over; rename one")


def video_of(
    tables: VideoTables, rules: RuleSet, min_validity: float, media: Path | None
) -> ExportVideo:
    """What formats are given of a video."""
    people = []
    for id, table in tables.people.items():
        found = events_of(table.trusted(min_validity), rules, tables.marked.get(id, ()))
        people.append(ExportPerson(with_measures(table, rules.measures), found))
    return ExportVideo(tables.video, tuple(people), media)


def command(settings: ExportSettings) -> int:
    """Exports and prints a summary."""
    summary = export(settings)
    summary.print()
    return FAILED if summary.failures else OK


main = partial(run, ExportSettings, command, prog="fusion.exports", description=__doc__ or "")

if __name__ == "__main__":
    main()
