"""Memory of extraction against the length of a video and the number of videos.

    python -m experiments.benchmarks.extract_memory --clip FILE
    python -m experiments.benchmarks.extract_memory --clip FILE --minutes '[1, 10]'

Data flow: a clip > looped to each length, and cut short and copied to each number > the literal
command with one worker on each in turn, its processes watched > peaks, ratios and curves on a page.
What is measured is kept under `work`: a killed run goes on with the next part.
"""

import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from experiments.benchmarks.looped_clips import kind_of, loop_clip
from experiments.benchmarks.process_watch import watch
from experiments.studies.kept_results import KeptResults
from features.cli.app import OK, run
from features.cli.progress import ProgressReport
from features.errors import UserError
from features.media import frame_times, probe
from features.store.feature_track import write_atomically
from features.store.hashing import sha256_of

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
    if (
        len(settings.minutes) < 2
        or min(settings.minutes) <= 0
        or min(settings.videos, default=1) < 1
    ):
        raise UserError("--minutes needs two lengths above 0, and --videos numbers above 0")
    kept = KeptResults(settings.work, [sha256_of(settings.clip), settings.options])
    todo = parts(settings)
    with ProgressReport("measure", len(todo)) as progress:
        for name, measure in todo.items():
            kept.get(name, measure)
            progress.step(name)
    text = page(settings, {name: kept.values[name] for name in todo})
    write_atomically(settings.out, text.encode())
    print(text)
    return OK


def parts(settings: ExtractMemorySettings) -> dict[str, Callable[[], Result]]:
    """What is measured, by name."""
    found: dict[str, Callable[[], Result]] = {}
    found |= {f"{m:g} min": partial(of_length, settings, m) for m in settings.minutes}
    found |= {f"{n} videos": partial(of_number, settings, n) for n in settings.videos}
    return found


def of_length(settings: ExtractMemorySettings, minutes: float) -> Result:
    """The command on one video of a length; the video is removed afterwards."""
    folder = settings.work / f"{minutes:g}min"
    video = folder / f"{settings.clip.stem}.mp4"
    if not video.exists():
        loop_clip(settings.clip, video, 60 * minutes)
    result = extracted(settings, folder)
    shutil.rmtree(folder)
    return result


def of_number(settings: ExtractMemorySettings, number: int) -> Result:
    """The command on a number of short videos, which are all the same under other names."""
    with TemporaryDirectory(dir=settings.work) as folder:
        first = loop_clip(settings.clip, Path(folder, "0.mp4"), SHORT)
        for other in range(1, number):
            shutil.copy(first, Path(folder, f"{other}.mp4"))
        return extracted(settings, Path(folder))


def extracted(settings: ExtractMemorySettings, folder: Path) -> Result:
    """The literal command on a folder of videos, into a new store."""
    with TemporaryDirectory(dir=settings.work) as store:
        words = [sys.executable, "-m", "features.extract", "--data.root", str(folder)]
        words += ["--data.store", store, *settings.options]
        usage = watch(words, settings.work / "log.txt", shared=True)
    frames = sum(len(frame_times(path)) for path in folder.glob("*.mp4"))
    curve = [[share * usage.seconds, _at(usage.curve, share * usage.seconds)] for share in POINTS]
    return {"frames": frames, **asdict(usage), "curve": curve}


def _at(curve: Sequence[tuple[float, float]], seconds: float) -> float:
    """Memory at the last sample before an instant."""
    return next((mib for at, mib in reversed(curve) if at <= seconds), curve[0][1])


# The page ------------------------------------------------------------------------------------


def page(settings: ExtractMemorySettings, results: dict[str, Result]) -> str:
    """The page in Markdown."""
    long = [f"{minutes:g} min" for minutes in settings.minutes]
    many = [f"{number} videos" for number in settings.videos]
    comparisons = [(long[0], long[-1]), *([(many[0], many[-1])] if len(many) > 1 else [])]
    options = "" if not settings.options else " ".join(["", *settings.options])
    return _TEXT.format(
        day=date.today(),
        minutes=settings.minutes,
        videos=settings.videos,
        options=options,
        kind=kind_of(settings.clip),
        sound="with sound" if probe(settings.clip).has_sound else "without sound",
        short=SHORT,
        verdicts=_table(_verdicts(comparisons, results)),
        peaks=_table(_peaks(results)),
        curves=_table(_curves(results)),
    )


def excess(before: float, after: float) -> float:
    """By what share one figure lies above (below: negative) another."""
    return after / before - 1


def _verdicts(
    comparisons: Iterable[tuple[str, str]], results: dict[str, Result]
) -> Iterable[Sequence[str]]:
    yield "from", "to", "peak of", "MiB", "MiB", "differ by", "target", "met"
    for first, last in comparisons:
        for name, words in (("largest", "largest process"), ("together", "all processes")):
            a, b = results[first][name], results[last][name]
            share = excess(a, b)
            met = "yes" if abs(share) <= TARGET else "NO"
            target = f"at most {TARGET:.0%}"
            yield first, last, words, f"{a:.0f}", f"{b:.0f}", f"{share:+.1%}", target, met


def _peaks(results: dict[str, Result]) -> Iterable[Sequence[str]]:
    yield "run", "frames", "seconds", "frames/s", "processes", "largest process, MiB", "all, MiB"
    for name, found in results.items():
        cells = [f"{found['frames']}", f"{found['seconds']:.0f}"]
        cells += [f"{found['frames'] / found['seconds']:.1f}", f"{found['processes']}"]
        yield [name, *cells, f"{found['largest']:.0f}", f"{found['together']:.0f}"]


def _curves(results: dict[str, Result]) -> Iterable[Sequence[str]]:
    yield "MiB of all processes after", *(f"{share:.0%} of the time" for share in POINTS)
    for name, found in results.items():
        yield name, *(f"{mib:.0f} ({at:.0f} s)" for at, mib in found["curve"])


def _table(rows: Iterable[Sequence[str]]) -> str:
    """Markdown table; the first row is the head."""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


_TEXT = """# Memory of extraction

{day}, 2 cores of a shared machine:

    python -m experiments.benchmarks.extract_memory --clip FILE \\
        --minutes '{minutes}' --videos '{videos}'

One clip of a real face ({kind}, {sound}), looped without encoding it again to each length, and cut
to {short:g} s and copied for the numbers of videos. The command is
`python -m features.extract --data.root VIDEOS --data.store NEW{options}`.

Largest process: the most that any one process ever had in memory (RSS), as the kernel keeps it. All
processes: the most at one instant of the sum of their proportional shares (PSS: what n processes
share counts 1/n for each) of memory that does not come from files, so without libraries, which
other programs share; sampled every .2 s.

{verdicts}

{peaks}

{curves}
"""

if __name__ == "__main__":
    description = __doc__.split("\n")[0]
    run(
        ExtractMemorySettings,
        command,
        prog="experiments.benchmarks.extract_memory",
        description=description,
    )
