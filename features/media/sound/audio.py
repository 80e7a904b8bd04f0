"""Sound of a media file on the clock of its video, in constant memory.

Data flow: file > PyAV at the native rate > one channel (mixing.py) > gaps filled with silence
> soxr (very long linear-phase filter, no lag) > blocks of about a second. As with pictures, less
than a second that cannot be decoded is bridged, here with silence; at the beginning, sound starts
with what can be. What was bridged is said when the sound has been read.
"""

import logging
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
    require_decoder,
    seconds,
    video_stream,
)
from features.media.ending import Ending
from features.media.sound.mixing import Mixer
from features.media.timeline import read_timeline

log = logging.getLogger(__name__)

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
        frame = next((frame for frame, _ in _Decoding(path, container, stream).frames()), None)
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
    """Mono samples at the native rate, each at its place: gaps are silent, overlaps cut.

    Says at the end what was bridged.
    """
    due: float | None = None  # seconds at which the next sample is expected
    mixer = Mixer()
    with open_media(path) as container:
        stream = sound_stream(container)
        assert stream is not None
        decoding = _Decoding(path, container, stream)
        for frame, after_loss in decoding.frames():
            if frame.sample_rate != native:
                raise MediaError(f"{path}: its sampling rate changes; encode the sound again")
            samples = mixer.mono(frame)
            if mixer.damaged.longest > LONGEST_LOSS * native:
                raise _no_numbers(path, mixer.damaged.first / native)
            at = frame.time
            slip = 0.0 if due is None or at is None else at - due
            due = at if due is None else due
            tolerance = 0.0 if after_loss else TOLERANCE
            if tolerance < abs(slip) <= LONGEST_GAP:
                yield from _silence(round(slip * native), native)
                samples = samples[max(0, round(-slip * native)) :]
                due = None if due is None else due + max(0.0, slip)
            elif abs(slip) > LONGEST_GAP:
                due = at
            due = None if due is None else due + len(samples) / native
            yield samples
        if due is not None:
            yield from _silence(round(max(0.0, decoding.end - due) * native), native)
    _say(path, decoding, mixer, native)


class _Decoding:
    """Decodes one stream of sound; packets that cannot be decoded are passed over if they are few.

    Attributes:
        lost: Packets that could not be decoded.
        seconds: Their length.
        first: Where the first of them is, in seconds.
        end: Seconds at which the last lost packet ends, if none follows that can be decoded.
    """

    def __init__(
        self, path: Path, container: av.container.InputContainer, stream: av.AudioStream
    ) -> None:
        self._path, self._container, self._stream = path, container, stream
        self.lost, self.seconds, self.first, self.end = 0, 0.0, 0.0, -np.inf
        self._since: float | None = None  # where the loss began that is not over yet
        self._last = 0.0

    def frames(self) -> Iterator[tuple[av.AudioFrame, bool]]:
        """Decoded sound, and whether packets before it could not be decoded.

        Raises:
            MediaError: If the file is cut off, or more than `LONGEST_LOSS` is lost in one go.
        """
        packets = given = 0
        ending = Ending(self._path, self._container, self._stream)
        try:
            for packet in self._container.demux(self._stream):
                packets += bool(packet.size)
                ending.watch(packet)
                try:
                    frames = self._stream.decode(packet)
                except av.error.MemoryError:
                    raise
                except av.error.FFmpegError:  # of damaged AAC, any of a dozen kinds
                    self._lose(packet)
                    continue
                for frame in frames:
                    after_loss = self._since is not None
                    if after_loss and frame.time is None:
                        raise _broken(self._path, self._last)
                    yield frame, after_loss
                    given += 1
                    self._last, self._since, self.end = frame.time or self._last, None, -np.inf
        except av.error.FFmpegError as error:
            raise _broken(self._path, self._last) from error
        if (self.lost and not given) or is_cut(self._container, self._stream, packets):
            raise _broken(self._path, self._last)
        ending.say()

    def _lose(self, packet: av.Packet) -> None:
        """Counts a packet that cannot be decoded."""
        at = seconds(packet.pts, packet)
        if at is None:
            raise _broken(self._path, self._last)
        length = seconds(packet.duration, packet) or 0.0
        self.first = self.first if self.lost else at
        self._since = at if self._since is None else self._since
        self.lost, self.seconds, self.end = self.lost + 1, self.seconds + length, at + length
        if self.end - self._since > LONGEST_LOSS:
            raise _broken(self._path, self._since)


def _say(path: Path, decoding: _Decoding, mixer: Mixer, rate: int) -> None:
    """Says what stands in for what the file holds."""
    damaged, cancelled = mixer.damaged, mixer.cancelled
    if decoding.lost:
        log.warning(
            "%s: %.2f s of its sound, first at %.2f s, cannot be decoded; silence stands in",
            *(path, decoding.seconds, max(0.0, decoding.first)),
        )
    if damaged.samples:
        what = "1 sample" if damaged.samples == 1 else f"{damaged.samples} samples"
        log.warning(
            "%s: %s of its sound, first at %.2f s, without a number; silence stands in",
            *(path, what, damaged.first / rate),
        )
    if cancelled.samples:
        log.warning(
            "%s: channels of its sound are in opposite phase and cancel each other for %.2f s,"
            " first at %.2f s; the louder one is taken there",
            *(path, cancelled.samples / rate, cancelled.first / rate),
        )


def _broken(path: Path, last: float) -> MediaError:
    return MediaError(
        f"{path}: the sound breaks off at {max(0.0, last):.2f} s, truncated or damaged; copy or"
        " encode it again, or leave it out"
    )


def _no_numbers(path: Path, at: float) -> MediaError:
    return MediaError(
        f"{path}: the samples of its sound are no numbers from {at:.2f} s on; encode it again, or"
        " leave it out"
    )


def _silence(samples: int, most: int) -> Iterator[np.ndarray]:
    """Zeros in parts of at most `most`; nothing for less than one sample."""
    for first in range(0, samples, most):
        yield np.zeros(min(most, samples - first), np.float32)
