"""Made-up predictions with every kind of task and measure, for measurements and tests of pages.

Data flow: frames, rate, seed > slow random curves with noise > FramePredictions.

Letters: F frames, C columns.
"""

from dataclasses import replace

import numpy as np

from features.encoders.visual.face.encoder import UNIT_NAMES
from features.faces.person_track import FACE_COLUMNS
from fusion.data.predictions import FramePredictions
from fusion.measuring.baseline import with_baseline
from fusion.tasks.measuring.measures import Column, Measure, Origin
from fusion.tasks.registry import make_tasks

TASKS = {"va": None, "expr": None, "au": None}
UNITS = tuple(f"{unit}_p" for unit in UNIT_NAMES)
SMOOTH = 0.8
"""Seconds over which curves change."""
PROVENANCE = {"checkpoint": "made", "stream face": "face 1", "stream voice": "prosody 1"}


def made_person(
    name: str,
    video: str,
    frames: int,
    fps: float = 30.0,
    seed: int = 0,
    tasks: tuple[str, ...] = ("expr",),
    size: tuple[int, int] = (640, 360),
) -> FramePredictions:
    """Predictions of one person, as the packaged model gives them.

    Args:
        name: Id of the person.
        video: Id of the video.
        frames: F.
        fps: Frames per second.
        seed: Of the curves.
        tasks: Which tasks it says.
        size: Width and height of the picture in pixels.
    """
    draw = np.random.default_rng(seed)
    face = _curves(draw, frames, 1, fps, 3.0)[:, 0] > -2.0
    made = make_tasks({name: TASKS[name] for name in tasks})
    values = {name: _values(draw, name, len(t.columns), frames, fps) for name, t in made.items()}
    said = FramePredictions(
        id=name,
        video=video,
        times=np.arange(frames) / fps,
        face=face,
        tasks=made,
        values=values,
        thresholds={n: np.full(len(made[n].columns), 0.5, np.float32) for n in made if n == "au"},
        provenance=PROVENANCE,
        measures=_measures(draw, frames, fps, face, size, "va" in tasks),
    )
    return with_baseline(said, "auto") if frames else said


def without_face(said: FramePredictions) -> FramePredictions:
    """The same of somebody who is never seen."""
    return replace(said, face=np.zeros(len(said), bool))


def _curves(
    draw: np.random.Generator, frames: int, count: int, fps: float, wide: float = SMOOTH
) -> np.ndarray:
    """(F, C) noise that changes slowly, of variance about 1, with a little fast noise."""
    knots = max(int(frames / fps / wide) + 2, 4)
    at = np.linspace(0, knots - 1, frames)
    slow = draw.normal(size=(knots, count))
    curves = np.stack([np.interp(at, np.arange(knots), one) for one in slow.T], 1)
    return curves + draw.normal(scale=0.02, size=curves.shape)


def _values(
    draw: np.random.Generator, name: str, count: int, frames: int, fps: float
) -> np.ndarray:
    curves = _curves(draw, frames, count, fps)
    if name == "va":
        return np.tanh(curves * 0.5).astype(np.float32)
    if name == "au":
        return _share(curves).astype(np.float32)
    odds = np.exp(2 * curves)
    return (odds / odds.sum(1, keepdims=True)).astype(np.float32)


def _share(curves: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-2 * curves + 1))


def _measure(
    heading: str,
    columns: list[tuple[str, str, str, float | None, float | None]],
    values: np.ndarray,
    origin: Origin,
) -> Measure:
    made = tuple(Column(*one, origin) for one in columns)
    return Measure(heading, made, values.astype(np.float32))


def _measures(
    draw: np.random.Generator,
    frames: int,
    fps: float,
    face: np.ndarray,
    size: tuple[int, int],
    has_va: bool,
) -> dict[str, Measure]:
    hidden = np.where(face, 1.0, np.nan)[:, None]
    pair = np.tanh(_curves(draw, frames, 2, fps) * 0.5)
    names = ("valence", "arousal")
    units = _share(_curves(draw, frames, len(UNITS), fps))
    found: dict[str, Measure] = {}
    if not has_va:
        columns = [(n, f"{n}, from the expressions' probabilities", "", -1.0, 1.0) for n in names]
        found["va"] = _measure("Valence and arousal", list(columns), pair, "derived")
    found["units"] = _measure(
        "Action units",
        [(name, f"probability of {name[:-2]}", "", 0.0, 1.0) for name in UNITS],
        units * hidden,
        "trained",
    )
    turns = [(n, f"{n} of the head", "degrees", -90.0, 90.0) for n in ("yaw", "pitch", "roll")]
    found["pose"] = _measure(
        "Head pose", list(turns), 12 * _curves(draw, frames, 3, fps).clip(-5, 5) * hidden, "trained"
    )
    trust = (0.85 + 0.1 * _curves(draw, frames, 1, fps)).clip(0, 1) * np.where(face, 1, 0.1)[
        :, None
    ]
    found["quality"] = _measure(
        "Validity", [("validity", "how far to trust the frame", "", 0.0, 1.0)], trust, "trained"
    )
    found |= _places(draw, frames, fps, hidden, size)
    talks = [("speech", "whether somebody speaks", "", 0.0, 1.0)]
    speech = _share(3 * _curves(draw, frames, 1, fps))
    found["speech"] = _measure("Speech", list(talks), speech, "trained")
    voice = [("vocal_arousal", "arousal of the voice", "", 0.0, 1.0)]
    found["voice"] = _measure("Voice", list(voice), _share(pair[:, 1:]), "derived")
    spread = 0.05 + 0.1 * _share(_curves(draw, frames, 2, fps))
    sure = [(f"{n}_sd", f"standard deviation of {n}", "", 0.0, None) for n in names]
    found["uncertainty"] = _measure("Uncertainty", list(sure), spread, "uncertainty")
    return found


def _places(
    draw: np.random.Generator, frames: int, fps: float, hidden: np.ndarray, size: tuple[int, int]
) -> dict[str, Measure]:
    """A face that wanders about the picture."""
    side = size[1] * 0.35
    moved = 0.08 * np.tanh(_curves(draw, frames, 2, fps, 2.0)) * size
    left, top = (np.array(size) * draw.uniform(0.15, 0.5, 2) + moved).T
    box = np.column_stack([left, top, left + side, top + side])
    x, y = np.array([0.3, 0.7, 0.5, 0.35, 0.65]), np.array([0.4, 0.4, 0.6, 0.78, 0.78])
    marks = np.empty((frames, 10))
    marks[:, 0::2], marks[:, 1::2] = left[:, None] + side * x, top[:, None] + side * y
    corners = [(f"box_{n}", f"{n} of the box", "pixels", None, None) for n in FACE_COLUMNS[:4]]
    points = [(n, n.replace("_", " "), "pixels", None, None) for n in FACE_COLUMNS[4:14]]
    return {
        "box": _measure("Box", list(corners), box * hidden, "measured"),
        "landmarks": _measure("Landmarks", list(points), marks * hidden, "measured"),
    }
