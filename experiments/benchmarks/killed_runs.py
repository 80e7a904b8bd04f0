"""`kill -9` at random instants: whether nothing is lost, spoilt, made twice or left behind.

    python -m experiments.benchmarks.killed_runs --clips DIR
    python -m experiments.benchmarks.killed_runs --clips DIR --kills 10 --clips_count 6

Data flow: clips > short ones > an undisturbed run > runs that are killed, one after the other on
one store until it is complete, then on a new one > each complete store compared byte for byte with
the undisturbed one > two runs at once > a page.
"""

import random
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.benchmarks.killed_stores import (
    VICTIMS,
    Course,
    Kill,
    Outcome,
    Track,
    content,
    differing,
    emptied,
    finished,
    in_flight,
    item_of,
    left_behind,
    strike,
    survivors,
    tracks,
)
from experiments.benchmarks.looped_clips import loop_clip, videos_of
from experiments.pages import table, write_page
from features.cli.app import FAILED, OK, run
from features.cli.progress import ProgressReport
from features.errors import UserError

REACH = 0.6
"""Latest instant of a kill, as a share of the time of an undisturbed run: then it is repeated."""
LENGTHS = (1.0, 1.5, 2.0)
"""Seconds of the short clips, in turns."""


@dataclass
class KilledRunsSettings:
    """Settings of the study.

    Args:
        clips: Folder of videos; their beginnings are used.
        clips_count: Number of short clips.
        kills: Number of kills.
        seed: Of the instants.
        options: Further words of the extraction's command line.
        work: Folder for clips and stores.
        out: The page that is written.
    """

    clips: Path
    clips_count: int = 30
    kills: int = 100
    seed: int = 0
    options: list[str] = field(default_factory=list)
    work: Path = Path("runs/killed-runs")
    out: Path = Path(__file__).parents[1] / "results/killed-runs.md"


def command(settings: KilledRunsSettings) -> int:
    """Deals the kills and writes the page."""
    if settings.kills < 1 or settings.clips_count < 2:
        raise UserError("--kills must be at least 1 and --clips_count at least 2")
    clips = settings.work / f"clips-{settings.clips_count}"
    short_clips(videos_of([settings.clips]), settings.clips_count, clips)
    with TemporaryDirectory(prefix="affuse-") as temporary:
        course = Course(clips, settings.work, Path(temporary), settings.options)
        seconds = course.undisturbed(settings.work / "undisturbed")
        dealer = Dealer(course, settings, seconds)
        dealer.deal()
        made, two = two_runs(course, content(settings.work / "undisturbed"))
    kills, outcomes = dealer.kills, [*dealer.outcomes, two]
    write_page(page(settings, seconds, kills, outcomes, made), settings.out)
    bad = any(o.differing or o.left for o in outcomes) or any(k.redone for k in kills)
    return FAILED if bad or sum(made) != settings.clips_count else OK


def short_clips(videos: Sequence[Path], count: int, folder: Path) -> None:
    """Makes short clips of the beginnings of videos, in turns; those that are there stay."""
    for number in range(count):
        video = videos[number % len(videos)]
        target = folder / f"{number:02d}-{video.stem}.mp4"
        if not target.exists():
            loop_clip(video, target, LENGTHS[number // len(videos) % len(LENGTHS)])


# Kills -------------------------------------------------------------------------------------------


class Dealer:
    """Deals kills and notes what they did.

    Args:
        course: Where the runs take place; an undisturbed store lies in its folder.
        settings: How many kills, with which seed.
        seconds: Time of an undisturbed run.
    """

    def __init__(self, course: Course, settings: KilledRunsSettings, seconds: float) -> None:
        self._course, self._count, self._reach = course, settings.kills, REACH * seconds
        self._rng, self._store = random.Random(settings.seed), course.work / "killed"
        self._expected = content(course.work / "undisturbed")
        self._usual = emptied(course.temporary)
        self._before: dict[str, Track] = {}
        self.kills: list[Kill] = []
        self.outcomes: list[Outcome] = []

    def deal(self) -> None:
        """Kills runs until all kills are dealt and the last store is complete."""
        with ProgressReport("kill", self._count) as progress:
            while len(self.kills) < self._count:
                shutil.rmtree(self._store, ignore_errors=True)
                self._before = {}
                self.outcomes.append(self._one_store(progress))

    def _one_store(self, progress: ProgressReport) -> Outcome:
        """Runs until a store is complete."""
        status = None
        while status != OK:
            dealt = len(self.kills)
            with self._course.running(self._store) as process:
                status = self._disturbed(process, progress)
            if status not in (OK, None) and dealt == len(self.kills):
                raise UserError(f"a run failed that nobody killed: {self._course.said()[-500:]}")
        left = [name for name in emptied(self._course.temporary) if name not in self._usual]
        found = differing(content(self._store), self._expected)
        return Outcome(found, left_behind(self._store) + left)

    def _disturbed(self, process: subprocess.Popen[bytes], progress: ProgressReport) -> int | None:
        """Kills a run, or workers of it until it ends; its exit status, None if it was killed."""
        began = tracks(self._store)
        while len(self.kills) < self._count:
            with suppress(subprocess.TimeoutExpired):
                process.wait(self._rng.uniform(0, self._reach))
                break
            self._settle()
            victim = strike(process.pid, VICTIMS[len(self.kills) % len(VICTIMS)], self._rng)
            outlived = 0 if victim == VICTIMS[2] else survivors(process.pid)
            claimed, self._before = in_flight(self._store), tracks(self._store)
            working = bool(claimed) or self._before != began
            self.kills.append(Kill(victim, claimed, working, outlived))
            progress.step(victim)
            if victim != VICTIMS[2]:
                there = emptied(self._course.temporary, marked=False)
                self.kills[-1].temporary = len(set(there) - set(self._usual))
                return None
        status = process.wait()
        self._settle()
        return status

    def _settle(self) -> None:
        """Notes of the last kill which finished items were made once more since then."""
        after = tracks(self._store)
        again = {item_of(p) for p, track in self._before.items() if after.get(p, track) != track}
        if self.kills and again:
            whole = finished(self._before, self._expected) - set(self.kills[-1].in_flight)
            self.kills[-1].redone = sorted(again & whole)
        self._before = {}


def two_runs(course: Course, expected: Mapping[str, str]) -> tuple[list[int], Outcome]:
    """Two runs at once on one store: how many items each says it made, and the store.

    Raises:
        UserError: If one does not say so.
    """
    store, logs, made = course.work / "two", ("first", "second"), []
    shutil.rmtree(store, ignore_errors=True)
    with course.running(store, logs[0]) as first, course.running(store, logs[1]) as second:
        first.wait()
        second.wait()
    for log in logs:
        said = re.search(r"items?: (\d+) extracted", course.said(log))
        if said is None:
            raise UserError(f"a run ended without a summary: {course.said(log)[-500:]}")
        made.append(int(said[1]))
    return made, Outcome(differing(content(store), expected), left_behind(store))


# The page ----------------------------------------------------------------------------------------


def page(
    settings: KilledRunsSettings,
    seconds: float,
    kills: Sequence[Kill],
    outcomes: Sequence[Outcome],
    made: Sequence[int],
) -> str:
    """The page in Markdown; the last outcome is that of the two runs, which made so many items."""
    rows: list[dict[str, object]] = []
    for name in (*VICTIMS, "**together**"):
        some = [kill for kill in kills if name in (kill.victim, "**together**")]
        rows.append({
            "killed": name,
            "kills": len(some),
            "at work": sum(kill.working for kill in some),
            "items in flight, most": max((len(kill.in_flight) for kill in some), default=0),
            "finished items redone": sum(len(kill.redone) for kill in some),
            "processes that outlived it": sum(kill.outlived for kill in some),
            "temporary files outside the store": sum(kill.temporary for kill in some),
        })  # fmt: skip
    options = f" --options '{settings.options}'" if settings.options else ""
    return _TEXT.format(
        day=date.today(),
        command=f"python -m experiments.benchmarks.killed_runs --clips DIR --clips_count"
        f" {settings.clips_count} --kills {settings.kills}{options}",
        clips=settings.clips_count,
        seconds=seconds,
        kills=len(kills),
        reach=REACH * seconds,
        stores=len(outcomes) - 1,
        same=sum(not each.differing for each in outcomes[:-1]),
        different=", ".join(sorted({p for o in outcomes for p in o.differing})) or "none",
        left=", ".join(sorted({p for o in outcomes for p in o.left})) or "none",
        table=table(rows),
        first=made[0],
        second=made[1],
        double=sum(made) - settings.clips_count,
    )


_TEXT = """# Killed runs

{day}, 2 cores of a shared machine:

    {command}

{clips} short clips of real faces (1 to 2 s), the packaged encoders. An undisturbed run took
{seconds:.1f} s. Then {kills} times `kill -9`: each run is killed at an instant drawn evenly from
its first {reach:.1f} s, which hold its start and part of its work, and started again on the same
store; in turns, all of its processes are killed, or only the first one (which the user started), or
only one of its workers, after which the run goes on and the next instant counts from there. Where a
run has no workers, its first process is killed instead. Whenever a run ends by itself, its store is
complete: it is compared, and the next run begins a new one.

- Complete stores: {stores}; byte for byte as the undisturbed one: {same}.
- Two runs started together on one empty store: {first} items made by the one, {second} by the
  other; made twice: {double}.
- Files that differ in any of these stores: {different}. Temporary files and claims left: {left}.

{table}

Items in flight: those claimed at the kill. Finished: all of its tracks were there and nobody
claimed it; the target is that none is redone, so at most the items in flight are.
"""

if __name__ == "__main__":
    run(
        KilledRunsSettings,
        command,
        prog="experiments.benchmarks.killed_runs",
        description=__doc__.split("\n")[0],
    )
