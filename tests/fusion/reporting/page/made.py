"""Small pages for tests: a photographed face that moves, sound, two people, labels."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from experiments.benchmarks.page_people import made_person
from fusion.data.predictions import FramePredictions
from fusion.events.rules import read_rules
from fusion.reporting.page.site import Job, write_page
from fusion.tasks.labels import FrameLabels
from tests.fusion.classic import classic_labels
from tests.media import face_frame, tone, write_video

FRAMES, FPS, SIZE = 75, 25.0, (320, 240)
ALL = ("va", "expr", "au")


@cache
def moving_face() -> tuple[np.ndarray, ...]:
    """Three seconds of pictures."""
    width, height = SIZE
    return tuple(face_frame(width, height, [(100 + i, 120)]) for i in range(FRAMES))


def made_clip(folder: Path, name: str = "talk.mp4", **options: object) -> Path:
    """Three seconds of a face that moves, with a tone."""
    sound = tone(FRAMES / FPS) * np.linspace(0, 1, round(44_100 * FRAMES / FPS), dtype=np.float32)
    return write_video(folder / name, list(moving_face()), fps=FPS, **({"sound": sound} | options))  # type: ignore[arg-type]


def made_people(
    video: str = "talk", count: int = 2, tasks: tuple[str, ...] = ALL
) -> list[FramePredictions]:
    """The first is `VIDEO`, others `VIDEO_person2`, and so on."""
    names = [video, *(f"{video}_person{i}" for i in range(2, count + 1))]
    return [
        made_person(name, video, FRAMES, FPS, seed, tasks, SIZE) for seed, name in enumerate(names)
    ]


def made_labels(frames: int = FRAMES) -> FrameLabels:
    """Of all tasks, the last third of frames without any."""
    draw, known = np.random.default_rng(5), np.arange(frames) < 2 * frames // 3
    units = 12
    return classic_labels(
        va=draw.uniform(-1, 1, (frames, 2)).astype(np.float32) * known[:, None],
        va_mask=known,
        expr=draw.integers(0, 8, frames) * known,
        expr_mask=known,
        au=(draw.integers(0, 2, (frames, units)) * known[:, None]).astype(np.float32),
        au_mask=np.repeat(known[:, None], units, axis=1),
    )


def made_page(folder: Path, job: Job | None = None, **changes: object) -> Path:
    """Writes a page of a job, by default of the clip above with two people and labels of one."""
    if job is None:
        job = Job(
            "talk",
            made_people(),
            {"talk": made_labels()},
            heard=True,
            media=made_clip(folder),
            rules=read_rules(None),
        )
    path = folder / "talk.html"
    write_page(replace(job, **changes), path)  # type: ignore[arg-type]
    return path
