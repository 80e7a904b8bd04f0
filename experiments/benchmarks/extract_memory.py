"""Memory of extraction against the length of a video and the number of videos.

    python -m experiments.benchmarks.extract_memory --clip FILE
    python -m experiments.benchmarks.extract_memory --clip FILE --minutes '[1, 10]'

Data flow: a clip > looped to each length, and cut short and copied to each number > the literal
command with one worker on each in turn, its processes watched > peaks and curves on a page. What is
measured is kept under `work`: a killed run goes on with the next part.
"""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.benchmarks.looped_clips import kind_of, loop_clip
from experiments.kept import Cache, code_hash
from experiments.pages import table, write_page
from experiments.timing import watch
from features.cli.app import OK, run
from features.cli.progress import ProgressReport
from features.errors import UserError
from features.media import frame_times, probe
from features.store.fingerprint import sha256_of

TARGET = 0.15
"""Share by which the peaks may differ at most."""
POINTS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.95)
"""Shares of the time of a run at which its memory is shown."""
SHORT = 2.0
"""Seconds of each of the many videos."""

Result = dict[str, Any]


@dataclass
class ExtractMemorySettings:
    """Settings of the measurement.

    Args:
        clip: A video, with sound if sound is to be heard.
        minutes: Lengths to which it is looped.
        videos: Numbers of short videos.
        options: Further words of the extraction's command line.
        work: Folder for the videos and for what was measured.
        out: The page that is written.
    """

    clip: Path
    minutes: list[float] = field(default_factory=lambda: [1.0, 60.0])
    videos: list[int] = field(default_factory=lambda: [2, 40])
    options: list[str] = field(default_factory=lambda: ["--workers", "1"])
    work: Path = Path("runs/extract-memory")
    out: Path = Path(__file__).parents[1] / "results/extract-memory.md"


def command(settings: ExtractMemorySettings) -> int:
    """Measures and writes the page."""
    minutes, videos = settings.minutes, settings.videos
    if len(minutes) < 2 or min(minutes) <= 0 or min(videos, default=1) < 1:
        raise UserError("--minutes needs two lengths above 0, and --videos numbers above 0")
    todo = {f"{each:g} min": (1, 60 * each) for each in minutes}
    todo |= {f"{each} videos": (each, SHORT) for each in videos}
    cache, depends = Cache(settings.work), [sha256_of(settings.clip), settings.options, code_hash()]
    results = {}
    with ProgressReport("measure", len(todo)) as progress:
        for name, (number, seconds) in todo.items():
            measure = partial(measured, settings, number, seconds)
            results[name] = cache.get(name, depends, measure)
            progress.step(name)
    write_page(page(settings, results), settings.out)
    return OK


def measured(settings: ExtractMemorySettings, number: int, seconds: float) -> Result:
    """The literal command on some videos of a length, which are the same under other names."""
    settings.work.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(dir=settings.work) as folder,
        TemporaryDirectory(dir=settings.work) as store,
    ):
        first = loop_clip(settings.clip, Path(folder, "0.mp4"), seconds)
        for other in range(1, number):
            shutil.copy(first, Path(folder, f"{other}.mp4"))
        words = [sys.executable, "-m", "features.extract", "--data.root", folder]
        words += ["--data.store", store, *settings.options]
        usage = watch(words, settings.work / "log.txt")
        frames = number * len(frame_times(first))
    at = [share * usage.seconds for share in POINTS]
    before = [[mib for now, mib in usage.curve if now <= end] or [0.0] for end in at]
    curve = [(end, seen[-1]) for end, seen in zip(at, before, strict=True)]
    return {**asdict(usage), "frames": frames, "curve": curve}


def page(settings: ExtractMemorySettings, results: Mapping[str, Result]) -> str:
    """The page in Markdown."""
    long = [f"{minutes:g} min" for minutes in settings.minutes]
    many = [f"{number} videos" for number in settings.videos]
    verdicts: list[dict[str, object]] = []
    for first, last in [names[:: len(names) - 1] for names in (long, many) if len(names) > 1]:
        for name, words in (("largest", "largest process"), ("together", "all processes")):
            before, after = results[first][name], results[last][name]
            share = after / before - 1
            verdicts.append({
                "peak of": words, "from": f"{first}: {before:.0f}", "to": f"{last}: {after:.0f}",
                "differ by": f"{share:+.1%}", "met": "yes" if abs(share) <= TARGET else "NO",
            })  # fmt: skip
    peaks = [
        {
            "run": name,
            "frames": f"{found['frames']}",
            "seconds": f"{found['seconds']:.0f}",
            "frames/s": f"{found['frames'] / found['seconds']:.1f}",
            "processes": f"{found['processes']}",
            "largest process, MiB": f"{found['largest']:.0f}",
            "all, MiB": f"{found['together']:.0f}",
        }
        | {f"all after {share:.0%}": f"{mib:.0f}"
           for share, (_, mib) in zip(POINTS, found["curve"], strict=True)}
        for name, found in results.items()
    ]  # fmt: skip
    return _TEXT.format(
        day=date.today(),
        options=" ".join(settings.options),
        kind=kind_of(settings.clip),
        sound="with sound" if probe(settings.clip).has_sound else "without sound",
        short=SHORT,
        target=TARGET,
        verdicts=table(verdicts),
        peaks=table(peaks),
        minutes=settings.minutes,
        videos=settings.videos,
    )


_TEXT = """# Memory of extraction

{day}, 2 cores of a shared machine:

    python -m experiments.benchmarks.extract_memory --clip FILE \\
        --minutes '{minutes}' --videos '{videos}'

One clip of a real face ({kind}, {sound}), looped without encoding it again to each length, and cut
to {short:g} s and copied for the numbers of videos. The command is
`python -m features.extract --data.root VIDEOS --data.store NEW {options}`.

Largest process: the most that any one process had in memory (RSS). All processes: the most at one
instant of the sum of their proportional shares (PSS). Sampled every .2 s; MiB. Target: peaks of the
shortest and the longest run, and of the fewest and the most videos, differ by {target:.0%} at most.

{verdicts}

{peaks}
"""

if __name__ == "__main__":
    run(
        ExtractMemorySettings,
        command,
        prog="experiments.benchmarks.extract_memory",
        description=__doc__.split("\n")[0],
    )
