"""Writes the demo corpus, a miniature Aff-Wild2 with real pictures and sound.

Data flow: seed > plans > clips (mp4) and labels > annotation files, test lists > marker.

    OUT/videos/batch1/*.mp4, batch2/*.mp4
    OUT/annotations/CHALLENGE/{Train_Set,Validation_Set}/ID.txt
    OUT/test/{VA,EXPR,AU,MTL}.txt and *_sample_submission.txt
    OUT/people.csv, OUT/demo.json
    OUT_truth/annotations/CHALLENGE/Test_Set/ID.txt       for our own scoring only
"""

import json
import os
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from experiments.demo.clips import Plan, plan_clips, shoot
from features.cli.app import OK, run
from features.cli.progress import ProgressReport
from features.cli.wording import counted
from features.errors import UserError
from features.store.atomic_file import write_atomically
from fusion.abaw.challenges import TASKS
from fusion.tasks.au import UNITS
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.labels import FrameLabels
from fusion.tasks.va import DIMENSIONS

VERSION = 1
"""Raise it when the same seed gives another corpus."""
CLIPS = 28
MARKER, SIGN = "demo.json", "README.txt"
README = (
    "Synthetic demo corpus, written by `python -m experiments.demo.corpus`; it may be deleted.\n"
)
CHALLENGES = {
    "VA": "VA_Estimation_Challenge",
    "EXPR": "EXPR_Recognition_Challenge",
    "AU": "AU_Detection_Challenge",
}
SETS = {"train": "Train_Set", "validation": "Validation_Set", "test": "Test_Set"}
HEADERS = {"VA": DIMENSIONS, "EXPR": EXPRESSIONS, "AU": UNITS}
SAMPLES = {
    "VA": ("image_location," + ",".join(DIMENSIONS), "0,0"),
    "EXPR": ("image_location," + ",".join(EXPRESSIONS), "0"),
    "AU": ("image_location," + ",".join(UNITS), ",".join("0" * len(UNITS))),
    "MTL": ("image,valence,arousal,expression,aus", ",".join("0" * (3 + len(UNITS)))),
}
"""Header and placeholder of each sample submission."""
INVALID_EVERY = 3
"""One clip of so many has a run of invalid rows in every task."""
EXTRA_ROW, FEWER_ROWS, ODD_NUMBERS = 13, 15, 0
"""Clips whose VA file has a row more, three rows fewer, and rarely seen spellings of numbers."""


@dataclass(frozen=True)
class DemoSettings:
    """What `python -m experiments.demo.corpus` takes.

    Attributes:
        out: Folder of the corpus; the test part's truth goes beside it, into OUT_truth.
        seed: Seed of everything.
        clips: Number of clips, 3 at least; from 11 on every peculiar clip is there.
    """

    out: Path = Path("data/demo")
    seed: int = 7
    clips: int = CLIPS


@dataclass(frozen=True)
class DemoInfo:
    """A corpus that lies complete on the disk.

    Attributes:
        root: Its folder.
        truth: Folder of the test part's annotations (`CHALLENGE/Test_Set/ID.txt`).
        counts: Number of `videos`, `frames`, `people`, and of ids in each part.
        fresh: Whether it was written just now.
    """

    root: Path
    truth: Path
    counts: dict[str, int]
    fresh: bool


@dataclass(frozen=True)
class Track:
    """One person in one clip, with what the raters say."""

    id: str
    person: str
    plan: Plan
    labels: FrameLabels


def make_demo(
    out: Path, seed: int = 7, clips: int | None = None, seconds: float | None = None
) -> DemoInfo:
    """Writes the corpus unless it is there already.

    The same arguments give the same labels and pictures. The corpus appears under its name only
    when it is complete; a corpus of other arguments or without its marker is replaced.

    Args:
        out: Folder of the corpus.
        seed: Seed of everything.
        clips: Number of clips, 3 at least; 28 if None.
        seconds: One length for all clips, 1 at least; 4 to 7 seconds each if None.

    Raises:
        UserError: If the folder holds something else, or the numbers are too small.
    """
    clips = CLIPS if clips is None else clips
    if clips < len(SETS) or (seconds is not None and seconds < 1):
        raise UserError(
            f"a demo of {counted(clips, 'clip')} is too small; ask for 3 clips of 1 s or more"
        )
    settings = {"version": VERSION, "seed": seed, "clips": clips, "seconds": seconds}
    truth = out.with_name(f"{out.name}_truth")
    marker = _read_marker(out)
    if marker is not None and marker["settings"] == settings and truth.is_dir():
        return DemoInfo(out, truth / "annotations", marker["counts"], fresh=False)
    _refuse_foreign(out)
    partial = out.with_name(f".{out.name}.partial")
    _remove(partial)
    counts = _build(partial, plan_clips(clips, seed, seconds), seed)
    text = json.dumps({"settings": settings, "counts": counts}, indent=1)
    write_atomically(partial / "corpus" / MARKER, text.encode())
    _publish(partial, out, truth)
    return DemoInfo(out, truth / "annotations", counts, fresh=True)


def _read_marker(out: Path) -> dict | None:
    """What the marker of a complete corpus says; None if there is none."""
    try:
        marker = json.loads((out / MARKER).read_text(encoding="utf8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return marker if isinstance(marker, dict) and {"settings", "counts"} <= set(marker) else None


def _refuse_foreign(out: Path) -> None:
    """UserError rather than deleting a folder that this module did not write."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; choose another folder with --out")
    ours = (out / SIGN).is_file() and (out / SIGN).read_text(encoding="utf8") == README
    if out.is_dir() and any(out.iterdir()) and not ours:
        raise UserError(f"{out} holds something else than a demo corpus; choose another --out")


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _publish(partial: Path, out: Path, truth: Path) -> None:
    """Moves the finished corpus to its name; the old one goes first, the marker's folder last."""
    if out.exists():
        out.rename(partial / "old")
    _remove(truth)
    (partial / "truth").rename(truth)
    (partial / "corpus").rename(out)
    _remove(partial)


def _build(folder: Path, plans: list[Plan], seed: int) -> dict[str, int]:
    """Writes corpus and truth below `folder` and returns the counts."""
    corpus, truth = folder / "corpus", folder / "truth"
    corpus.mkdir(parents=True)
    (corpus / SIGN).write_text(README, encoding="utf8")
    tracks = _shoot_all(plans, seed, corpus / "videos")
    for track in tracks:
        top = truth if track.plan.part == "test" else corpus
        _write_annotations(track, top / "annotations", seed)
    _write_test_lists([t for t in tracks if t.plan.part == "test"], corpus / "test")
    people = [f"{track.id},{track.person}" for track in tracks]
    _write_lines(corpus / "people.csv", ["id,person", *people])
    return _count(plans, tracks)


def _shoot_all(plans: list[Plan], seed: int, folder: Path) -> list[Track]:
    """Makes all clips, several at a time; each has its own seed, so the order does not matter."""

    def film(plan: Plan) -> list[Track]:
        batch = folder / ("batch1" if plan.index % 2 == 0 else "batch2")
        labels = shoot(plan, seed, batch / f"{plan.video}.mp4")
        rows = zip(plan.ids, plan.people, labels, strict=True)
        return [Track(id, person, plan, of) for id, person, of in rows]

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        made: list[Track] = []
        try:
            with ProgressReport("film", len(plans)) as progress:
                for plan, tracks in zip(plans, pool.map(film, plans), strict=True):
                    made += tracks
                    progress.step(plan.video)
            return made
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _count(plans: list[Plan], tracks: list[Track]) -> dict[str, int]:
    frames = {track.plan.video: len(track.labels) for track in tracks}
    people = len({track.person for track in tracks})
    counts = {"videos": len(plans), "frames": sum(frames.values()), "people": people}
    return counts | {part: sum(t.plan.part == part for t in tracks) for part in SETS}


def _write_annotations(track: Track, folder: Path, seed: int) -> None:
    """Writes one file for each task that the clip is annotated for."""
    rng = np.random.default_rng([seed, 4, track.plan.index, len(track.id)])
    for task in TASKS:
        rows = _rows(task, track.labels)
        if track.plan.index % INVALID_EVERY == 0:
            _invalidate(rows, {"VA": "-5,-5", "EXPR": "-1"}.get(task, ",".join(["-1"] * 12)), rng)
        if task == "VA":
            _unsettle(rows, track.plan.index)
        if task in track.plan.tasks:
            path = folder / CHALLENGES[task] / SETS[track.plan.part] / f"{track.id}.txt"
            _write_lines(path, [",".join(HEADERS[task]), *rows])


def _rows(task: str, labels: FrameLabels) -> list[str]:
    """Lines of an annotation file, without the header."""
    if task == "VA":
        return [f"{_number(v)},{_number(a)}" for v, a in labels["va"].values]
    if task == "EXPR":
        return [str(row) for row in labels["expr"].values]
    return [",".join(str(int(unit)) for unit in row) for row in labels["au"].values]


def _number(value: float) -> str:
    """As the real files spell it: three digits, no trailing zeros, no `-0`."""
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _invalidate(rows: list[str], filler: str, rng: np.random.Generator) -> None:
    """Overwrites a run of rows at the start, inside or at the end."""
    length = int(rng.integers(3, max(4, min(16, len(rows) // 6))))
    start = (0, len(rows) // 2, len(rows) - length)[int(rng.integers(3))]
    rows[start : start + length] = [filler] * length


def _unsettle(rows: list[str], index: int) -> None:
    """Gives some files what the real ones have: too many or few rows, `9.9e-9`, `1`, `-1`."""
    if index == EXTRA_ROW:
        rows.append(rows[-1])
    if index == FEWER_ROWS:
        del rows[-3:]
    if index == ODD_NUMBERS:
        middle = len(rows) // 3
        rows[middle : middle + 3] = ["9.9e-9,1", "-1,9.9e-9", "1,-1"]


def _write_test_lists(tracks: list[Track], folder: Path) -> None:
    """Lists of ids and sample submissions of each challenge."""
    for challenge, (header, filler) in SAMPLES.items():
        _write_lines(folder / f"{challenge}.txt", (track.id for track in tracks))
        frames = ((t.id, row) for t in tracks for row in range(1, len(t.labels) + 1))
        lines = [header, *(f"{id}/{row:05d}.jpg,{filler}" for id, row in frames)]
        _write_lines(folder / f"{challenge}_sample_submission.txt", lines)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf8", newline="\n")


def _command(settings: DemoSettings) -> int:
    """Makes the corpus and says what is there."""
    info = make_demo(**asdict(settings))
    said = ", ".join(f"{count} {name}" for name, count in info.counts.items())
    print(f"{'wrote' if info.fresh else 'nothing to do, there already:'} {info.root}: {said}")
    print(f"truth of the test part: {info.truth}")
    return OK


if __name__ == "__main__":
    run(
        DemoSettings,
        _command,
        prog="experiments.demo.corpus",
        description="Write the demo corpus: a miniature Aff-Wild2 with pictures and sound.",
    )
