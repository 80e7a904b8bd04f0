"""Features from a script or a notebook: clips in, tracks out, in this process.

Data flow: file, or arrays > Extractor > store (temporary unless one is named) > FeatureTracks.

Nothing is written beside the clip, no process is started, and torch has as many threads afterwards
as before. What is said of a clip (losses that were bridged) goes to the logger `features`.
"""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from features.encoders.base import Encoder, VisualEncoder, description_of
from features.encoders.device import resolve_device
from features.encoders.registry import (
    EncoderSettings,
    build_encoder,
    require_streams_of_their_own,
)
from features.environment import environment_kept
from features.errors import UserError
from features.execution.job import run_job
from features.execution.resources import threads_of_a_worker
from features.execution.telling import Progress, telling
from features.faces.detect import FaceSettings
from features.media import Arrays, Reader
from features.pipeline.discovery import Source, find_sources
from features.pipeline.extractor import Extractor
from features.pipeline.planner import FACES, TrackSettings
from features.pipeline.source_hashes import SourceHashes
from features.store.claims import INDEX, Claims
from features.store.feature_track import SOUND, FeatureTrack, track_id
from features.store.temp_folders import scratch_folder
from features.store.track_store import TrackStore

log = logging.getLogger(__name__)

Tracks = dict[tuple[str, str], FeatureTrack]
"""Tracks by stream and person: `main`, `left`, `right`, `person3` ..., or `sound`."""
DEFAULT = ("expression", "wav2vec2", "prosody")
"""Encoders that run unless others are named."""


class FeatureExtractor:
    """Extracts clip after clip with encoders that are loaded once.

    >>> extractor = FeatureExtractor(["prosody"], prosody={"mel_bands": 8})
    >>> extractor("clip.mp4")["prosody", "sound"].to_pandas().columns[:2].tolist()
    ['mel.0', 'mel.1']

    Args:
        encoders: Names (`python -m features.encoders` lists them), or encoders that are built.
        persons: Who is kept: `main`, so many at most, or `all`.
        device: Where to compute: `auto`, `cpu`, `cuda:1`, ...
        faces: How faces are found, followed and cut out.
        reader: Who decodes pictures.
        **settings: Settings of encoders by name: the dataclass, or a dict of what differs from it.

    Raises:
        UserError: For an unknown name, or an encoder that lacks something.
    """

    def __init__(
        self,
        encoders: Sequence[str | Encoder] = DEFAULT,
        *,
        persons: str | int = 2,
        device: str = "auto",
        faces: FaceSettings | None = None,
        reader: Reader = "pyav",
        **settings: Any,
    ) -> None:
        self._tracks = TrackSettings(faces or FaceSettings(), None, str(persons), reader)
        self._tracks.faces.check()
        self._device = resolve_device(device)
        every = _settings(device, settings)
        margin = self._tracks.faces.margin
        with environment_kept():
            self.encoders: list[Any] = [
                build_encoder(one, every, margin) if isinstance(one, str) else one
                for one in encoders
            ]

    def __call__(
        self,
        clip: str | PathLike[str] | Arrays,
        *,
        name: str = "clip",
        store: str | PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> Tracks:
        """Extracts one clip.

        Args:
            clip: A video or sound file, or arrays in memory.
            name: Id of a clip in memory; that of a file is its stem.
            store: Folder of tracks: what is ready there is not made again. None: nothing is kept.
            progress: Is told how far the work is.

        Raises:
            UserError: If the clip cannot be read or an encoder fails on it.
            OSError: If the store cannot be written to.
        """
        source = Source(name, None, {}, arrays=clip) if isinstance(clip, Arrays) else _file(clip)
        with ExitStack() as stack:
            folder = Path(store) if store else stack.enter_context(scratch_folder("tracks"))
            claims = stack.enter_context(Claims(folder))
            stack.enter_context(claims.lock(source.id))
            stack.enter_context(environment_kept())
            stack.enter_context(threads_of_a_worker())
            tracks, hashes = TrackStore(folder), SourceHashes(folder / "sources.json")
            require_streams_of_their_own(map(description_of, self.encoders), tracks)
            extractor = Extractor(tracks, hashes, self._tracks, self.encoders, self._device)
            extractor.clock = False
            with telling(progress, source, extractor):
                result = run_job(extractor, source)
            for notice in result.notices:
                log.warning("%s", notice)
            if result.fault:
                raise result.fault
            if result.cause:
                log.debug("%s", result.trace)
                raise UserError(result.cause)
            if store:
                with claims.lock(INDEX):
                    hashes.save()
            return self._read(source, tracks)

    def _read(self, source: Source, store: TrackStore) -> Tracks:
        """The clip's tracks; of the faces too, if an encoder saw them."""
        told = store.info(FACES, source.id).people if store.has(FACES, source.id) else ()
        people = [*(source.crops or told)]
        wanted = [(FACES, person) for person in people]
        for encoder in self.encoders:
            whose = people if isinstance(encoder, VisualEncoder) else [SOUND]
            wanted += [(stream, person) for stream in encoder.streams for person in whose]
        ids = {person: track_id(source.id, person) for _, person in wanted}
        there = [(s, p) for s, p in wanted if store.has(s, ids[p])]
        return {(stream, person): store.read(stream, ids[person]) for stream, person in there}


def extract_file(
    path: str | PathLike[str],
    encoders: Sequence[str | Encoder] = DEFAULT,
    *,
    store: str | PathLike[str] | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Tracks:
    """Features of a video or sound file.

    >>> import features
    >>> tracks = features.extract_file("clip.mp4", encoders=["expression", "prosody"])
    >>> for stream, person in tracks:
    ...     print(stream, person)
    faces main
    expression main
    expression.probs main
    expression.metric main
    prosody sound
    >>> tracks["expression.probs", "main"].to_pandas().columns.tolist()
    ['Neutral', 'Anger', 'Disgust', 'Fear', 'Happiness', 'Sadness', 'Surprise']

    Args:
        path: The file.
        encoders: See `FeatureExtractor`, which loads them once for many files.
        store: See `FeatureExtractor.__call__`.
        progress: See `FeatureExtractor.__call__`.
        **settings: As of `FeatureExtractor`: `persons`, `device`, ..., settings of encoders.

    Raises:
        UserError: If the file cannot be read, or an encoder lacks something.
    """
    return FeatureExtractor(encoders, **settings)(path, store=store, progress=progress)


def extract_arrays(
    frames: Sequence[np.ndarray] | np.ndarray | None = None,
    times: Sequence[float] | np.ndarray | None = None,
    samples: np.ndarray | None = None,
    rate: int = 0,
    *,
    encoders: Sequence[str | Encoder] = DEFAULT,
    start: float = 0.0,
    name: str = "clip",
    progress: Progress | None = None,
    **settings: Any,
) -> Tracks:
    """Features of pictures and sound in memory.

    >>> import numpy as np, features
    >>> silence = np.zeros(16000, np.float32)
    >>> tracks = features.extract_arrays(samples=silence, rate=16000, encoders=["prosody"])
    >>> tracks["prosody", "sound"].to_pandas()["energy"].round(1).tolist()[:2]
    [-100.0, -100.0]

    Args:
        frames: F pictures (H, W, 3) uint8 RGB of one size, upright.
        times: (F,) seconds of the frames, rising.
        samples: (N,) float from -1 to 1 or integers of full scale; (N, C) is averaged.
        rate: Samples per second.
        encoders: See `FeatureExtractor`.
        start: Seconds of the first sample, on the clock of the frames.
        name: Id of the clip.
        progress: See `FeatureExtractor.__call__`.
        **settings: As of `FeatureExtractor`: `persons`, `device`, ..., settings of encoders.

    Raises:
        UserError: If the arrays do not fit each other, or an encoder lacks something.
    """
    clip = Arrays(frames, times, samples, rate, start)
    return FeatureExtractor(encoders, **settings)(clip, name=name, progress=progress)


def _settings(device: str, changes: dict[str, Any]) -> EncoderSettings:
    """Settings of all encoders with some of them changed."""
    every: Any = EncoderSettings(device=device)
    for name, change in changes.items():
        if name == "device" or not hasattr(every, name):
            raise UserError(f"unknown setting '{name}'; it must be the name of an encoder")
        try:
            own = replace(getattr(every, name), **change) if isinstance(change, dict) else change
        except TypeError as error:
            raise UserError(f"settings of {name}: {error}") from error
        every = replace(every, **{name: own})
    settings: EncoderSettings = every
    return settings


def _file(path: str | PathLike[str]) -> Source:
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; give a video or sound file")
    return find_sources(Path(path))[0]
