"""`python -m fusion.report`: a page to look through a clip, or a picture of each predicted video.

Data flow: predictions, truth, sound and clip where they are found > `ID.html`, or `ID.png`.

    python -m fusion.report talk.mp4
    python -m fusion.report predictions
    python -m fusion.report talk.mp4 --overlay seen.mp4 --faces blur
    python -m fusion.report predictions --format html --data.root /data/Aff-Wild2
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from features.cli.app import FAILED, OK, run
from features.cli.progress import ProgressReport
from features.cli.wording import counted
from features.errors import UserError
from features.media import MediaError
from features.media.kinds import by_ending
from fusion.data.prediction_files import list_predictions, read_predictions
from fusion.data.review import read_review
from fusion.events.rules import RuleSet, read_rules
from fusion.predict import PredictSettings
from fusion.reporting.film import Faces
from fusion.reporting.requests import Request, choose, of_folder, of_media
from fusion.reporting.truth import TruthSettings, read_labels

if TYPE_CHECKING:  # loads matplotlib
    from fusion.reporting.page.index import Row
    from fusion.reporting.page.site import Job

Format = Literal["html", "png", "svg", "pdf"]
NO_RULES = "none"
"""Instead of rules: no events."""
PERCENT = 100
"""Steps that an overlay is told in."""


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
    predictions: Path = PredictSettings.out
    checkpoint: Path | None = PredictSettings.checkpoint
    device: str = PredictSettings.device
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

    def print(self) -> None:
        """Prints the closing lines."""
        for path in (*self.pictures.values(), *self.pages.values(), *self.overlays.values()):
            print(path)
        for name, remark in self.remarks.items():
            print(f"  remark: {name}: {remark}")
        for name, cause in self.failures.items():
            print(f"  failed: {name}: {cause}")
        made = [counted(len(self.pages), "page")] if self.pages else []
        made += [counted(len(self.overlays), "film")] if self.overlays else []
        made += [counted(len(self.pictures), "picture")] if self.pictures or not made else []
        print(f"{', '.join(made)}, {len(self.failures)} failed")


def report(settings: ReportSettings) -> ReportSummary:
    """Draws what is asked for; one bad item never stops the others.

    Raises:
        UserError: If there are no predictions, an id is unknown, or truth or rules cannot be read.
    """
    if not settings.pred.exists() and by_ending(settings.pred):
        raise UserError(f"{settings.pred}: no such file; check the path")
    _rules(settings)  # that make no sense are told before anything is predicted
    if settings.pred.is_file():
        return _report_media(settings)
    if settings.overlay:
        raise UserError(f"{settings.pred}: an overlay is of one video; name that instead")
    paths = choose(list_predictions(settings.pred), settings.id, settings.pred)
    out = settings.out or settings.pred / "report"
    if settings.format == "html":
        return _pages(settings, of_folder(paths, settings.videos), out, index=True)
    return _pictures(settings, paths, out, settings.videos)


def _report_media(settings: ReportSettings) -> ReportSummary:
    """Predicts a video if need be, and draws it."""
    request = of_media(settings.pred, settings.predictions, settings.id)
    complete = True
    if not request.people:
        complete = _predict(settings)
        request = of_media(settings.pred, settings.predictions, settings.id)
    if not request.people:
        raise UserError(f"{settings.pred}: nothing was predicted; see the lines above")
    if settings.overlay and settings.format is None:
        summary = ReportSummary()
    elif settings.format in (None, "html"):
        summary = _pages(settings, [request], settings.out or Path(), index=False)
    else:
        out = settings.out or settings.predictions / "report"
        summary = _pictures(settings, request.people, out, settings.videos or settings.pred)
    if settings.overlay:
        summary.overlays[request.video] = _film(settings, settings.overlay, request)
    if not complete:
        summary.failures.setdefault(request.video, "not all of it was extracted; see above")
    return summary


def _film(settings: ReportSettings, out: Path, request: Request) -> Path:
    """Writes the video anew with what was predicted in its pictures."""
    from fusion.reporting.film.overlay import write_overlay

    people = [read_predictions(path) for path in request.people.values()]
    with ProgressReport("overlay", PERCENT) as progress:
        done = 0

        def told(share: float) -> None:
            nonlocal done
            while done < round(share * PERCENT):
                progress.step(settings.pred.name)
                done += 1

        write_overlay(settings.pred, people, out, settings.faces, told)
    return out


def _predict(settings: ReportSettings) -> bool:
    """Predicts the video of the settings; whether all went well."""
    from fusion.predict import command as predict

    chosen = {"checkpoint": settings.checkpoint, "device": settings.device}
    wanted = PredictSettings(input=settings.pred, out=settings.predictions, **chosen)  # type: ignore[arg-type]
    return predict(wanted) == OK


def _pages(
    settings: ReportSettings, requests: list[Request], out: Path, index: bool
) -> ReportSummary:
    """Writes the page of each video, and the index."""
    from fusion.reporting.page.site import INDEX_NAME, page_name, write_index, write_page

    videos = [request.video for request in requests]
    job, summary = _jobs(settings, videos), ReportSummary()
    rules = _rules(settings)
    rows: list[Row] = []
    missing: list[dict[str, str]] = []
    with ProgressReport("report", len(requests)) as progress:
        for request in requests:
            path = out if out.suffix == ".html" else out / page_name(request.video)
            try:
                made = write_page(replace(job(request), rules=rules), path)
            except UserError as error:
                summary.failures[request.video] = str(error)
            else:
                rows += made.rows
                missing += made.missing
                summary.pages[request.video] = path
                if made.remarks:
                    summary.remarks[request.video] = "; ".join(made.remarks)
            progress.step(request.video)
    if rules and not rules.shipped:
        _tell_missing(summary, rules, missing)
    if index and rows:
        write_index(rows, out / INDEX_NAME, settings.pred.resolve().name)
        summary.pages[""] = out / INDEX_NAME
    return summary


def _rules(settings: ReportSettings) -> RuleSet | None:
    return None if settings.rules == NO_RULES else read_rules(settings.rules)


def _tell_missing(summary: ReportSummary, rules: RuleSet, missing: list[dict[str, str]]) -> None:
    """Says which of the user's rules could not be looked for; one that fits nobody is a failure."""
    try:
        if said := rules.remarks(missing):
            summary.remarks["events"] = "; ".join(said)
    except UserError as error:
        summary.failures["events"] = str(error)


def _jobs(settings: ReportSettings, videos: Collection[str]) -> Callable[[Request], "Job"]:
    """What makes the job of a page, by what is read once for all."""
    from fusion.reporting.loudness import SoundFinder, envelope_of_media
    from fusion.reporting.page.site import Job

    truth = read_labels(settings.data)
    review = read_review(settings.review) if settings.review else None
    if review and review.video not in videos:
        raise UserError(
            f"{settings.review}: of video '{review.video}', of which there is no page here"
        )
    finder = SoundFinder.of(settings.store, settings.data.root, settings.videos)

    def job(request: Request) -> Job:
        people = [read_predictions(path) for path in request.people.values()]
        known = {said.id for said in people}
        sound, notes = finder.find(request.video), list[str]()
        try:
            if sound is None and request.media:
                sound = envelope_of_media(request.media)
        except MediaError as error:
            notes.append(f"The sound cannot be read: {error}")
        return Job(
            request.video,
            people,
            {name: labels for name, labels in truth.items() if name in known},
            sound,
            heard=request.media is not None and not notes,
            media=request.media,
            embed=settings.embed,
            review=read_review(settings.review, known)
            if settings.review and review and review.video == request.video
            else None,
            notes=notes,
        )

    return job


def _pictures(
    settings: ReportSettings, paths: Mapping[str, Path], out: Path, videos: Path | None
) -> ReportSummary:
    """Draws the timeline of each person."""
    from fusion.reporting.loudness import SoundFinder
    from fusion.reporting.pictures import draw_person

    truth = read_labels(settings.data)
    sound = SoundFinder.of(settings.store, settings.data.root, videos)
    summary = ReportSummary()
    with ProgressReport("report", len(paths)) as progress:
        for name, path in paths.items():
            try:
                picture = out / f"{name}.{settings.format or 'png'}"
                remark = draw_person(path, picture, truth.get(name), sound)
            except UserError as error:
                summary.failures[name] = str(error)
            else:
                summary.pictures[name] = picture
                summary.remarks |= {name: remark} if remark else {}
            progress.step(name)
    return summary


def command(settings: ReportSettings) -> int:
    """Draws the report and prints its summary."""
    summary = report(settings)
    summary.print()
    return FAILED if summary.failures else OK


main = partial(run, ReportSettings, command, prog="fusion.report", description=__doc__ or "")

if __name__ == "__main__":
    main()
