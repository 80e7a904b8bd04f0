"""`python -m fusion.check ROOT`: what a data set holds, and what is wrong with it.

Data flow: folder > Inventory (labels, lists) and Media (videos, pictures) > tables > findings.

    python -m fusion.check /data/Aff-Wild2
    python -m fusion.check /data/annotations --videos /data/videos

Every data set that fusion.corpora reads is served.

No video is decoded. The exit status is 1 if there is a problem, 0 if there are at most remarks.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from features.cli.app import FAILED, OK, run
from features.cli.progress import ProgressReport
from features.errors import UserError
from features.pipeline.discovery import Source, require_distinct
from fusion.abaw.audit.inventory import Inventory
from fusion.abaw.audit.media import Media, VideoFacts, find_media, picture_numbers, video_facts
from fusion.abaw.audit.problems import Findings, find_findings
from fusion.abaw.audit.tables import (
    class_tables,
    face_table,
    label_table,
    length_table,
    list_table,
    media_lines,
    rate_table,
)
from fusion.corpora.inventory import inventory_of

MOST_PEOPLE = 2
"""People in a video whom extraction tells apart unless told otherwise."""


@dataclass
class CheckSettings:
    """Settings of the check.

    Args:
        root: Folder of the data set; `--root` may be left out if it comes first.
        videos: Folder with its videos and pictures, if they are elsewhere. None: `root`.
    """

    POSITIONAL: ClassVar[str] = "root"

    root: Path
    videos: Path | None = None


@dataclass(frozen=True)
class CheckReport:
    """What was found.

    Attributes:
        tables: Title and lines of each table, empty ones left out.
        findings: Problems and remarks.
    """

    tables: dict[str, list[str]]
    findings: Findings

    def print(self) -> None:
        """Prints the tables, then the findings."""
        for title, lines in self.tables.items():
            print(f"{title}\n" + "".join(f"  {line}\n" for line in lines))
        for remark in self.findings.remarks:
            print(f"remark: {remark}")
        for problem in self.findings.problems:
            print(f"PROBLEM: {problem}")
        print(f"problems: {len(self.findings.problems)}, remarks: {len(self.findings.remarks)}")


def check(root: Path, videos: Path | None = None) -> CheckReport:
    """Looks at a data set; a file that cannot be read is a problem and does not stop the rest.

    Raises:
        UserError: If there is no such folder.
    """
    if videos is not None and not videos.is_dir():
        raise UserError(f"{videos}: no such folder; check the path of the videos")
    inventory = inventory_of(root)
    media = find_media(videos or root)
    inventory.annotations = [replace(a, video=media.video_of(a.id)) for a in inventory.annotations]
    inventory.faults += _clashes(media)
    facts, faults = _look_at_videos(media)
    numbers = {i: picture_numbers(folders) for i, folders in media.pictures.items()}
    tables = {
        "Data set": [inventory.origin] if inventory.origin else [],
        "Labels" if inventory.origin else "Label files": label_table(inventory.annotations),
        **class_tables(inventory.annotations),
        "Lists and sample submissions": list_table(inventory),
        "Media": media_lines(media),
        "Frames per second (videos)": rate_table(inventory, media, _rates(inventory, facts)),
        "Label lines less frames of the video (files)": length_table(
            inventory.annotations, media, facts
        ),
        "Frames without a face (no picture)": face_table(inventory, numbers),
    }
    findings = find_findings(inventory, media, facts, faults)
    return CheckReport({title: lines for title, lines in tables.items() if lines}, findings)


def command(settings: CheckSettings) -> int:
    """Prints the report."""
    report = check(settings.root, settings.videos)
    report.print()
    return FAILED if report.findings.problems else OK


def _look_at_videos(media: Media) -> tuple[dict[str, VideoFacts], list[str]]:
    """Facts by id, and complaints about videos that cannot be read."""
    facts, faults = {}, []
    with ProgressReport("videos", len(media.videos)) as progress:
        for name, path in media.videos.items():
            try:
                facts[name] = video_facts(path)
            except UserError as error:
                faults.append(str(error))
            progress.step(name)
    return facts, faults


def _clashes(media: Media) -> list[str]:
    """Complaints about videos with names that tracks of people in other videos would have."""
    videos = [Source(name, path, {}, pictures=True) for name, path in media.videos.items()]
    sounds = [Source(name, path, {}, pictures=False) for name, path in media.sounds.items()]
    names = media.videos.keys()
    try:
        require_distinct([*videos, *(one for one in sounds if one.id not in names)], MOST_PEOPLE)
    except UserError as error:
        return [str(error)]
    return []


def _rates(inventory: Inventory, facts: dict[str, VideoFacts]) -> dict[str, float]:
    """Frame rate by video: of the files, or of the table for those that are not there."""
    return inventory.rates | {name: video.rate for name, video in facts.items()}


main = partial(run, CheckSettings, command, prog="fusion.check", description=__doc__ or "")

if __name__ == "__main__":
    main()
