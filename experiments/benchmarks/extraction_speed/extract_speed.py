"""How fast extraction is, beside its own stages and beside what others would run.

    python -m experiments.benchmarks.extraction_speed.extract_speed --clips '[DIR,FILE]'
    python -m experiments.benchmarks.extraction_speed.extract_speed \
        --clips '[DIR]' --fer_python VENV/bin/python

Data flow: clips > by size and rate > looped to `seconds`, cut to `sample` and to half a second > in
rounds, in turns: each stage alone on one core, the literal command, the loop of a user, `fer` > a
page (extract_speed_page). What is measured is kept under `work`: a killed run goes on.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.benchmarks.extraction_speed import page as extract_speed_page
from experiments.benchmarks.extraction_speed.parts import BATCHES
from experiments.benchmarks.looped_clips import kind_of, loop_clip, videos_of
from experiments.benchmarks.process_watch import watch
from experiments.studies.kept_results import KeptResults
from features.cli.app import OK, run
from features.cli.progress import ProgressReport
from features.errors import UserError
from features.media import frame_times
from features.store.feature_track import write_atomically
from features.store.hashing import sha256_of

TINY = 0.5
"""Seconds of the clips of the command that shows what starting costs."""
STAGES = ("detect on every frame", "detect at default", "crop and encode")
"""Parts that are timed on the samples; decoding and sound are on the whole loops."""
RIVAL_FER = Path(__file__).with_name("rival_fer.py")

Result = dict[str, Any]


@dataclass
class ExtractSpeedSettings:
    """Settings of the measurement.

    Args:
        clips: Videos or folders of videos; those of equal size and rate are one set.
        rounds: Times that all is run; figures are medians.
        seconds: Length to which each clip is looped for the command.
        sample: Seconds of each loop for what is slow: stages alone, and what others would run.
        fer_python: Interpreter that has the package `fer`. None: it is left out.
        options: Further words of the extraction's command line.
        work: Folder for the looped clips and for what was measured.
        out: The page that is written.
    """

    clips: list[Path]
    rounds: int = 3
    seconds: float = 60.0
    sample: float = 10.0
    fer_python: Path | None = None
    options: list[str] = field(default_factory=list)
    work: Path = Path("runs/extract-speed")
    out: Path = Path(__file__).parents[2] / "results/extract-speed.md"


@dataclass(frozen=True)
class Media:
    """One set of clips in three lengths; each is a folder with a video for each clip."""

    long: Path
    sample: Path
    tiny: Path


def command(settings: ExtractSpeedSettings) -> int:
    """Measures and writes the page."""
    if settings.rounds < 1 or not TINY < settings.sample <= settings.seconds:
        raise UserError(
            f"--rounds must be at least 1, and {TINY} < --sample {settings.sample} <="
            f" --seconds {settings.seconds}"
        )
    sets = sets_of(videos_of(settings.clips))
    hashes = {kind: [sha256_of(clip) for clip in clips] for kind, clips in sets.items()}
    depends = [hashes, settings.seconds, settings.sample, settings.options]
    results = KeptResults(settings.work, depends)
    media = {kind: made_media(kind, clips, settings) for kind, clips in sets.items()}
    measure_all(settings, media, results)
    text = extract_speed_page.page(settings, sets, results.values)
    write_atomically(settings.out, text.encode())
    print(text)
    return OK


def sets_of(clips: Sequence[Path]) -> dict[str, list[Path]]:
    """Clips by size and rate."""
    sets: dict[str, list[Path]] = {}
    for clip in clips:
        sets.setdefault(kind_of(clip), []).append(clip)
    return sets


def made_media(kind: str, clips: Sequence[Path], settings: ExtractSpeedSettings) -> Media:
    """The three lengths of a set of clips; what is there already is not made again."""
    lengths = {"long": settings.seconds, "sample": settings.sample, "tiny": TINY}
    folders = {}
    for name, seconds in lengths.items():
        folders[name] = settings.work / "media" / kind.replace(", ", "-").replace(" ", "")
        folders[name] /= f"{name}-{seconds:g}s"
        for clip in clips:
            target = folders[name] / f"{clip.stem}.mp4"
            if not target.exists():
                loop_clip(clip, target, seconds)
    return Media(**folders)


def measure_all(
    settings: ExtractSpeedSettings, media: dict[str, Media], results: KeptResults
) -> None:
    """Runs all contestants in turns, round by round."""
    todo: dict[str, Callable[[], Result]] = {}
    for number in range(settings.rounds):
        for kind, lengths in media.items():
            for name, measure in contestants(settings, lengths).items():
                todo[f"{number}/{kind}/{name}"] = measure
    with ProgressReport("measure", len(todo)) as progress:
        for name, measure in todo.items():
            results.get(name, measure)
            progress.step(name)


def contestants(settings: ExtractSpeedSettings, media: Media) -> dict[str, Callable[[], Result]]:
    """What is timed on one set of clips, by name."""
    one = partial(time_part, settings.work, cores=1)
    every = partial(time_part, settings.work, cores=None)
    ours = partial(time_command, settings)
    found: dict[str, Callable[[], Result]] = {
        "decode, one core": partial(one, "decode", media.long),
        "decode, all cores": partial(every, "decode", media.long),
        **{stage: partial(one, stage, media.sample) for stage in STAGES},
        "sound": partial(one, "sound", media.long),
        "all cores at once": partial(time_at_once, "detect at default", media.sample),
        **{f"encode {n}": partial(one, f"encode {n}", media.sample) for n in BATCHES},
        **{f"command, {n}": partial(ours, getattr(media, n)) for n in ("long", "sample", "tiny")},
        "loop": partial(every, "loop", media.sample),
    }
    if settings.fer_python:
        found["fer"] = partial(time_fer, settings.work, settings.fer_python, media.sample)
    return found


def time_part(work: Path, part: str, folder: Path, *, cores: int | None) -> Result:
    """One part of `extract_speed_parts` in a process of its own: its timings and what it took."""
    log = work / "log.txt"
    usage = watch(_part_words(part, folder, cores), log)
    return {"videos": _last_json(log), **_plain(asdict(usage))}


def time_at_once(part: str, folder: Path) -> Result:
    """The same part on all cores at once, each by itself: seconds of the processor for each."""
    count, words = len(os.sched_getaffinity(0)), _part_words(part, folder, 1)
    runs = [
        subprocess.Popen([*words, "--first", str(core)], stdout=subprocess.PIPE)
        for core in range(count)
    ]
    found = [json.loads(each.communicate()[0].splitlines()[-1]) for each in runs]
    spent = [sum(v["processor"] for v in videos.values()) for videos in found]
    return {"processes": count, "processor": spent}


def time_command(settings: ExtractSpeedSettings, folder: Path) -> Result:
    """The literal command on a folder of videos, into a new store."""
    with TemporaryDirectory(prefix="affuse-speed-") as store:
        words = [sys.executable, "-m", "features.extract", "--data.root", str(folder)]
        words += ["--data.store", store, *settings.options]
        usage = watch(words, settings.work / "log.txt")
    videos = videos_of([folder])
    return {"frames": sum(len(frame_times(path)) for path in videos), **_plain(asdict(usage))}


def time_fer(work: Path, python: Path, folder: Path) -> Result:
    """The package `fer` on a folder of videos; the cause if it does not run."""
    log = work / "log.txt"
    try:
        usage = watch([str(python), str(RIVAL_FER), *map(str, videos_of([folder]))], log)
    except (UserError, FileNotFoundError) as error:
        lines = log.read_text(errors="replace").splitlines()
        return {"fault": lines[-1] if lines else str(error)}
    return {"videos": {"all": _last_json(log)}, **_plain(asdict(usage))}


def _part_words(part: str, folder: Path, cores: int | None) -> list[str]:
    words = [sys.executable, "-m", "experiments.benchmarks.extraction_speed.parts", "--part", part]
    words += ["--videos", json.dumps([str(path) for path in videos_of([folder])])]
    return words + (["--cores", str(cores)] if cores else [])


def _last_json(log: Path) -> Any:
    """What the last line of the output says that is JSON."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line[:1] == "{"]
    if not lines:
        raise UserError(f"{log}: no result in it; see what went wrong there")
    return json.loads(lines[-1])


def _plain(usage: Result) -> Result:
    """Usage without its curve, which the page does not show."""
    return {name: value for name, value in usage.items() if name != "curve"}


if __name__ == "__main__":
    description = __doc__.split("\n")[0]
    run(
        ExtractSpeedSettings,
        command,
        prog="experiments.benchmarks.extraction_speed.extract_speed",
        description=description,
    )
