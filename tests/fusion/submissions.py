"""Decisions, templates and files, for the tests of writing and checking submissions."""

from pathlib import Path

import numpy as np

from fusion.abaw.reading.lists import Template, read_template
from fusion.abaw.submission.checker import check_submission
from fusion.abaw.submission.problems import Problem
from fusion.abaw.submission.writer import FrameDecisions
from fusion.tasks.au import UNITS

HEADERS = {
    "VA": "image_location,valence,arousal",
    "EXPR": "image_location,Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other",
    "AU": "image_location,AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26",
    "MTL": "image,valence,arousal,expression,aus",
    "CE": "image_location,Fearfully_Surprised,Happily_Surprised,Sadly_Surprised,"
    "Disgustedly_Surprised,Angrily_Surprised,Sadly_Fearful,Sadly_Angry",
}


def decisions(frames: int) -> FrameDecisions:
    """Frame i: valence i / 100, arousal -i / 100, class i mod 8 (compound mod 7), unit i mod 12."""
    i = np.arange(1, frames + 1)
    au = (i[:, None] % len(UNITS) == np.arange(len(UNITS))).astype(np.int64)
    va = np.stack([i, -i], axis=1).astype(np.float32) / 100
    return FrameDecisions(va=va, expr=i % 8, au=au, ce=i % 7, face=np.ones(frames, bool))


def template(tmp_path: Path, challenge: str, pictures: list[str]) -> Template:
    path = tmp_path / "sample.txt"
    path.write_text("\n".join([HEADERS[challenge], *pictures]))
    return read_template(path)


def pictures(track_id: str, frames: int) -> list[str]:
    return [f"{track_id}/{frame:05d}.jpg" for frame in range(1, frames + 1)]


def check(tmp_path: Path, challenge: str, text: str, **kwargs: object) -> list[str]:
    path = tmp_path / "checked.txt"
    path.write_bytes(text.encode())
    problems: list[Problem] = check_submission(path, challenge, **kwargs)  # type: ignore[arg-type]
    return [str(problem) for problem in problems]


def va_file(*rows: str) -> str:
    return "\n".join([HEADERS["VA"], *rows]) + "\n"
