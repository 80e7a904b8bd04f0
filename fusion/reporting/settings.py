"""What a report is told, and what it says at its end.

Its defaults of predicting are those of `python -m fusion.predict` (a test holds them together).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from features.cli.wording import closing_lines, counted
from fusion.reporting.film import Faces
from fusion.reporting.truth import TruthSettings

Format = Literal["html", "png", "svg", "pdf"]
NO_RULES = "none"
"""Instead of rules: no events."""


@dataclass
class ReportSettings:
    """Settings of the report.

    Args:
        pred: Video or sound file, which is predicted if it was not yet; or folder of predictions,
            as fusion.predict writes them.
        data: Where truth is.
        store: Folder of tracks, whose prosody shows how loud it is. None: `ROOT/tracks`, if there.
        videos: Video or folder of videos, for the sound of those without a prosody track, and for
            the clips of pages. None: where they lay when they were predicted.
        out: Folder for what is made, or of a video's page the file. None: `report` in the folder of
            predictions, and `VIDEO.html` here for the page of a video.
        id: Ids to draw, separated by commas. None: all.
        format: html is a page to look through, with the clip; the others are pictures. None: html
            for a video, png for a folder.
        predictions: Folder where the predictions of a video are, or go.
        checkpoint: Model that predicts a video.
        device: Where it computes.
        embed: auto puts clips of up to 48 MB into the page, never has it find them where they are.
        review: `review.json`, as saved from a page, to go on with.
        rules: File of rules, or a shipped one by name, for the events of pages. None: the shipped
            `events`, of which rules are passed over whose columns are not there. none: no events.
        overlay: An mp4, for the video anew with boxes, words and a timeline in its pictures.
        faces: What is done to the faces in it: boxes with what is said, blur, or none. Only those
            who were predicted are blurred; predict with --persons all for everybody.
    """

    POSITIONAL: ClassVar[str] = "pred"
    ESSENTIAL: ClassVar[tuple[str, ...]] = (
        "format",
        "data.root",
        "data.truth",
        "store",
        "videos",
        "out",
        "id",
        "checkpoint",
        "embed",
        "review",
        "rules",
        "overlay",
        "faces",
    )

    pred: Path
    data: TruthSettings = field(default_factory=TruthSettings)
    store: Path | None = None
    videos: Path | None = None
    out: Path | None = None
    id: str | None = None
    format: Format | None = None
    predictions: Path = Path("predictions")
    checkpoint: Path | None = None
    device: str = "auto"
    embed: Literal["auto", "never"] = "auto"
    review: Path | None = None
    rules: str | None = None
    overlay: Path | None = None
    faces: Faces = "boxes"


@dataclass
class ReportSummary:
    """What a report did.

    Attributes:
        pictures: Id to the picture made of it.
        failures: Id to cause.
        remarks: Id to what is odd, though drawn.
        pages: Video to the page made of it; the index under no name.
        overlays: Video to the film made of it.
    """

    pictures: dict[str, Path] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    pages: dict[str, Path] = field(default_factory=dict)
    overlays: dict[str, Path] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """What the command says at its end."""
        made = [counted(len(self.pages), "page")] if self.pages else []
        made += [counted(len(self.overlays), "film")] if self.overlays else []
        made += [counted(len(self.pictures), "picture")] if self.pictures or not made else []
        files = (*self.pictures.values(), *self.pages.values(), *self.overlays.values())
        remarks = [f"{name}: {remark}" for name, remark in self.remarks.items()]
        yield from closing_lines(", ".join(made), files, remarks, self.failures)
