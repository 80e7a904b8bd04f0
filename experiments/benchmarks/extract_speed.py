"""How fast extraction is, beside its own stages and beside the loop that a user would write.

    python -m experiments.benchmarks.extract_speed --clips '[DIR,FILE]'

Data flow: clips > by size and rate > looped to `seconds`, cut to `sample` and to half a second > in
rounds, in turns: each stage alone on one core, a user's loop, the literal command > medians > page.
What is measured is kept under `work`: a killed run goes on.

The bound: with perfect overlap on C cores, work of W processor seconds takes max(longest, W / C)
seconds, where `longest` is the longest stage of one video that cannot be split: all but decoding
work on a video in order, so a stage of one video keeps to one core; videos do not wait for each
other.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from experiments.benchmarks.extract_parts import PARTS
from experiments.benchmarks.looped_clips import kind_of, loop_clip, videos_of
from experiments.kept import Cache, code_hash
from experiments.pages import table, write_page
from experiments.timing import last_json, watch
from features.cli.app import OK, run
from features.cli.progress import ProgressReport
from features.errors import UserError
from features.media import frame_times
from features.store.fingerprint import sha256_of

TINY = 0.5
"""Seconds of the clips of the command that shows what starting costs."""
STAGES = ("decode", "find faces", "crop and encode", "sound")
REAL_TIME = 30.0
"""Frames a second that a real-time factor of 1 means."""
AFFWILD2_FRAMES = 2_993_081
"""Frames of Aff-Wild2's 594 valence-arousal videos, of its published list."""

Result = dict[str, float]


@dataclass
class ExtractSpeedSettings:
    """Settings of the measurement.

    Args:
        clips: Videos or folders of videos; those of equal size and rate are one set.
        rounds: Times that all is run; figures are medians.
        seconds: Length to which each clip is looped for the command.
        sample: Seconds of each loop for the stages and the user's loop, which are slow.
        options: Further words of the extraction's command line.
        work: Folder for the looped clips and for what was measured.
        out: The page that is written.
    """

    clips: list[Path]
    rounds: int = 3
    seconds: float = 60.0
    sample: float = 10.0
    options: list[str] = field(default_factory=list)
    work: Path = Path("runs/extract-speed")
    out: Path = Path(__file__).parents[1] / "results/extract-speed.md"


def command(settings: ExtractSpeedSettings) -> int:
    """Measures and writes the page."""
    if settings.rounds < 1 or not TINY < settings.sample <= settings.seconds:
        raise UserError(
            f"--rounds must be at least 1, and {TINY} < --sample {settings.sample} <="
            f" --seconds {settings.seconds}"
        )
    sets: dict[str, list[Path]] = {}
    for clip in videos_of(settings.clips):
        sets.setdefault(kind_of(clip), []).append(clip)
    todo = list(measurements(settings, sets))
    rows, cache = [], Cache(settings.work)
    with ProgressReport("measure", len(todo)) as progress:
        for number, kind, name, measure in todo:
            depends = [code_hash(), number, [sha256_of(clip) for clip in sets[kind]]]
            depends += [settings.seconds, settings.sample, settings.options]
            found = cache.get(f"{kind}, {name}", depends, measure)
            rows.append({"kind": kind, "name": name, **found})
            progress.step(name)
    medians = {
        str(kind): found.drop(columns="kind").groupby("name").median().T.to_dict()
        for kind, found in pd.DataFrame(rows).groupby("kind")
    }
    write_page(page(settings, sets, medians), settings.out)  # type: ignore[arg-type]
    return OK


def measurements(
    settings: ExtractSpeedSettings, sets: Mapping[str, Sequence[Path]]
) -> Iterator[tuple[int, str, str, Callable[[], Result]]]:
    """Round, set, name and what measures, in turns."""
    for number in range(settings.rounds):
        for kind, clips in sets.items():
            media = partial(made_media, kind, clips, settings.work)
            for name in PARTS:
                cores = 1 if name in STAGES else None
                yield number, kind, name, partial(time_part, settings, name, media, cores)
            for name, seconds in (("command", settings.seconds), ("tiny", TINY)):
                yield number, kind, name, partial(time_command, settings, media, seconds)


def made_media(kind: str, clips: Sequence[Path], work: Path, seconds: float) -> Path:
    """A folder with each clip of a set looped to a length; what is there is not made again."""
    folder = work / "media" / kind.replace(", ", "-").replace(" ", "") / f"{seconds:g}s"
    for clip in clips:
        if not (folder / f"{clip.stem}.mp4").exists():
            loop_clip(clip, folder / f"{clip.stem}.mp4", seconds)
    return folder


def time_part(
    settings: ExtractSpeedSettings, part: str, media: Callable[[float], Path], cores: int | None
) -> Result:
    """One of `PARTS` in a process of its own, on the samples."""
    log, videos = settings.work / "log.txt", videos_of([media(settings.sample)])
    words = [sys.executable, "-m", "experiments.benchmarks.extract_parts", "--part", part]
    words += ["--videos", json.dumps([str(path) for path in videos])]
    watch(words + (["--cores", str(cores)] if cores else []), log)
    return dict(last_json(log))


def time_command(
    settings: ExtractSpeedSettings, media: Callable[[float], Path], seconds: float
) -> Result:
    """The literal command on videos of a length, into a new store."""
    folder = media(seconds)
    with TemporaryDirectory(prefix="affuse-speed-") as store:
        words = [sys.executable, "-m", "features.extract", "--data.root", str(folder)]
        words += ["--data.store", store, *settings.options]
        usage = watch(words, settings.work / "log.txt")
    frames = sum(len(frame_times(path)) for path in videos_of([folder]))
    return {
        "amount": frames,
        "seconds": usage.seconds,
        "processor": usage.processor,
        "together": usage.together,
    }


# The page ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Speeds:
    """Figures of one set of clips.

    Attributes:
        rate: Frames a second of the command, starting not counted.
        stages: Processor seconds a frame of the long clips, by stage.
        longest: Frames of the longest video.
        frames: Of all.
    """

    rate: float
    stages: Mapping[str, float]
    longest: float
    frames: float

    def bound(self, cores: int) -> float:
        """Frames a second with perfect overlap."""
        split = max(spent for name, spent in self.stages.items() if name != "decode")
        work = sum(self.stages.values()) * self.frames
        return self.frames / max(split * self.longest, work / cores)


def speeds_of(found: Mapping[str, Result], videos: int, seconds: float) -> Speeds:
    """Figures from the medians of one set, by name; `seconds` is the length of its long clips."""
    whole, tiny = found["command"], found["tiny"]
    frames = whole["amount"]
    rate = (frames - tiny["amount"]) / (whole["seconds"] - tiny["seconds"])
    stages = {name: _spent(found[name]) for name in STAGES}
    stages["sound"] *= videos * seconds / frames  # from a second of sound to a frame
    return Speeds(rate, stages, frames / videos, frames)


def _spent(part: Result) -> float:
    """Processor seconds of one frame or second of sound; 0 of clips without sound."""
    return part["processor"] / part["amount"] if part["amount"] else 0.0


def page(
    settings: ExtractSpeedSettings,
    sets: Mapping[str, Sequence[Path]],
    medians: Mapping[str, Mapping[str, Result]],
) -> str:
    """The page in Markdown."""
    cores = len(os.sched_getaffinity(0))
    rates: list[dict[str, object]] = []
    stages: list[dict[str, object]] = []
    for kind, clips in sets.items():
        found = medians[kind]
        one = speeds_of(found, len(clips), settings.seconds)
        whole, tiny, loop = (found[name] for name in ("command", "tiny", "loop"))
        rates.append({
            "clips": f"{len(clips)} of {kind}",
            "frames": f"{whole['amount']:.0f}",
            "command, s": f"{whole['seconds']:.1f}",
            "of which starting, s": f"{tiny['seconds']:.1f}",
            "frames/s": f"{one.rate:.1f}",
            "times real time": f"{one.rate / REAL_TIME:.2f}",
            "share of the bound": f"{one.rate / one.bound(cores):.2f}",
            "times a user's loop": f"{one.rate * loop['seconds'] / loop['amount']:.1f}",
            "cores busy": f"{whole['processor'] / whole['seconds']:.2f}",
            "memory, MiB": f"{whole['together']:.0f}",
            "Aff-Wild2, hours": f"{AFFWILD2_FRAMES / one.rate / 3600:.1f}",
        })  # fmt: skip
        for name, spent in one.stages.items():
            share = spent / sum(one.stages.values())
            stages.append({"clips": kind, "stage": name, "ms a frame": f"{1e3 * spent:.2f}",
                           "share": f"{share:.0%}"})  # fmt: skip
    words = f"--rounds {settings.rounds} --seconds {settings.seconds:g}"
    words += f" --sample {settings.sample:g}"
    words += f" --options '{settings.options}'" if settings.options else ""
    return _TEXT.format(day=date.today(), cores=cores, words=words, rates=table(rates),
                        stages=table(stages), **vars(settings))  # fmt: skip


_TEXT = """# Speed of extraction

{day}, {cores} cores of a shared machine, no GPU:

    python -m experiments.benchmarks.extract_speed --clips '[DIR]' {words}

Clips of real faces, looped without encoding them again to {seconds:g} s each; for stages and loop,
{sample:g} s of each. In {rounds} rounds the contestants take turns; figures are medians.

- The command is `python -m features.extract --data.root CLIPS --data.store NEW` with the packaged
  encoders and no limit on threads. Its frames a second do not count starting: they are the
  difference from a run over the same clips cut to half a second. Real time is 30 a second.
- Bound for perfect overlap: max(longest stage of one video that cannot be split, processor seconds
  of all stages / cores). All stages but decoding work on a video in order.
- A user's loop: OpenCV, MTCNN on each frame, a face at a time; from its first frame on.
- Memory: most at one instant of all processes' proportional shares (PSS), sampled every .2 s.
- Aff-Wild2: its 2,993,081 frames at this rate, as if all of its videos were like these clips.

Targets: 10 times a user's loop, 3 times real time, .8 of the bound.

{rates}

Stages, each in a process of its own on one core, by the time of the processor, which others' work
hardly touches, on pictures in memory:

{stages}
"""

if __name__ == "__main__":
    run(
        ExtractSpeedSettings,
        command,
        prog="experiments.benchmarks.extract_speed",
        description=__doc__.split("\n")[0],
    )
