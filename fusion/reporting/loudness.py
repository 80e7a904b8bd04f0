"""How loud a video is over time, for the report.

Data flow: `prosody` track of the store, or sound of a media file > Envelope.

Letters: N sound levels.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.cli.default_corpus import default_store
from features.errors import UserError
from features.media import read_sound
from features.pipeline.discovery import find_sources
from features.store.track_store import TrackStore
from fusion.reporting.timeline import Envelope
from fusion.streams.clip_tracks import explained

STREAM = ENCODER = "prosody"
ENERGY = -7
"""The encoder's `energy` column, dB of full scale, counted from the end: mel bands come first."""
RATE, HOP = 8000, 160
"""Sampling rate in Hz that is enough for a level, and samples of each: 20 ms."""
SILENCE_DB = -100.0
"""Level of digital silence."""


def envelope_of_store(store: TrackStore, video: str) -> Envelope | None:
    """Loudness from the video's `prosody` track; None if it is absent, foreign or empty.

    Raises:
        UserError: If the track is damaged.
    """
    if not store.has(STREAM, video):
        return None
    with explained():
        track = store.read(STREAM, video)
    if track.info.encoder != ENCODER or not track.valid.any():
        return None
    level = np.where(track.valid, track.values[:, ENERGY], SILENCE_DB)
    return Envelope(track.times, level.astype(np.float32))


def envelope_of_media(path: Path) -> Envelope | None:
    """Loudness from a video's or sound file's samples; None if it has no sound.

    Raises:
        UserError: If the file cannot be read.
    """
    sound = read_sound(path, RATE)
    if sound is None:
        return None
    powers, rest = [np.zeros(0)], np.zeros(0, np.float32)
    for block in sound.blocks:
        block = np.concatenate([rest, block])
        whole = len(block) // HOP * HOP
        powers.append(np.square(block[:whole].reshape(-1, HOP), dtype=np.float64).mean(1))
        rest = block[whole:]
    power = np.concatenate(powers)
    if not len(power):
        return None
    level = 10 * np.log10(np.maximum(power, 10 ** (SILENCE_DB / 10)))
    times = sound.offset + (np.arange(len(level)) + 0.5) * HOP / RATE
    return Envelope(times, level.astype(np.float32))


@dataclass(frozen=True)
class SoundFinder:
    """Where loudness comes from.

    Attributes:
        store: The tracks, asked first.
        media: Video id to its files, the one that is heard first before the others.
    """

    store: TrackStore | None
    media: dict[str, tuple[Path, ...]]

    @staticmethod
    def of(store: Path | None, root: Path | None, videos: Path | None) -> "SoundFinder":
        """Looks where it is told.

        Args:
            store: Folder of tracks.
            root: Folder of a corpus, whose tracks are looked into without `store`.
            videos: Video or folder of videos.

        Raises:
            UserError: If a named folder is absent or empty.
        """
        if store and not store.is_dir():
            raise UserError(f"{store}: no such folder of tracks; features.extract makes it")
        folder = store or (default_store(root) if root else None)
        sources = find_sources(videos) if videos else []
        media = {source.id: source.files for source in sources}
        return SoundFinder(TrackStore(folder) if folder else None, media)

    def find(self, video: str) -> Envelope | None:
        """Loudness of a video, None if nothing tells; UserError for a damaged track or file."""
        envelope = envelope_of_store(self.store, video) if self.store else None
        for path in () if envelope else self.media.get(video, ()):
            envelope = envelope or envelope_of_media(path)
        return envelope
