"""`kill -9` at random instants: whether nothing is lost, spoilt or left behind.

    python -m experiments.benchmarks.robustness.killed_runs --clips DIR
    python -m experiments.benchmarks.robustness.killed_runs --clips DIR --kills 10 --clips_count 6

Data flow: clips > 30 short ones > an undisturbed run > runs that are killed, one after the other on
one store until it is complete, then on a new one > each complete store compared byte for byte with
the undisturbed one > two runs at once (two_runs) > a page. All that was found is kept under `work`:
a killed study goes on, with a new store.
"""

import random
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.benchmarks.looped_clips import videos_of
from experiments.benchmarks.robustness import two_runs
from experiments.benchmarks.robustness.killed_runs_page import page
from experiments.benchmarks.robustness.killed_runs_parts import (
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
    rewritten,
    short_clips,
    strike,
    survivors,
    tracks,
)
from experiments.studies.kept_results import KeptResults
from features.cli.app import FAILED, OK, run
from features.cli.progress import ProgressReport
from features.errors import UserError
from features.pipeline.failures import FILE
from features.store.feature_track import write_atomically
from features.store.hashing import sha256_of

REACH = 0.6
"""Latest instant of a kill, as a share of the time of an undisturbed run: then it is repeated."""


@dataclass
class KilledRunsSettings:
    """Settings of the study.

    Args:
        clips: Folder of videos; their beginnings are used.
        clips_count: Number of short clips.
        kills: Number of kills.
        seed: Of the instants.
        options: Further words of the extraction's command line.
        work: Folder for clips, stores and what was found.
        out: The page that is written.
    """

    clips: Path
    clips_count: int = 30
    kills: int = 100
    seed: int = 0
    options: list[str] = field(default_factory=list)
    work: Path = Path("runs/killed-runs")
    out: Path = Path(__file__).parents[2] / "results/killed-runs.md"


def command(settings: KilledRunsSettings) -> int:
    """Deals the kills and writes the page."""
    if settings.kills < 1 or settings.clips_count < 2:
        raise UserError("--kills must be at least 1 and --clips_count at least 2")
    videos = videos_of([settings.clips])
    depends = [[sha256_of(path) for path in videos], settings.clips_count, settings.options]
    kept = KeptResults(settings.work, [*depends, settings.seed])
    clips = settings.work / f"clips-{settings.clips_count}"
    short_clips(videos, settings.clips_count, clips)
    with TemporaryDirectory(prefix="affuse-") as temporary:
        course = Course(clips, settings.work, Path(temporary), settings.options)
        study = Study(course, kept, settings)
        study.deal()
        for name, measure in two_runs.PARTS.items():
            kept.get(name, lambda each=measure: each(course, study.expected))  # type: ignore[misc]
        verified = course.verified(study.last)
    text = page(settings, REACH, kept.values, verified)
    write_atomically(settings.out, text.encode())
    print(text)
    good = verified and not any(o["differing"] or o["left"] for o in kept.values["outcomes"])
    return OK if good else FAILED


class Study:
    """Deals kills and keeps what they did.

    Args:
        course: Where the runs take place.
        kept: Where is kept what was found.
        settings: How many kills, with which seed.
    """

    def __init__(self, course: Course, kept: KeptResults, settings: KilledRunsSettings) -> None:
        self._course, self._kept, self._settings = course, kept, settings
        self.last = course.work / "killed"
        whole = course.work / "undisturbed"
        if not whole.exists():
            kept.values.pop("seconds", None)
        seconds = kept.get("seconds", lambda: undisturbed(course, whole))
        self._usual = kept.get("usual", lambda: emptied(course.temporary))
        self.expected = content(whole)
        self._tracks = {path for path in self.expected if "/" in path}
        self._reach = REACH * seconds
        self._before: dict[str, Track] = {}

    def deal(self) -> None:
        """Kills runs until all kills are dealt and the last store is complete."""
        self._kept.get("kills", list)
        self._kept.get("outcomes", list)
        missing = self._settings.kills - len(self._kept.values["kills"])
        if "dealt" in self._kept.values and self.last.exists():
            return
        shutil.rmtree(self.last, ignore_errors=True)  # what was going on in it is not known
        with ProgressReport("kill", max(missing, 0)) as progress:
            while self._one_store(progress):
                shutil.rmtree(self.last)
        self._kept.set("dealt", True)

    def _one_store(self, progress: ProgressReport) -> bool:
        """Runs until a store is complete; whether there are kills left to deal."""
        retried, status = False, None
        while status != OK:
            dealt = len(self._kept.values["kills"])
            retry = (self.last / FILE).exists()
            retried = retried or retry
            with self._course.running(self.last, retry=retry) as process:
                status = self._disturbed(process, progress)
            if status not in (OK, None) and dealt == len(self._kept.values["kills"]):
                raise UserError(f"a run failed that nobody killed: {self._course.said()[-500:]}")
        found = differing(content(self.last), self.expected)
        outside = [name for name in emptied(self._course.temporary) if name not in self._usual]
        outcome = Outcome(found, left_behind(self.last) + outside, retried)
        self._kept.set("outcomes", [*self._kept.values["outcomes"], asdict(outcome)])
        return len(self._kept.values["kills"]) < self._settings.kills

    def _disturbed(self, process: subprocess.Popen[bytes], progress: ProgressReport) -> int | None:
        """Kills a run, or workers of it until it ends; its exit status, None if it was killed."""
        began = tracks(self.last)
        while len(self._kept.values["kills"]) < self._settings.kills:
            number = len(self._kept.values["kills"])
            rng = random.Random(f"{self._settings.seed} {number}")
            wait = rng.uniform(0, self._reach)
            if _ends_within(process, wait):
                break
            self._settle()
            dealt = self._strike(process, VICTIMS[number % len(VICTIMS)], wait, began, rng)
            self._kept.set("kills", [*self._kept.values["kills"], asdict(dealt)])
            progress.step(dealt.victim)
            if dealt.victim != VICTIMS[2]:
                return None
        status = process.wait()
        self._settle()
        return status

    def _strike(
        self,
        process: subprocess.Popen[bytes],
        victim: str,
        wait: float,
        began: dict[str, Track],
        rng: random.Random,
    ) -> Kill:
        """Kills now."""
        victim = strike(process.pid, victim, rng)
        outlived = 0 if victim == VICTIMS[2] else survivors(process.pid)
        claimed = in_flight(self.last)
        self._before = tracks(self.last)
        working = bool(claimed) or self._before != began
        left = [] if victim == VICTIMS[2] else emptied(self._course.temporary, marked=False)
        temporary = [name for name in left if name not in self._usual]
        return Kill(victim, wait, working, claimed, outlived=outlived, temporary=temporary)

    def _settle(self) -> None:
        """Notes of the last kill what was made once more since then."""
        hit = rewritten(self._before, tracks(self.last))
        if hit:
            kills = self._kept.values["kills"]
            whole = finished(self._before, self._tracks) - set(kills[-1]["in_flight"])
            redone = sorted({item_of(path) for path in hit} & whole)
            others = [path for path in hit if item_of(path) not in whole]
            last = kills[-1] | {"redone": redone, "rewritten": others}
            self._kept.set("kills", [*kills[:-1], last])
        self._before = {}


def undisturbed(course: Course, store: Path) -> float:
    """Seconds of a run that nobody disturbs, into a new store."""
    shutil.rmtree(store, ignore_errors=True)
    began = time.perf_counter()
    with course.running(store) as process:
        status = process.wait()
    if status != OK:
        raise UserError(f"the undisturbed run failed: {course.said()[-500:]}")
    return time.perf_counter() - began


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Waits; whether the process has ended by then."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


if __name__ == "__main__":
    description = __doc__.split("\n")[0]
    run(
        KilledRunsSettings,
        command,
        prog="experiments.benchmarks.robustness.killed_runs",
        description=description,
    )
