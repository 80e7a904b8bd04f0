"""Sound of a media file on the clock of its video, in constant memory.

Data flow: file > PyAV at the native rate > mean of the channels > gaps filled with silence
> soxr (very long linear-phase filter, no lag) > blocks of about a second. As with pictures, less
than a second that cannot be decoded is bridged, here with silence.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soxr

from features.media.container import (
    LONGEST_LOSS,
    MediaError,
    NoVideo,
    is_cut,
    open_media,
    read_timeline,
    require_decoder,
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
    """Reads the sound of a video or sound file: its default stream, or else its first.

    Args:
        path: Any file that ffmpeg reads; wav, flac, ogg, mp3 and m4a need no video.
        rate: Samples per second of the result.

    Returns:
        None if the file holds video but no sound.

    Raises:
        MediaError: If the file cannot be read; from `blocks` too, if the sound breaks off.
    """
    native = native_sound(path)
    if native is None:
        return None
    return Sound(rate, native.offset, _resampled(native, rate))


def native_sound(path: Path) -> Sound | None:
    """The sound of a file as it was recorded; see `read_sound`."""
    with open_media(path) as container:
        stream = sound_stream(container)
        if stream is None:
            video_stream(container, path)  # a file without sound and video is damaged
            return None
        require_decoder(stream, path)
        frame = next(container.decode(stream), None)
    if frame is None:
        return None
    try:
        offset = float(frame.time or 0.0) - read_timeline(path).start
    except NoVideo:
        offset = 0.0
    rate = frame.sample_rate
    return Sound(rate, offset, _gather(_unbroken(path, rate), rate))


def sound_stream(container: av.container.InputContainer) -> av.AudioStream | None:
    """The stream of sound that the file marks as the default one, or else its first."""
    streams = container.streams.audio
    default = av.stream.Disposition.default
    return next((s for s in streams if s.disposition & default), next(iter(streams), None))


class Resampler:
    """Changes the sampling rate of sound that comes in blocks.

    Args:
        native: Samples per second of what comes in.
        rate: Samples per second of what goes out.
    """

    def __init__(self, native: int, rate: int) -> None:
        same = native == rate
        self._stream = None if same else soxr.ResampleStream(native, rate, 1, dtype="float32")

    def add(self, block: np.ndarray) -> np.ndarray:
        """Takes a block (N,) float32; returns the samples that are ready, maybe none."""
        return block if self._stream is None else self._stream.resample_chunk(block)

    def end(self) -> np.ndarray:
        """The samples that were held back."""
        rest = np.zeros(0, np.float32)
        return rest if self._stream is None else self._stream.resample_chunk(rest, last=True)


def _resampled(native: Sound, rate: int) -> Iterator[np.ndarray]:
    resampler = Resampler(native.rate, rate)
    for block in native.blocks:
        out = resampler.add(block)
        if len(out):
            yield out
    tail = resampler.end()
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
        stream = sound_stream(container)
        assert stream is not None
        for frame, after_loss in _decode(container, stream, path):
            if frame.sample_rate != native:
                raise MediaError(f"{path}: its sampling rate changes; encode the sound again")
            samples = _mono(frame)
            at = frame.time
            slip = 0.0 if due is None or at is None else at - due
            due = at if due is None else due
            if after_loss and slip > LONGEST_LOSS:
                raise _broken(path, due or 0.0)
            tolerance = 0.0 if after_loss else TOLERANCE
            if tolerance < abs(slip) <= LONGEST_GAP:
                yield from _silence(round(slip * native), native)
                samples = samples[max(0, round(-slip * native)) :]
                due = None if due is None else due + max(0.0, slip)
            elif abs(slip) > LONGEST_GAP:
                due = at
            due = None if due is None else due + len(samples) / native
            yield samples


def _decode(
    container: av.container.InputContainer, stream: av.AudioStream, path: Path
) -> Iterator[tuple[av.AudioFrame, bool]]:
    """Decoded sound, and whether packets before it could not be decoded.

    A fault that lasts becomes a MediaError that names the place.
    """
    packets, last, lost = 0, 0.0, False
    try:
        for packet in container.demux(stream):
            packets += bool(packet.size)
            try:
                frames = stream.decode(packet)
            except av.error.MemoryError:
                raise
            except av.error.FFmpegError:  # of damaged AAC, any of a dozen kinds
                lost = True
                continue
            for frame in frames:
                if lost and frame.time is None:
                    raise _broken(path, last)
                yield frame, lost
                last, lost = frame.time or last, False
    except av.error.FFmpegError as error:
        raise _broken(path, last) from error
    if lost or is_cut(container, stream, packets):
        raise _broken(path, last)


def _broken(path: Path, last: float) -> MediaError:
    return MediaError(
        f"{path}: the sound breaks off at {last:.2f} s, truncated or damaged; copy or encode it"
        " again, or leave it out"
    )


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
