"""The demo's films: who plays in which clip, and the mp4 that comes of it.

Data flow: number of clips > plans > people and performances > painted frames + spoken sound > mp4.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from experiments.demo.faces import Painter, cover
from experiments.demo.people import Performance, Person, draw_person, label, perform
from experiments.demo.voices import speak
from fusion.abaw.challenges import TASKS
from fusion.tasks.labels import FrameLabels

PARTS = ("train", "validation", "test")
CYCLE = ("train", "validation", "test", "train", "train")
"""Part of the clips, over and over, so that any few clips hold all parts."""
PEOPLE = {"train": 14, "validation": 5, "test": 6}
"""People of each part; they play in turn."""
TWO_PEOPLE, SILENT, LATE_SOUND, HIDDEN = "two", "silent", "late", "hidden"
SLOW, VARYING, FAST = "7.5", "varying", "50"
SPECIAL = {3: TWO_PEOPLE, 5: SILENT, 6: LATE_SOUND, 7: HIDDEN, 8: SLOW, 9: VARYING, 10: FAST}
"""Peculiarity of some clips, by index."""
SOME_TASKS = {4: ("VA",), 14: ("EXPR", "AU"), 16: ("VA", "EXPR"), 19: ("AU",)}
"""Clips that are not annotated for everything, by index."""
DELAY = 0.6
"""Seconds by which the sound of the `LATE_SOUND` clip starts after the picture."""
HIDING = 1.4
"""Seconds for which the face of the `HIDDEN` clip is covered."""
TICKS = 90_000
"""Clock of the picture, ticks a second."""


@dataclass(frozen=True)
class Plan:
    """One clip to make.

    Attributes:
        index: Place in the corpus.
        video: Video id.
        part: `train`, `validation` or `test`.
        people: Names of the people, left to right.
        special: Peculiarity (`SPECIAL`), empty if none.
        fps: Frames a second; the mean where they vary.
        seconds: Length.
        size: Height and width of the picture.
        tasks: What is annotated.
        start: Where in the ring of emotions the clip begins.
    """

    index: int
    video: str
    part: str
    people: tuple[str, ...]
    special: str
    fps: Fraction
    seconds: float
    size: tuple[int, int]
    tasks: tuple[str, ...]
    start: int

    @property
    def ids(self) -> tuple[str, ...]:
        """Annotation ids, one a person."""
        if len(self.people) == 1:
            return (self.video,)
        return f"{self.video}_left", f"{self.video}_right"


def plan_clips(clips: int, seed: int, seconds: float | None) -> list[Plan]:
    """Plans of a corpus; `seconds` sets one length for all clips."""
    return [
        _plan(index, np.random.default_rng([seed, 1, index]), seconds) for index in range(clips)
    ]


def shoot(plan: Plan, seed: int, path: Path) -> list[FrameLabels]:
    """Writes the clip's mp4 and returns the labels of each of its people."""
    rng = np.random.default_rng([seed, 2, plan.index])
    people = [_person(name, seed) for name in plan.people]
    acts = [perform(plan.start + 3 * i, plan.seconds, rng) for i in range(len(people))]
    times = frame_times(plan, rng)
    sound = None if plan.special == SILENT else _sound(people, acts, plan, rng)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        picture = _add_picture(container, plan)
        track = None if sound is None else container.add_stream("aac", rate=sound_rate(plan))
        _write_picture(container, picture, times, _paint(people, acts, times, plan, rng))
        if track is not None and sound is not None:
            _write_sound(container, track, sound, plan)
    return [label(act, times, rng) for act in acts]


def frame_times(plan: Plan, rng: np.random.Generator) -> np.ndarray:
    """(F,) seconds of the frames, whole ticks."""
    count = round(plan.seconds * plan.fps)
    steps = np.full(count - 1, 1 / float(plan.fps))
    if plan.special == VARYING:
        steps *= rng.choice([0.5, 0.8, 1.0, 2.0], count - 1, p=[0.2, 0.3, 0.4, 0.1])
    return np.round(np.concatenate([[0], np.cumsum(steps)]) * TICKS) / TICKS


def sound_rate(plan: Plan) -> int:
    """Samples a second: cameras differ."""
    return 44_100 if plan.index % 3 == 0 else 16_000


def _plan(index: int, rng: np.random.Generator, seconds: float | None) -> Plan:
    part = CYCLE[index % len(CYCLE)]
    nth = sum(CYCLE[i % len(CYCLE)] == part for i in range(index))
    special = SPECIAL.get(index, "")
    length = rng.uniform(4.0, 6.6) if seconds is None else seconds
    people: tuple[str, ...] = (f"{part}{nth % PEOPLE[part] + 1:02d}",)
    size = ((256, 256), (240, 320))[int(rng.integers(2))]
    if special == TWO_PEOPLE:
        people, size = (*people, f"{part}{PEOPLE[part] + 1:02d}"), (240, 448)
    if special == HIDDEN:
        length = max(length, 2 * HIDING)
    usual = (Fraction(25), Fraction(30), Fraction(30000, 1001))[int(rng.integers(3))]
    fps = {SLOW: Fraction(15, 2), FAST: Fraction(50)}.get(special, usual)
    return Plan(
        index=index,
        video=_video_name(index),
        part=part,
        people=people,
        special=special,
        fps=fps,
        seconds=4.0 if special == FAST and seconds is None else float(length),
        size=size,
        tasks=SOME_TASKS.get(index, TASKS),
        start=3 * nth + PARTS.index(part),
    )


def _video_name(index: int) -> str:
    """Names in the manner of Aff-Wild2, some the beginning of others."""
    number = index // 4 + 1
    kinds = (f"{number}", f"{index + 8}-24-1920x1080", f"video{number}", f"{number}{number}")
    return kinds[index % 4]


def _person(name: str, seed: int) -> Person:
    return draw_person(name, np.random.default_rng([seed, 3, zlib.crc32(name.encode())]))


def _paint(
    people: list[Person],
    acts: list[Performance],
    times: np.ndarray,
    plan: Plan,
    rng: np.random.Generator,
) -> Iterator[np.ndarray]:
    """Yields the pictures (H, W, 3), people side by side."""
    height, width = plan.size
    painters = [Painter(p.look, height, width // len(people), rng) for p in people]
    hidden_from = (plan.seconds - HIDING) / 2
    for now in times:
        halves = [
            painter.paint(act.face(person, now))
            for painter, act, person in zip(painters, acts, people, strict=True)
        ]
        picture = np.ascontiguousarray(np.hstack(halves))
        if plan.special == HIDDEN and hidden_from <= now < hidden_from + HIDING:
            sway = np.sin(4 * now) * width * 0.04
            cover(picture, (width / 2 + sway, height / 2), np.array([38, 36, 34], np.uint8))
        yield picture


def _sound(
    people: list[Person], acts: list[Performance], plan: Plan, rng: np.random.Generator
) -> np.ndarray:
    """(N,) everybody's voice."""
    voices = [
        speak(p.voice, act.speech, sound_rate(plan), rng)
        for p, act in zip(people, acts, strict=True)
    ]
    return np.sum(voices, axis=0) / len(voices)


def _add_picture(container: av.container.OutputContainer, plan: Plan) -> av.VideoStream:
    """An H.264 stream; one thread, so that the bytes do not hang on the machine."""
    stream = container.add_stream("libx264", rate=plan.fps)
    stream.height, stream.width = plan.size
    stream.pix_fmt = "yuv420p"
    stream.options = {"preset": "ultrafast", "crf": "24", "threads": "1"}
    stream.codec_context.time_base = Fraction(1, TICKS)
    return stream


def _write_picture(
    container: av.container.OutputContainer,
    stream: av.VideoStream,
    times: np.ndarray,
    pictures: Iterable[np.ndarray],
) -> None:
    for now, picture in zip(times, pictures, strict=True):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = round(now * TICKS), Fraction(1, TICKS)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _write_sound(
    container: av.container.OutputContainer,
    stream: av.AudioStream,
    sound: np.ndarray,
    plan: Plan,
) -> None:
    """Writes the sound, from `DELAY` on if it comes late."""
    rate = sound_rate(plan)
    begin = round(DELAY * rate) if plan.special == LATE_SOUND else 0
    for at in range(begin, len(sound), 1024):
        block = np.ascontiguousarray(sound[None, at : at + 1024])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
