"""Pages on disk. Data flow: predictions, truth, sound, clip > page of a video; rows > index."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from features.cli.wording import counted
from features.media import MediaError
from features.store.atomic_file import replacing
from fusion.data.predictions import FramePredictions
from fusion.data.review import Review
from fusion.events.rules import RuleSet
from fusion.metrics.evaluation import FEW_FRAMES
from fusion.reporting.page.clip import Clip, Embed, clip_for
from fusion.reporting.page.contents import Subject, contents_of
from fusion.reporting.page.document import INDEX, PAGE, document
from fusion.reporting.page.events import find_events
from fusion.reporting.page.index import Row, index_data, row_of
from fusion.reporting.timeline import Envelope
from fusion.tasks.labels import FrameLabels

INDEX_NAME = "index.html"


@dataclass(frozen=True)
class Job:
    """A page to be made.

    Attributes:
        video: Id of the video.
        people: Predictions of everybody in it.
        truth: Id of a person to labels.
        sound: How loud it is; None without sound.
        heard: Whether anybody looked for sound.
        media: The clip; None if it is not at hand.
        embed: Whether it may lie in the page.
        review: What somebody changed before.
        notes: What is odd already, a line each.
        rules: Of the events that are looked for; None: of none.
    """

    video: str
    people: Sequence[FramePredictions]
    truth: Mapping[str, FrameLabels] = field(default_factory=dict)
    sound: Envelope | None = None
    heard: bool = False
    media: Path | None = None
    embed: Embed = "auto"
    review: Review | None = None
    notes: Sequence[str] = ()
    rules: RuleSet | None = None


@dataclass(frozen=True)
class Made:
    """A page that was made.

    Attributes:
        rows: Of the index, one a person.
        remarks: What is odd, a line each.
        missing: Of each person, event to why its rule could not be looked for.
    """

    rows: list[Row]
    remarks: list[str]
    missing: list[dict[str, str]]


def page_name(video: str) -> str:
    """Name of the page of a video; never that of the index."""
    return f"{video}.html" if f"{video}.html" != INDEX_NAME else f"{video}_clip.html"


def write_page(job: Job, path: Path) -> Made:
    """Writes the page of a video: at any instant absent, the old one, or the whole new one.

    Raises:
        UserError: If a rule makes no sense for the columns.
    """
    found = {said.id: find_events(said, job.rules) for said in job.people}
    events = {id: one.description for id, one in found.items() if one.description}
    truth, remarks = fitting_labels(job)
    remarks = [*job.notes, *remarks]
    try:
        clip = clip_for(job.media, path, job.embed)
    except MediaError as error:
        clip = Clip("none", note=f"The clip cannot be shown: {error}")
        remarks.append(clip.note)
    subject = Subject(
        *(job.video, job.people, truth, job.sound, job.heard, clip, job.review, remarks, events)
    )
    data, blocks = contents_of(subject)
    _write(path, document(job.video, data, PAGE, blocks.texts, clip.data))
    rows = [row_of(quote(path.name), said, truth.get(said.id)) for said in job.people]
    return Made(rows, remarks, [one.missing for one in found.values()])


def write_index(rows: Sequence[Row], path: Path, title: str) -> None:
    """Writes the index of pages that lie beside it."""
    data = {"title": title, **index_data(rows)}
    _write(path, document(title, data, INDEX, body="index.html"))


def fitting_labels(job: Job) -> tuple[dict[str, FrameLabels], list[str]]:
    """Labels with a row for each frame, and what is odd of them; those of another clip are not."""
    found, remarks = dict[str, FrameLabels](), list[str]()
    for said in job.people:
        labels = job.truth.get(said.id)
        if labels is None or not labels.tasks():
            continue
        rows = labels.rows_for(len(said))
        if rows != len(said):
            line = f"{said.id}: {counted(rows, 'row')} of labels, {counted(len(said), 'frame')};"
            line += " matched by frame number"
            more = abs(rows - len(said)) > FEW_FRAMES
            remarks.append(line + ("; are they of this video?" if more else ""))
        try:
            found[said.id] = labels.on(said.times)
        except ValueError as error:  # labels by time that end long after the video
            remarks.append(f"{said.id}: its labels are left out, being of another video: {error}")
    return found, remarks


def _write(path: Path, parts: Iterable[bytes]) -> None:
    with replacing(path) as file:
        for part in parts:
            file.write(part)
