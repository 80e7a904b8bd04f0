"""The demo's people and what they feel: trajectories of affect, face and speech, and their labels.

Data flow: three emotions in turn > valence, arousal > expression, action units, speech
> labels at the frames' times.

The face shows valence and units, blurred by a resting expression and by speaking; the voice shows
arousal. Which expression a rater writes down hangs on both.

Letters: C control points (`CONTROL_RATE` a second), F frames.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from experiments.demo.faces import Face
from experiments.demo.looks import Look, draw_look
from experiments.demo.voices import CONTROL_RATE, VOWELS, Speech, Voice, draw_voice
from fusion.tasks.au import UNITS
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.labels import FrameLabels, TaskLabels

RING = ("Happiness", "Neutral", "Other", "Sadness", "Disgust", "Anger", "Fear", "Surprise")
"""Neighbours feel alike; each clip goes through three neighbours, so that clips differ in mood."""
HOMES = {
    "Neutral": (0.05, 0.15),
    "Anger": (-0.6, 0.65),
    "Disgust": (-0.6, 0.3),
    "Fear": (-0.4, 0.6),
    "Happiness": (0.7, 0.45),
    "Sadness": (-0.55, 0.0),
    "Surprise": (0.25, 0.65),
    "Other": (0.2, 0.25),
}
"""Usual valence and arousal of each expression."""
SHOWN = {
    "Neutral": {},
    "Anger": {"AU4": 0.95, "AU7": 0.8, "AU23": 0.7, "AU24": 0.6, "AU26": 0.2, "AU10": 0.2},
    "Disgust": {"AU10": 0.95, "AU4": 0.6, "AU7": 0.5, "AU15": 0.3, "AU25": 0.3},
    "Fear": {"AU1": 0.9, "AU4": 0.75, "AU2": 0.4, "AU25": 0.7, "AU26": 0.5},
    "Happiness": {"AU12": 0.95, "AU6": 0.85, "AU25": 0.6, "AU26": 0.3, "AU7": 0.2},
    "Sadness": {"AU1": 0.7, "AU4": 0.6, "AU15": 0.95, "AU24": 0.4},
    "Surprise": {"AU1": 0.9, "AU2": 0.95, "AU25": 0.7, "AU26": 0.85},
    "Other": {"AU24": 0.6, "AU23": 0.4, "AU12": 0.35, "AU2": 0.4, "AU7": 0.3},
}
"""Chance that a unit takes part in an expression; units not named: `STRAY`."""
STRAY = 0.04
SEEN = 0.4
"""Intensity from which a rater marks a unit."""
LAG = 0.2
"""Seconds by which the joystick trails the affect."""


@dataclass(frozen=True)
class Person:
    """Somebody.

    Attributes:
        name: Unique name.
        look: Of the face.
        voice: Of the speech.
        resting: (12,) intensity of the units at rest, which raters do not mark.
        expressivity: Strength of the face's movements.
    """

    name: str
    look: Look
    voice: Voice
    resting: np.ndarray
    expressivity: float


def draw_person(name: str, rng: np.random.Generator) -> Person:
    """A random person."""
    resting = rng.uniform(0.1, 0.35, len(UNITS)) * (rng.random(len(UNITS)) < 0.25)
    return Person(name, draw_look(rng), draw_voice(rng), resting, float(rng.uniform(0.75, 1.1)))


@dataclass(frozen=True)
class Performance:
    """What one person does in one clip, at the control rate.

    Attributes:
        valence: (C,) felt, in [-1, 1].
        arousal: (C,) felt, in [-1, 1].
        expression: (C,) index into ABAW's expressions, as a rater would say.
        units: (C, 12) intensities meant, 0 to 1.
        lids: (C,) see `Face`.
        head: (C, 6) turn right and down, roll, offset right and down, zoom.
        speech: What is said.
    """

    valence: np.ndarray
    arousal: np.ndarray
    expression: np.ndarray
    units: np.ndarray
    lids: np.ndarray
    head: np.ndarray
    speech: Speech

    def at(self, seconds: np.ndarray) -> np.ndarray:
        """Indices of the control points at given times."""
        points = np.round(seconds * CONTROL_RATE).astype(int)
        return np.clip(points, 0, len(self.valence) - 1)

    def face(self, person: Person, second: float) -> Face:
        """The face at a time."""
        i = int(self.at(np.array([second]))[0])
        units = np.clip(person.resting + person.expressivity * self.units[i], 0, 1.1)
        right, down, roll, x, y, zoom = self.head[i]
        return Face(
            units=units,
            lids=float(self.lids[i]),
            speech=0.8 * float(self.speech.syllables[i]),
            turn=np.array([right, down]),
            roll=float(roll),
            offset=np.array([x, y]),
            zoom=float(zoom),
        )


def perform(start: int, seconds: float, rng: np.random.Generator) -> Performance:
    """A random performance of three emotions, the `start`-th of the ring and the next two."""
    count = round(seconds * CONTROL_RATE)
    order = rng.permutation(3)
    emotions = [RING[(start + int(k)) % len(RING)] for k in order]
    share = _shares(len(emotions), count, rng)  # (C, 3)
    valence, arousal = _feel(emotions, share, rng)
    speech = _talk(valence, arousal, rng)
    units = _units(emotions, share, valence, speech, rng)
    wide = np.array([e in ("Surprise", "Fear") for e in emotions]) @ share.T
    return Performance(
        valence=valence,
        arousal=arousal,
        expression=_judge(emotions, share, valence, arousal),
        units=units,
        lids=0.9 * wide + _blinks(count, rng),
        head=_head(count, rng),
        speech=speech,
    )


def label(performance: Performance, times: np.ndarray, rng: np.random.Generator) -> FrameLabels:
    """What raters write for frames at the given times; every label is valid."""
    now = performance.at(times)
    late = performance.at(times - LAG)
    va = np.column_stack([performance.valence[late], performance.arousal[late]])
    held = np.column_stack([_joystick(va[:, d], rng) for d in range(2)])
    every = np.ones(len(times), bool)
    units = (performance.units[now] > SEEN).astype(np.float32)
    return FrameLabels(
        len(times),
        {
            "va": TaskLabels(np.round(np.clip(held, -1, 1), 3).astype(np.float32), every),
            "expr": TaskLabels(performance.expression[now].astype(np.int64), every),
            "au": TaskLabels(units, np.ones(units.shape, bool)),
        },
    )


def _shares(parts: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """(C, parts) weights that pass smoothly from each part to the next."""
    borders = np.sort((np.arange(1, parts) + rng.uniform(-0.15, 0.15, parts - 1)) / parts * count)
    which = np.searchsorted(borders, np.arange(count))
    return gaussian_filter1d(np.eye(parts)[which], 0.15 * CONTROL_RATE, axis=0, mode="nearest")


def _wander(count: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """(C,) smooth noise of unit deviation that changes over about `seconds`."""
    width = seconds * CONTROL_RATE
    pad = int(3 * width)
    noise = gaussian_filter1d(rng.normal(size=count + 2 * pad), width)
    return noise[pad : pad + count] * np.sqrt(2 * np.sqrt(np.pi) * width)


def _feel(
    emotions: list[str], share: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Valence and arousal (C,): near the emotions' homes, arousal with a life of its own."""
    homes = share @ np.array([HOMES[emotion] for emotion in emotions])
    mood = rng.normal(0, (0.08, 0.2))
    valence = homes[:, 0] + mood[0] + 0.1 * _wander(len(share), 0.6, rng)
    arousal = homes[:, 1] + mood[1] + 0.2 * _wander(len(share), 0.7, rng)
    return np.clip(valence, -1, 1), np.clip(arousal, -0.6, 1)


def _judge(
    emotions: list[str], share: np.ndarray, valence: np.ndarray, arousal: np.ndarray
) -> np.ndarray:
    """(C,) the expression whose home is nearest, with a bonus for the one that is meant."""
    homes = np.array([HOMES[name] for name in EXPRESSIONS])  # (8, 2)
    far = ((valence[:, None] - homes[:, 0]) / 0.4) ** 2
    far += ((arousal[:, None] - homes[:, 1]) / 0.3) ** 2
    meant = share @ np.array([[name == emotion for name in EXPRESSIONS] for emotion in emotions])
    score = gaussian_filter1d(1.6 * meant - far, 0.15 * CONTROL_RATE, axis=0, mode="nearest")
    return score.argmax(axis=1)


def _units(
    emotions: list[str],
    share: np.ndarray,
    valence: np.ndarray,
    speech: Speech,
    rng: np.random.Generator,
) -> np.ndarray:
    """(C, 12): units that take part in each emotion, a trace of valence, lips parted by speech."""
    chance = np.array([[SHOWN[e].get(unit, STRAY) for unit in UNITS] for e in emotions])
    taking_part = rng.random(chance.shape) < chance
    strength = np.where(taking_part, rng.uniform(0.6, 1.0, chance.shape), 0.0)
    units = share @ strength
    for unit, trace in (("AU12", valence), ("AU6", valence), ("AU15", -valence), ("AU4", -valence)):
        units[:, UNITS.index(unit)] += 0.25 * np.clip(trace, 0, 1) * rng.random()
    talking = gaussian_filter1d((speech.syllables > 0.05).astype(float), 0.12 * CONTROL_RATE)
    parted = UNITS.index("AU25")
    units[:, parted] = np.maximum(units[:, parted], 0.55 * talking)
    units[:, UNITS.index("AU24")] *= 1 - 0.4 * talking
    return np.clip(units, 0, 1)


def _talk(valence: np.ndarray, arousal: np.ndarray, rng: np.random.Generator) -> Speech:
    """Phrases of syllables with pauses; more arousal, faster syllables and shorter pauses."""
    syllables = np.zeros(len(arousal))
    vowels = np.zeros(len(arousal), int)
    at, phrase_end = rng.uniform(0, 0.4), rng.uniform(1.0, 2.5)
    while (i := int(at * CONTROL_RATE)) < len(arousal):
        duration = rng.uniform(0.8, 1.25) / (2.6 + 3.2 * max(arousal[i], 0))
        j = min(i + max(4, round(duration * CONTROL_RATE)), len(arousal))
        syllables[i:j] = rng.uniform(0.6, 1) * np.sin(np.linspace(0, np.pi, j - i)) ** 0.8
        vowels[i:j] = rng.integers(len(VOWELS))
        at += duration
        if at > phrase_end:
            at += rng.uniform(0.3, 0.9) * (1.3 - 0.6 * arousal[i])
            phrase_end = at + rng.uniform(0.8, 2.2)
    return Speech(syllables, vowels, valence, arousal)


def _blinks(count: int, rng: np.random.Generator) -> np.ndarray:
    """(C,) -1 in the middle of a blink."""
    lids = np.zeros(count)
    lids[rng.random(count) < 0.3 / CONTROL_RATE] = 1.0
    peak = gaussian_filter1d(lids, 0.05 * CONTROL_RATE) * np.sqrt(2 * np.pi) * 0.05 * CONTROL_RATE
    return -np.clip(peak, 0, 1)


def _head(count: int, rng: np.random.Generator) -> np.ndarray:
    """(C, 6) movement of the head, livelier in some clips than in others."""
    size = rng.uniform(0.5, 1.3) * np.array([0.6, 0.5, 3.0, 5.0, 3.5, 0.02])
    rest = np.concatenate([rng.normal(0, (0.3, 0.3, 2.0, 3.0, 2.0)), [1.0]])
    waves = np.stack([_wander(count, 0.7, rng) for _ in size], axis=1)
    return rest + size * np.clip(waves, -2.2, 2.2)


def _joystick(curve: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The curve as a hand follows it: held still, then moved when it is too far off."""
    dead = rng.uniform(0.005, 0.03)
    held = np.empty_like(curve)
    now = curve[0]
    for i, wanted in enumerate(curve):
        if abs(wanted - now) > dead:
            now = wanted
        held[i] = now
    return held
