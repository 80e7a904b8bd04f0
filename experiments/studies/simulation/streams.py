"""Simulated feature streams of an affective state.

State of every frame > percept > + the person's bias + coloured noise > embedding > drop-outs
> ordinary tracks in a TrackStore.

The percept is a vector of 22: valence and arousal in standard units, the expression as one of
eight, the units as 0 or 1. A stream shows it late by `lag` seconds. Noise is added to the percept:
a constant of the person and a first-order autoregressive process of time constant `memory`. A few
more dimensions say nothing but who it is. Then comes an embedding that can be inverted by whoever
knows it,

    features = asinh(GAIN B asinh(GAIN A percept)),    A with orthonormal columns, B a rotation,

so that all that is lost is lost to noise that is known, and a smoother in the space of percepts
can be the ceiling of what any model may reach (sim_ceiling).

Letters: F frames, T tokens, P percept dimensions, D feature dimensions.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.signal import lfilter

from experiments.studies.simulation.imitation import QUANTILES
from experiments.studies.simulation.states import Simulated, State
from features.store.feature_track import MAIN, SOUND, FeatureTrack, TrackInfo
from features.store.fingerprint import settings_hash
from features.store.track_store import Status, TrackStore
from fusion.tasks.au import UNITS
from fusion.tasks.clips import Clip
from fusion.tasks.expr import EXPRESSIONS

RULES = 2
"""To be raised when what is simulated changes, so that older tracks are made anew."""
CENTRE, SPREAD = np.array([0.1, 0.3]), np.array([0.4, 0.3])
"""What takes valence and arousal to standard units."""
GROUPS = {"VA": slice(0, 2), "EXPR": slice(2, 10), "AU": slice(10, 22)}
PERCEPT = 22
GAIN = 1.5
MISSING_SHARES = np.array([0, 0, 0, 0.0021, 0.0118, 0.0522, 0.199, 0.356, 0.996])
"""Share of frames without a face at `QUANTILES` of the videos."""
RUN_SHARES = (0, 0.441, 0.626, 0.809, 0.89, 0.958, 0.991, 0.999, 1)
RUN_LENGTHS = (1, 1, 2, 5, 10, 30, 100, 300, 1000)
"""Of the runs of frames without a face: share that is no longer."""
SPEECH, SILENCE = 5.0, 1.5
"""Mean seconds of stretches with and without a voice."""


@dataclass(frozen=True)
class Stream:
    """How a stream is simulated.

    Attributes:
        name: Of the stream.
        dim: D.
        noise: Deviations of the coloured noise on VA, EXPR and AU, in units of the percept.
        bias: Deviations of the person's bias on them.
        lag: Seconds by which the stream is late.
        memory: Time constant of the noise in seconds.
        identity: Dimensions that tell the person only.
        rate: Tokens a second; 0: the frames of the video.
    """

    name: str
    dim: int
    noise: tuple[float, float, float]
    bias: tuple[float, float, float]
    lag: float
    memory: float
    identity: int
    rate: float = 0.0

    def deviations(self, of: tuple[float, float, float]) -> np.ndarray:
        """(22,) one of the three numbers for each dimension of the percept."""
        return np.repeat(np.array(of), [2, len(EXPRESSIONS), len(UNITS)])


VISUAL = Stream("visual", 64, (2.0, 1.6, 1.3), (0.6, 0.3, 0.3), 0.1, 0.1, 8)
AUDIO = Stream("audio", 32, (3.0, 3.0, 3.0), (0.8, 0.5, 0.5), 0.5, 0.2, 4, rate=50.0)
LEVELS = (
    Stream("visual.1", 32, (4.0, 2.4, 1.5), (0.9, 0.4, 0.3), 0.1, 0.1, 4),
    Stream("visual.2", 32, (3.0, 2.1, 2.0), (0.7, 0.4, 0.4), 0.1, 0.1, 4),
    Stream("visual.3", 32, (2.0, 2.4, 3.0), (0.6, 0.4, 0.6), 0.1, 0.1, 4),
)
"""A pyramid from fine to coarse: units are seen best in the first, valence-arousal in the last."""
PRIOR = Stream("prior", 24, (5.0, 2.0, 2.0), (0.1, 0.05, 0.05), 0.1, 0.1, 0)
"""An embedding of expressions that is poor in identity."""
FACES = Stream("faces", 1, (0, 0, 0), (0, 0, 0), 0, 1, 0)
"""The frame clock, and where a face is seen."""


def percept_of(state: State) -> np.ndarray:
    """(F, 22) float32."""
    va = (state.va - CENTRE) / SPREAD
    parts = [va, np.eye(len(EXPRESSIONS))[state.expr], state.au]
    return np.concatenate(parts, axis=1).astype(np.float32)


class Embedding:
    """The invertible map of a stream from percepts to features, drawn by the benchmark's seed."""

    def __init__(self, stream: Stream, seed: int) -> None:
        rng, size = rng_of(seed, "embedding", stream.name), PERCEPT + stream.identity
        spread, _ = np.linalg.qr(rng.standard_normal((stream.dim, size)))
        turn, _ = np.linalg.qr(rng.standard_normal((stream.dim, stream.dim)))
        usual = np.mean(stream.deviations(stream.noise) ** 2 + 0.3)
        self.scale = float(np.sqrt(stream.dim / size / usual))
        self.spread, self.turn = spread.astype(np.float32), turn.astype(np.float32)

    def apply(self, percepts: np.ndarray) -> np.ndarray:
        """(T, D) float16 of (T, P) percepts with their identity."""
        wide = np.arcsinh(GAIN * self.scale * (percepts @ self.spread.T))
        return np.arcsinh(GAIN * (wide @ self.turn.T)).astype(np.float16)

    def invert(self, features: np.ndarray) -> np.ndarray:
        """(T, 22) float64 percepts of (T, D) features, noise and all."""
        wide = (np.sinh(features.astype(np.float64)) / GAIN) @ self.turn
        return np.asarray((np.sinh(wide) / GAIN / self.scale) @ self.spread)[:, :PERCEPT]


def coloured(shape: tuple[int, int], memory: float, rng: np.random.Generator) -> np.ndarray:
    """(T, P) float32 stationary AR(1) noise of variance 1; `memory` in steps."""
    keep = np.exp(-1 / memory)
    white = rng.standard_normal(shape, np.float32)
    white[1:] *= np.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], white, axis=0), np.float32)


def without_face(frames: int, rng: np.random.Generator) -> np.ndarray:
    """(F,) bool: frames without a face, in runs, as many as a random video has."""
    share = np.interp(rng.random(), QUANTILES, MISSING_SHARES)
    missing = np.zeros(frames, bool)
    for _ in range(frames):
        lack = round(share * frames) - int(missing.sum())
        if lack <= 0:
            break
        run = min(int(np.ceil(np.interp(rng.random(), RUN_SHARES, RUN_LENGTHS))), lack)
        start = rng.integers(frames - run + 1)
        missing[start : start + run] = True
    return missing


def with_voice(tokens: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """(T,) bool: tokens of stretches with a voice; stretches last as exponential times do."""
    pairs = int(tokens / (rate * (SPEECH + SILENCE))) * 2 + 10
    means = np.stack([np.full(pairs, SPEECH), np.full(pairs, SILENCE)], axis=1) * rate
    ends = np.cumsum(np.maximum(rng.exponential(means.ravel()), 1))
    start = rng.uniform(0, (SPEECH + SILENCE) * rate)
    return np.asarray(np.searchsorted(ends, start + np.arange(tokens), side="right") % 2 == 0)


def person_of(clip: Clip) -> str:
    """Who is seen: the person if known, else each annotated face of a video is another's."""
    return clip.group if clip.group != clip.video else clip.id


def rng_of(seed: int, *words: str) -> np.random.Generator:
    """A source of chance of its own for each use, the same in every run."""
    digest = hashlib.sha256("\0".join(words).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest[:16], np.uint32)])


def shown_frames(times: np.ndarray, stream: Stream, rate: float, frames: int) -> np.ndarray:
    """(T,) the frame whose state each token shows: the one `lag` seconds ago, or the first."""
    late = np.floor((times - stream.lag) * rate + 1e-6).astype(np.int64)
    return late.clip(0, frames - 1)


def write_tracks(
    store: TrackStore, simulated: Simulated, streams: Sequence[Stream], seed: int
) -> Iterator[str]:
    """Writes the tracks of each id that are not there yet; yields the ids.

    Of several people of a video it is not known who speaks: its sound shows the mean of them.
    """
    videos: dict[str, dict[str, Clip]] = {}
    for clip in simulated.clips:
        videos.setdefault(clip.video, {})[clip.id] = clip
    embeddings = {stream: Embedding(stream, seed) for stream in streams}
    for video, clips in videos.items():
        percepts = {name: percept_of(simulated.states[name]) for name in clips}
        longest = max(percepts.values(), key=len)
        mixed = longest.copy()
        for other in percepts.values():
            mixed[: len(other)] += (other - longest[: len(other)]) / len(percepts)
        for name, clip in clips.items():
            rate = simulated.rates[name]
            _write(store, FACES, None, clip, percepts[name], rate, seed)
            for stream, embedding in embeddings.items():
                if not stream.rate:
                    _write(store, stream, embedding, clip, percepts[name], rate, seed)
            yield name
        sound = Clip(video, video, clip.split, clip.labels, video)
        for stream, embedding in embeddings.items():
            if stream.rate:
                _write(store, stream, embedding, sound, mixed, rate, seed)


def _write(
    store: TrackStore,
    stream: Stream,
    embedding: Embedding | None,
    clip: Clip,
    percept: np.ndarray,
    rate: float,
    seed: int,
) -> None:
    """One track of one stream, unless it is there; without an embedding the frame clock alone."""
    made_of = settings_hash([RULES, seed, asdict(stream)])
    info = TrackInfo(
        video=clip.video,
        person=SOUND if stream.rate else clip.id.removeprefix(clip.video).strip("_") or MAIN,
        stream=stream.name,
        encoder="simulated",
        revision=made_of,
        settings=made_of,
        source=hashlib.sha256(percept.tobytes() + repr(rate).encode()).hexdigest(),
        frames=len(percept),
    )
    if store.status(stream.name, info.id, info.key) is Status.READY:
        return
    tokens = max(int(len(percept) / rate * stream.rate), 1) if stream.rate else len(percept)
    times = (np.arange(tokens) + 0.5 * (stream.rate > 0)) / (stream.rate or rate)
    rng = rng_of(seed, stream.name, clip.id)
    values = np.ones((tokens, 1), np.float16)
    if embedding:
        shown = percept[shown_frames(times, stream, rate, len(percept))]
        values = embedding.apply(noisy(shown, stream, rate, person_of(clip), seed, rng))
    if stream.rate:
        valid = with_voice(tokens, stream.rate, rng)
    else:
        valid = ~without_face(tokens, rng_of(seed, FACES.name, clip.id))
    values[~valid] = 0
    store.write(FeatureTrack(values, times, valid, info))


def noisy(
    shown: np.ndarray, stream: Stream, rate: float, who: str, seed: int, rng: np.random.Generator
) -> np.ndarray:
    """(T, P) float32: (T, 22) percepts with noise and bias, then the dimensions of identity."""
    size = PERCEPT + stream.identity
    person = rng_of(seed, stream.name, "person", who).standard_normal(size)
    noise = coloured((len(shown), size), stream.memory * (stream.rate or rate), rng)
    level = np.concatenate([stream.deviations(stream.noise), np.full(stream.identity, 0.3)])
    leak = np.concatenate([stream.deviations(stream.bias), np.ones(stream.identity)])
    out = (person * leak + noise * level).astype(np.float32)
    out[:, :PERCEPT] += shown
    return out
