"""Sound of a media file on the clock of its video, in constant memory.

Data flow: file > PyAV at the native rate > mean of the channels > gaps filled with silence
> soxr (very long linear-phase filter, no lag) > blocks of about a second.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soxr

from features.media.container import (
    MediaError,
    NoVideo,
    is_cut,
    open_media,
    read_timeline,
    video_stream,
)

TOLERANCE = 0.05
"""Seconds by which the sound's timestamps may stray before silence is put in or sound cut."""
LONGEST_GAP = 3600.0
"""Seconds. A longer jump is a fault of the timestamps and is not filled."""


@dataclass(frozen=True)
class Sound:
    """Mono sound of a file; `blocks` can be read once.

    Attributes:
        rate: Samples per second.
        offset: Time of the first sample in seconds after the first video frame; negative if the
            sound starts first; 0 for a file without video.
        blocks: Consecutive float32 samples, about a second each; values beyond 1 stay as they are.
    """

    rate: int
    offset: float
    blocks: Iterator[np.ndarray]


def read_sound(path: Path, rate: int) -> Sound | None:
    """Reads the first sound stream of a video or sound file.

    Args:
        path: Any file that ffmpeg reads; wav, flac, ogg, mp3 and m4a need no video.
        rate: Samples per second of the result.

    Returns:
        None if the file holds video but no sound.

    Raises:
        MediaError: If the file cannot be read; from `blocks` too, if the sound breaks off.
    """
    with open_media(path) as container:
        if not container.streams.audio:
            video_stream(container, path)  # a file without sound and video is damaged
            return None
        frame = next(container.decode(container.streams.audio[0]), None)
    if frame is None:
        return None
    try:
        offset = float(frame.time or 0.0) - read_timeline(path).start
    except NoVideo:
        offset = 0.0
    native = frame.sample_rate
    return Sound(rate, offset, _resample(_gather(_unbroken(path, native), native), native, rate))


def _resample(blocks: Iterable[np.ndarray], native: int, rate: int) -> Iterator[np.ndarray]:
    if native == rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(native, rate, 1, dtype="float32")
    for block in blocks:
        out = stream.resample_chunk(block)
        if len(out):
            yield out
    tail = stream.resample_chunk(np.zeros(0, np.float32), last=True)
    if len(tail):
        yield tail


def _gather(parts: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Joins parts into blocks of at least `size` samples; the last may be shorter."""
    held: list[np.ndarray] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) >= size:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


def _unbroken(path: Path, native: int) -> Iterator[np.ndarray]:
    """Mono samples at the native rate, each at its place: gaps are silent, overlaps cut."""
    due: float | None = None  # seconds at which the next sample is expected
    with open_media(path) as container:
        for frame in _decode(container, path):
            if frame.sample_rate != native:
                raise MediaError(f"{path}: its sampling rate changes; encode the sound again")
            samples = _mono(frame)
            at = frame.time
            slip = 0.0 if due is None or at is None else at - due
            due = at if due is None else due
            if TOLERANCE < abs(slip) <= LONGEST_GAP:
                yield from _silence(round(slip * native), native)
                samples = samples[max(0, round(-slip * native)) :]
                due = None if due is None else due + max(0.0, slip)
            elif abs(slip) > LONGEST_GAP:
                due = at
            due = None if due is None else due + len(samples) / native
            yield samples


def _decode(container: av.container.InputContainer, path: Path) -> Iterator[av.AudioFrame]:
    """Decoded sound; a fault in the middle becomes a MediaError that names the place."""
    stream = container.streams.audio[0]
    packets, last = 0, 0.0
    fault = "truncated or damaged; copy or encode it again, or leave it out"
    try:
        for packet in container.demux(stream):
            packets += bool(packet.size)
            for frame in packet.decode():
                yield frame
                last = frame.time or last
    except av.error.FFmpegError as error:
        raise MediaError(f"{path}: the sound breaks off at {last:.2f} s, {fault}") from error
    if is_cut(container, stream, packets):
        raise MediaError(f"{path}: the sound breaks off at {last:.2f} s, {fault}")


def _silence(samples: int, most: int) -> Iterator[np.ndarray]:
    """Zeros in parts of at most `most`."""
    for first in range(0, samples, most):
        yield np.zeros(min(most, samples - first), np.float32)


def _mono(frame: av.AudioFrame) -> np.ndarray:
    """Mean of the channels (samples,) float32; integers are scaled to [-1, 1)."""
    data: np.ndarray = frame.to_ndarray()
    if not frame.format.is_planar:
        data = data.reshape(-1, len(frame.layout.channels)).T
    mean = data.mean(axis=0, dtype=np.float64)
    if data.dtype.kind == "u":
        mean = mean / 128.0 - 1.0
    elif data.dtype.kind == "i":
        mean = mean / 2.0 ** (8 * data.dtype.itemsize - 1)
    return mean.astype(np.float32)
