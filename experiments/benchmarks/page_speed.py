"""Speed, size and memory of review pages, by length and people, in a real browser.

    python -m experiments.benchmarks.page_speed
    python -m experiments.benchmarks.page_speed --minutes '[1, 60]' --people '[1, 4]'

Data flow: made-up predictions > page without its clip > headless Chromium without a GPU > table.
"""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from experiments.benchmarks.page_browser import chromium, measured, opened, wait
from experiments.benchmarks.page_people import made_person
from experiments.pages import table, write_page
from features.cli.app import OK, run
from features.cli.progress import ProgressReport
from fusion.reporting.page.index import Row, row_of
from fusion.reporting.page.site import Job, write_index
from fusion.reporting.page.site import write_page as write_review
from fusion.reporting.timeline import Envelope

FPS = 30.0
Results = Mapping[tuple[float, int], Mapping[str, float]]
"""By minutes and people."""
TARGETS = {"open": 2.0, "zoom": 0.1, "seek": 0.1, "memory": 300.0}
"""Seconds, and MB, of an hour of four people."""
AN_HOUR = 8.0
"""MB of a page an hour, without the clip."""


@dataclass
class PageSpeedSettings:
    """Settings of the measurement.

    Args:
        minutes: Lengths of clips.
        people: Numbers of people.
        clips: Rows of an index that is measured too; 0: none.
        repeats: How often a page is opened; medians are shown.
        out: The page that is written.
    """

    minutes: list[float] = field(default_factory=lambda: [1.0, 10.0, 60.0, 180.0])
    people: list[int] = field(default_factory=lambda: [1, 4])
    clips: int = 500
    repeats: int = 3
    out: Path = Path(__file__).parents[1] / "results/page-speed.md"


def command(settings: PageSpeedSettings) -> int:
    """Measures and writes the page."""
    todo = [(m, p) for m in settings.minutes for p in settings.people]
    results: dict[tuple[float, int], dict[str, float]] = {}
    with (
        TemporaryDirectory() as folder,
        chromium() as browser,
        ProgressReport("measure", len(todo)) as progress,
    ):
        for minutes, people in todo:
            path = Path(folder, "page.html")
            made = made_page(path, minutes, people)
            every = [measured(browser, path) for _ in range(settings.repeats)]
            taken = {key: statistics.median(one[key] for one in every) for key in every[0]}
            results[minutes, people] = made | taken
            progress.step(f"{minutes:g} min, {people}")
        index = index_opens(browser, Path(folder), settings) if settings.clips else 0.0
    write_page(page(settings, results, index), settings.out)
    return OK


def made_page(path: Path, minutes: float, people: int) -> dict[str, float]:
    """Writes a page of made-up people; seconds that this takes, and MB."""
    frames = round(60 * minutes * FPS)
    said = [made_person(f"talk{i}", "talk", frames, FPS, i) for i in range(people)]
    times = np.arange(0.01, frames / FPS, 0.02)
    level = -30 + 10 * np.random.default_rng(0).normal(size=len(times)).astype(np.float32)
    start = time.perf_counter()
    write_review(Job("talk", said, sound=Envelope(times, level), heard=True), path)
    return {"made": time.perf_counter() - start, "size": path.stat().st_size / 1e6}


def index_opens(browser: Any, folder: Path, settings: PageSpeedSettings) -> float:
    """Seconds until an index is open."""
    row = row_of("talk.html", made_person("talk", "talk", 3000, FPS), None)
    rows = [Row(**vars(row) | {"video": f"clip{i}"}) for i in range(settings.clips)]
    write_index(rows, folder / "index.html", "index")
    taken = []
    for _ in range(settings.repeats):
        with opened(browser, folder / "index.html") as tab:
            wait(tab, "'opened' in document.documentElement.dataset")
            taken.append(float(tab.evaluate("document.documentElement.dataset.opened")) / 1000)
    return statistics.median(taken)


def page(
    settings: PageSpeedSettings,
    results: Mapping[tuple[float, int], Mapping[str, float]],
    index: float,
) -> str:
    """The page in Markdown."""
    rows = [
        {
            "length": f"{minutes:g} min",
            "people": str(people),
            "page, MB": f"{found['size']:.1f}",
            "MB an hour": f"{found['size'] * 60 / minutes:.1f}",
            "made in, s": f"{found['made']:.1f}",
            "open, s": f"{found['open']:.2f}",
            "zoom, s": f"{found['zoom']:.3f}",
            "at most": f"{found['zoom at most']:.3f}",
            "seek, s": f"{found['seek']:.3f}",
            "memory, MB": f"{found['memory']:.0f}",
        }
        for (minutes, people), found in results.items()
    ]
    return _TEXT.format(
        day=date.today(),
        repeats=settings.repeats,
        rows=table(rows),
        verdicts=table(verdicts(results)),
        index=f"An index of {settings.clips} rows opens in {index:.2f} s." if index else "",
    )


def verdicts(results: Results) -> list[dict[str, object]]:
    """Targets and whether they are met, by an hour of the most people that were measured."""
    hours = [key for key in results if key[0] == 60]
    if not hours:
        return [{"target": "of an hour", "measured": "no hour was measured", "met": "-"}]
    found = results[max(hours)]
    units = {"memory": "MB"}
    rows: list[dict[str, object]] = [
        {
            "target": f"{name} at most {most:g} {units.get(name, 's')}",
            "measured": f"{found[name]:.3g}",
            "met": "yes" if found[name] <= most else "NO",
        }
        for name, most in TARGETS.items()
    ]
    small = found["size"] <= AN_HOUR
    target = f"page at most {AN_HOUR:g} MB"
    return [
        *rows,
        {"target": target, "measured": f"{found['size']:.3g}", "met": "yes" if small else "NO"},
    ]


_TEXT = """# Speed of review pages

{day}, 2 cores of a shared machine, headless Chromium with `--disable-gpu`, 1280 x 900:

    python -m experiments.benchmarks.page_speed

Made-up predictions at 30 frames a second with the columns that the packaged model gives:
expressions, action units, derived values with uncertainty and baseline, head pose, validity,
speech, box and landmarks; curves that change within a second, and noise. Pages are without their
clip. Open: until the curves of all who are shown are drawn. Zoom and seek: until the next picture
of the screen is drawn, the median of 12 and the longest. Of {repeats} openings the median. Memory:
what the renderer has for itself (USS).

{rows}

An hour of four people:

{verdicts}

{index}
"""

if __name__ == "__main__":
    run(
        PageSpeedSettings,
        command,
        prog="experiments.benchmarks.page_speed",
        description=__doc__.split("\n")[0],
    )
