"""What a review page holds. Data flow: people of a video, truth, sound, clip > plain data + blocks.

Letters: F frames, N sound levels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fusion.data.predictions import FramePredictions
from fusion.data.review import Review
from fusion.inference.origins import PLACE
from fusion.measuring.readings import QUALITY, SPEECH
from fusion.reporting.page.carried import carried_by
from fusion.reporting.page.clip import Clip
from fusion.reporting.page.lane import Lane, ends_of
from fusion.reporting.page.lanes import PLACES, lanes_of
from fusion.reporting.page.packing import Blocks, Scale, steps_for
from fusion.reporting.page.pyramid import levels_of
from fusion.reporting.timeline import FAINT_DB, FLOOR_DB, Envelope
from fusion.reporting.timelines.lanes import PALETTE
from fusion.tasks.labels import FrameLabels
from fusion.tasks.measuring.measures import Measure

TICK = 1e-4
"""Seconds by which times are counted in a page."""
SOUND_STEP, MOST_LEVELS = 0.02, 60_000
"""Seconds of a level of sound at least, and most of them."""
LONG = 20_000
"""Frames from which on places are kept coarsely."""
EXACT = 1_000
"""Steps from which on values need no remark: they are as exact as they are shown."""
SURE = 100
"""Code of a face that was seen, so that means of many frames have room."""


@dataclass(frozen=True)
class Subject:
    """One video as it is to be shown.

    Attributes:
        video: Its id.
        people: Predictions of each person, at least one.
        truth: Id of a person to the labels, where there are any.
        sound: How loud it is.
        heard: Whether anybody looked for sound.
        clip: The clip.
        review: What somebody changed before.
        notes: What is odd, a line each.
        events: Id of a person to what rules found, where somebody looked.
    """

    video: str
    people: Sequence[FramePredictions]
    truth: Mapping[str, FrameLabels] = field(default_factory=dict)
    sound: Envelope | None = None
    heard: bool = False
    clip: Clip = field(default_factory=lambda: Clip("none"))
    review: Review | None = None
    notes: Sequence[str] = ()
    events: Mapping[str, dict[str, Any]] = field(default_factory=dict)


def contents_of(subject: Subject) -> tuple[dict[str, Any], Blocks]:
    """Plain data of a page, and the packed numbers that it points to."""
    blocks, lanes = Blocks(), list[list[Lane]]()
    for said in subject.people:
        labels = subject.truth.get(said.id) or FrameLabels(0)
        lanes.append(lanes_of(said, labels.on(said.times)))
    stored = (one for each in lanes for lane in each for one in lane.stored())
    columns = [(one.values, *ends_of(one)) for one in stored]
    steps = steps_for(columns, _seconds(subject.people))
    told = subject.clip.kind != "none" and subject.clip.note
    notes = [*subject.notes, *([told] if told else [])]
    if steps < EXACT:
        notes.append(
            f"So that the page stays small, values come in {steps} steps over their range."
        )
    page = {
        "format": 1,
        "video": subject.video,
        "carried": carried_by(subject.people, subject.sound, subject.heard),
        "notes": notes,
        "clip": subject.clip.description(),
        "tick": TICK,
        "sound": _sound(subject, blocks),
        "people": [
            _person(i, said, own, blocks, steps) | {"events": subject.events.get(said.id)}
            for i, (said, own) in enumerate(zip(subject.people, lanes, strict=True))
        ],
        "provenance": {
            name: value
            for name, value in subject.people[0].provenance.items()
            if name != PLACE  # a page is passed on, and tells nobody the reader's folders
        },
        "review": subject.review.description() if subject.review else None,
    }
    return page, blocks


def _person(
    number: int, said: FramePredictions, lanes: Sequence[Lane], blocks: Blocks, steps: int
) -> dict[str, Any]:
    ticks = np.round(said.times / TICK).astype(np.int32)
    face = said.face.astype(np.int16) * SURE
    return {
        "id": said.id,
        "colour": PALETTE[number % len(PALETTE)],
        "times": blocks.add(ticks[None]),
        "face": {"steps": SURE, **levels_of(face[None], ["mean"], blocks)},
        "seen": float(said.face.mean()) if len(said) else 0.0,
        "quality": quality_of(said),
        "lanes": [lane.description(blocks, steps) for lane in lanes],
        "places": {
            name: _places(said.measures[name], blocks, _seconds([said]))
            for name in PLACES
            if name in said.measures
        },
    }


def quality_of(said: FramePredictions) -> float | None:
    """Mean of how far frames are to be trusted; None if nothing tells."""
    measure = said.measures.get(QUALITY)
    known = measure.values[:, 0] if measure else np.zeros(0)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else None


def _seconds(people: Sequence[FramePredictions]) -> float:
    return max((float(said.times[-1] - said.times[0]) for said in people if len(said)), default=0)


def _places(measure: Measure, blocks: Blocks, seconds: float) -> dict[str, Any]:
    """Pixels in steps of a quarter; in long clips of one, and every tenth of a second."""
    frames = len(measure)
    every = max(1, int(frames / max(seconds, 1.0) / 10)) if frames > LONG else 1
    scale = Scale(0.0, 0.25 if frames <= LONG else 1.0)
    codes = scale.codes(measure.values[::every].T)
    return {
        "names": list(measure.names),
        "every": every,
        **scale.description(),
        **blocks.add(codes),
    }


def _sound(subject: Subject, blocks: Blocks) -> dict[str, Any] | None:
    """Loudness in equal steps of time, 0 to 100, and how sure it is that somebody speaks."""
    rows: dict[str, Any] = {}
    if subject.sound is not None and len(subject.sound.times):
        rows["level"] = _levels(subject.sound, blocks)
    for said in subject.people:
        for measure in said.measures.values():
            if SPEECH not in measure.names or "speech" in rows:
                continue
            speech = measure.values[:, measure.names.index(SPEECH)]
            if np.isfinite(speech).any():
                codes = Scale(0.0, 0.01).codes(speech)[None]
                rows["speech"] = {"person": said.id, **levels_of(codes, ["mean"], blocks)}
    return rows or None


def _levels(sound: Envelope, blocks: Blocks) -> dict[str, Any]:
    start, end = float(sound.times[0]), float(sound.times[-1])
    step = max(SOUND_STEP, (end - start) / MOST_LEVELS)
    places = ((sound.times - start) / step + 0.5).astype(np.int64)
    peaks = np.full(places[-1] + 1, FLOOR_DB)
    loudest = max(float(sound.level.max()), FAINT_DB)
    np.maximum.at(peaks, places, np.clip(sound.level - loudest, FLOOR_DB, 0))
    codes = np.round(100 * (1 - peaks / FLOOR_DB)).astype(np.int16)
    return {"start": start, "step": step, **blocks.add(codes[None])}
