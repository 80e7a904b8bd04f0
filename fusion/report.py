"""`python -m fusion.report`: a page to look through a clip, or a picture of each predicted video.

Data flow: predictions, truth, sound and clip where they are found > `ID.html`, or `ID.png`.

    python -m fusion.report talk.mp4
    python -m fusion.report predictions
    python -m fusion.report talk.mp4 --overlay seen.mp4 --faces blur
    python -m fusion.report predictions --format html --data.root /data/Aff-Wild2
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from features.cli.app import FAILED, OK, run
from features.cli.progress import ProgressReport
from features.errors import UserError
from features.media import MediaError
from features.media.kinds import by_ending
from fusion.data.prediction_files import list_predictions, read_predictions
from fusion.data.review import read_review
from fusion.events.rules import RuleSet, read_rules
from fusion.predict import PredictSettings
from fusion.reporting.requests import Request, choose, of_folder, of_media
from fusion.reporting.settings import NO_RULES, ReportSettings, ReportSummary
from fusion.reporting.truth import read_labels

if TYPE_CHECKING:  # loads matplotlib
    from fusion.reporting.page.index import Row
    from fusion.reporting.page.site import Job

PERCENT = 100
"""Steps that an overlay is told in."""


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
    from fusion.reporting.timelines.pictures import draw_person

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
    print("\n".join(summary.lines()))
    return FAILED if summary.failures else OK


main = partial(run, ReportSettings, command, prog="fusion.report", description=__doc__ or "")

if __name__ == "__main__":
    main()
