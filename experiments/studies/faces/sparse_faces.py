"""Searching faces in every k-th frame beside every frame: what it keeps and what it saves.

    python -m experiments.studies.faces.sparse_faces --clips ../shared/data/clips

Data flow: clips > `find_faces` with each k, searching every frame first, in turns > boxes and
valid masks of `main` compared with those of every frame > a page. What is measured of a clip is
kept under `out`, so that a killed run goes on with the next clip.
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path

import numpy as np
import torch

from features.cli.app import OK, run
from features.cli.progress import ProgressReport
from features.errors import UserError
from features.faces.detect import FaceDetector, Faces, FaceSettings, overlap
from features.faces.person_track import Person
from features.faces.tracker import find_people
from features.media import FrameBlock, read_frames
from features.pipeline.discovery import find_sources
from features.store.feature_track import write_atomically
from features.store.hashing import settings_hash

KEPT_IOU = 0.8
"""Overlap over union with the box of every-frame search from which a box counts as kept."""
MIN_KEPT, MAX_MASK = 0.98, 0.01
"""Targets: share of boxes kept, share of frames in which the valid masks differ."""


@dataclass
class SparseFacesSettings:
    """Settings of the study.

    Args:
        clips: Folder of videos.
        every: Values of `FaceSettings.every` to try beside its default and 1.
        rounds: Times that all is run; times are medians. More rounds than before only add those.
        out: Folder for what was measured of each clip.
        page: The page that is written.
    """

    clips: Path
    every: list[int] = field(default_factory=lambda: [6, 24])
    rounds: int = 3
    out: Path = Path("runs/sparse-faces")
    page: Path = Path(__file__).parents[2] / "results/sparse-faces.md"


SUMS = ["frames", "searched", "seconds", "both", "kept", "overlaps", "offsets", "mask"]
"""What adds up over clips."""


@dataclass(frozen=True)
class Row:
    """One clip with one k against every frame.

    Attributes:
        clip: Name; `all` for a sum of clips.
        every: k.
        frames: Frames of the clip.
        searched: Frames that were searched in full.
        seconds: Seconds of the processor, decoding not counted.
        both: Frames in which both show `main`.
        kept: Of these, how many boxes are kept.
        overlaps: Sum of their overlaps over union.
        least: Least of them.
        offsets: Sum of the mean distances of landmarks, in sides of the box.
        mask: Frames in which only one shows `main`.
        people: Whether there are the same people by name.
    """

    clip: str
    every: int
    frames: int
    searched: int
    seconds: float
    both: int
    kept: int
    overlaps: float
    least: float
    offsets: float
    mask: int
    people: bool


class CountingDetector(FaceDetector):
    """Counts the frames that it searches."""

    searched = 0

    def detect(self, images: np.ndarray) -> list[Faces]:
        """As the parent's."""
        self.searched += len(images)
        return super().detect(images)


@dataclass
class Pass:
    """What one pass over a clip found and took."""

    people: list[Person]
    seconds: float
    searched: int


def command(settings: SparseFacesSettings) -> int:
    """Measures and writes the page."""
    torch.set_num_threads(1)  # so that the time of this thread is all the time there is
    tried = sorted({1, FaceSettings.every, *settings.every})
    paths = [source.media for source in find_sources(settings.clips) if source.media]
    if not paths or settings.rounds < 1:
        raise UserError(f"{settings.clips} must hold videos, and --rounds be at least 1")
    rows: list[Row] = []
    with ProgressReport("clips", len(paths)) as progress:
        for path in paths:
            rows.extend(measured(path, tried, settings))
            progress.step(path.stem)
    text = page(rows, settings)
    write_atomically(settings.page, text.encode())
    print(text)
    return OK


def measured(path: Path, tried: list[int], settings: SparseFacesSettings) -> list[Row]:
    """Rows of a clip, one for each k, with the median time of the rounds."""
    rounds = [one_round(path, tried, number, settings) for number in range(settings.rounds)]
    return [
        replace(turns[0], seconds=float(np.median([turn.seconds for turn in turns])))
        for turns in zip(*rounds, strict=True)
    ]


def one_round(path: Path, tried: list[int], turn: int, settings: SparseFacesSettings) -> list[Row]:
    """Rows of a clip in one round, one for each k; read from `out` if they are there."""
    faces = [FaceSettings(every=every) for every in tried]
    key = settings_hash([[one.key() for one in faces], FaceDetector(faces[0]).revision])
    cache = settings.out / f"{path.stem}.{key}.{turn}.json"
    if cache.exists():
        return [Row(**row) for row in json.loads(cache.read_text())]
    passes = [one_pass(path, one) for one in faces]
    rows = [compare(path.stem, k, passes[0], one) for k, one in zip(tried, passes, strict=True)]
    write_atomically(cache, json.dumps([asdict(row) for row in rows]).encode())
    return rows


def one_pass(path: Path, faces: FaceSettings) -> Pass:
    """Finds the people of a clip."""
    detector = CountingDetector(faces)
    detector.detect(np.zeros((1, 64, 64, 3), np.uint8))  # loads the weights
    detector.searched = 0
    decoding, began = [0.0], time.thread_time()
    people = people_of(_timed(read_frames(path, faces.batch), decoding), detector, faces)
    return Pass(people, time.thread_time() - began - decoding[0], detector.searched)


def people_of(video: Iterable[FrameBlock], net: FaceDetector, how: FaceSettings) -> list[Person]:
    """The people of a clip, `main` first."""
    return find_people(video, net, how)


def _timed(blocks: Iterable[FrameBlock], seconds: list[float]) -> Iterator[FrameBlock]:
    """The blocks; adds what making them takes to `seconds`."""
    began = time.thread_time()
    for block in blocks:
        seconds[0] += time.thread_time() - began
        yield block
        began = time.thread_time()
    seconds[0] += time.thread_time() - began


def compare(clip: str, every: int, reference: Pass, tried: Pass) -> Row:
    """A pass with one k against the search of every frame."""
    ours, theirs = tried.people[0], reference.people[0]
    both = ours.valid & theirs.valid
    overlaps = overlap(ours.boxes[both], theirs.boxes[both])
    sides = np.sqrt((theirs.boxes[both, 2:] - theirs.boxes[both, :2]).prod(axis=1))
    off = np.linalg.norm(ours.landmarks[both] - theirs.landmarks[both], axis=-1).mean(axis=1)
    return Row(
        clip=clip,
        every=every,
        frames=len(both),
        searched=tried.searched,
        seconds=tried.seconds,
        both=int(both.sum()),
        kept=int((overlaps >= KEPT_IOU).sum()),
        overlaps=float(overlaps.sum()),
        least=float(overlaps.min(initial=1.0)),
        offsets=float((off / sides).sum()),
        mask=int((ours.valid != theirs.valid).sum()),
        people=[p.name for p in tried.people] == [p.name for p in reference.people],
    )


def pooled(rows: list[Row]) -> Row:
    """All clips as one."""
    sums = {name: sum(getattr(row, name) for row in rows) for name in SUMS}
    least, people = min(row.least for row in rows), all(row.people for row in rows)
    return replace(rows[0], clip="all", least=least, people=people, **sums)


HEAD = (
    "frames | frames/s, every frame | frames/s | times as fast | searched | boxes kept"
    " | mean IoU | least IoU | landmarks off | masks differ | same people |"
)


def page(rows: list[Row], settings: SparseFacesSettings) -> str:
    """The page in Markdown."""
    chosen = FaceSettings.every
    searched = {row.clip: row for row in rows if row.every == 1}
    total = pooled(list(searched.values()))
    ours = [row for row in rows if row.every == chosen]
    by_k = [pooled([r for r in rows if r.every == k]) for k in sorted({r.every for r in rows})]
    return _TEXT.format(
        day=date.today(),
        command=f"--every '{settings.every}' --rounds {settings.rounds}",
        rounds=settings.rounds,
        chosen=chosen,
        tolerance=FaceSettings.tolerance,
        verdict=verdict(ours),
        head=HEAD,
        line="---|" * HEAD.count("|"),
        clips="\n".join(_line(row.clip, row, searched[row.clip]) for row in ours),
        total=_line("**all**", pooled(ours), total),
        by_k="\n".join(_line(f"every {row.every}", row, total) for row in by_k),
    )


def verdict(rows: list[Row]) -> str:
    """Whether the targets are met, over all frames and clip by clip."""
    missed = ", ".join(row.clip for row in rows if not _meets(row)) or "none"
    met = "met" if _meets(pooled(rows)) else "MISSED"
    return f"Over all frames the targets are {met}. Clips that miss one on their own: {missed}."


def _meets(row: Row) -> bool:
    return row.kept >= MIN_KEPT * row.both and row.mask <= MAX_MASK * row.frames


def _line(name: str, row: Row, every_frame: Row) -> str:
    both = max(row.both, 1)
    cells = [
        name,
        f"{row.frames:,}",
        f"{row.frames / every_frame.seconds:.1f}",
        f"{row.frames / row.seconds:.1f}",
        f"{every_frame.seconds / row.seconds:.1f}",
        f"{row.searched / row.frames:.1%}",
        f"{row.kept / both:.2%}",
        f"{row.overlaps / both:.3f}",
        f"{row.least:.2f}",
        f"{row.offsets / both:.1%}",
        f"{row.mask / row.frames:.2%}",
        "yes" if row.people else "no",
    ]
    return "| " + " | ".join(cells) + " |"


_TEXT = """# Faces: search in every k-th frame, tracking between

{day}, 2 cores of a shared machine, one thread, processor time without decoding, medians of
rounds in which the contestants take turns (rounds: {rounds}):

    python -m experiments.studies.faces.sparse_faces --clips ../shared/data/clips {command}

`find_faces` with the default settings (k = {chosen}, tolerance {tolerance}) beside the search of
every frame. Boxes, landmarks and the valid mask are those of `main`. Boxes kept: overlap over
union (IoU) of at least .8 with every-frame search, of the frames in which both show `main`; target:
98 %. Masks differ: frames in which only one of them shows `main`; target: at most 1 %. Landmarks
off: mean distance in sides of the box. Searched: frames with a full search; in the others MTCNN's
second and third net look at the expected box only.

{verdict}

| clip | {head}
|---|{line}
{clips}
{total}

## Other k, all clips

| k | {head}
|---|{line}
{by_k}

The default was chosen with this table in sight. A larger k searches less, but a face that comes and
goes between two key frames may be missed for longer.
"""

if __name__ == "__main__":
    description = __doc__.split("\n")[0]
    run(
        SparseFacesSettings,
        command,
        prog="experiments.studies.faces.sparse_faces",
        description=description,
    )
