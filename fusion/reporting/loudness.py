"""How loud a video is over time, for the report.

Data flow: `prosody` track of the store, or sound of a media file > Envelope.

Letters: N sound levels.
"""

from pathlib import Path

import numpy as np

from features.media import read_sound
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
