"""What the readers find in a media file, and what pictures and sound of it say beside a known clip.

Data flow: file > frames, size, sound, notices, extent by its headers > Found; small grey pictures
and sound at 8 kHz > correlation with another file's, which way up, how far sound slips.

Letters: F frames, B frames of the known clip, N samples.
"""

import traceback
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from features.errors import UserError
from features.execution.sharding import Extent, extent_of
from features.media import NoVideo, read_frames, read_sound
from features.media.notices import gathered_notices
from features.media.pictures.images import read_picture
from features.pipeline.discovery import Source

STILLS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""Endings of single pictures."""
SIDE, RATE = 64, 8000
"""Side in pixels of the pictures that are compared; samples per second of the sound."""
WAYS = {
    "upright": (0, False), "turned left": (1, False), "upside down": (2, False),
    "turned right": (3, False), "mirrored": (0, True), "mirrored, turned left": (1, True),
    "mirrored, upside down": (2, True), "mirrored, turned right": (3, True),
}  # fmt: skip
"""How a picture may lie: quarter turns counter-clockwise, after being mirrored or not."""


@dataclass
class Found:
    """What is in a file.

    Attributes:
        size: Width and height as shown; None without a picture.
        times: (F,) seconds of the frames.
        grey: (F, SIDE, SIDE) float32 pictures.
        sound: Seconds of sound; None without.
        offset: Second at which the sound starts.
        samples: (N,) float32 sound at `RATE`.
        planned: What the headers say.
        said: What was said of the file.
        faults: Why it cannot be read, in one line each.
        crashes: Exceptions that no user should see.
    """

    size: tuple[int, int] | None = None
    times: np.ndarray = field(default_factory=lambda: np.zeros(0))
    grey: np.ndarray = field(default_factory=lambda: np.zeros((0, SIDE, SIDE), np.float32))
    sound: float | None = None
    offset: float = 0.0
    samples: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    planned: Extent = field(default_factory=Extent)
    said: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """F."""
        return len(self.times)


@dataclass(frozen=True)
class Likeness:
    """How a file compares with the known clip.

    Attributes:
        correlation: Mean of the pictures' correlations, in the best way and at the best place.
        way: How the pictures lie; see `WAYS`.
        slip: Seconds by which the sound comes late, on the clock of the picture; None if the
            sounds do not agree anywhere.
    """

    correlation: float
    way: str
    slip: float | None


def look_into(path: Path) -> Found:
    """Reads a file with all readers; whatever happens is in the result."""
    found = Found()
    readers = [_see_still] if path.suffix.lower() in STILLS else [_see, _hear, _plan]
    with gathered_notices() as said:
        for reader in readers:
            try:
                reader(path, found)
            except NoVideo:
                continue
            except (UserError, OSError) as error:
                found.faults += [str(error)] if str(error) not in found.faults else []
            except Exception:
                found.crashes.append(traceback.format_exc().strip().splitlines()[-1])
    found.said = list(said)
    return found


def _see_still(path: Path, found: Found) -> None:
    image = read_picture(path)
    found.size = image.shape[1], image.shape[0]
    found.times, found.grey = np.zeros(1), _grey(image)[None]


def _see(path: Path, found: Found) -> None:
    times, pictures = list[float](), list[np.ndarray]()
    try:
        for block in read_frames(path):
            found.size = block.images.shape[2], block.images.shape[1]
            times.extend(block.times)
            pictures.extend(map(_grey, block.images))
    finally:
        if pictures:
            found.times, found.grey = np.array(times), np.stack(pictures)


def _hear(path: Path, found: Found) -> None:
    sound = read_sound(path, RATE)
    if sound is None:
        return
    parts = [np.zeros(0, np.float32)]
    try:
        parts.extend(sound.blocks)
    finally:
        found.samples, found.offset = np.concatenate(parts), sound.offset
        found.sound = len(found.samples) / RATE
    if not np.isfinite(found.samples).all():
        found.faults.append(f"{path}: samples that are no numbers")


def _plan(path: Path, found: Found) -> None:
    found.planned = extent_of(Source(path.stem, path, {}))


def _grey(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 to (SIDE, SIDE) float32."""
    small = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32).mean(axis=2)


def compare(found: Found, known: Found) -> Likeness | None:
    """Holds a file against the known clip, of which it may be a part; None without pictures."""
    if not found.frames or not known.frames:
        return None
    best = {way: _placed(found.grey, _laid(known.grey, way)) for way in WAYS}
    way = max(best, key=lambda way: best[way][0])
    correlation, first = best[way]
    return Likeness(correlation, way, _slip(found, known, float(known.times[first])))


def _laid(grey: np.ndarray, way: str) -> np.ndarray:
    turns, mirrored = WAYS[way]
    return np.rot90(grey[:, :, ::-1] if mirrored else grey, turns, axes=(1, 2))


def _placed(grey: np.ndarray, known: np.ndarray) -> tuple[float, int]:
    """Best mean correlation of (F, ...) with as many of (B, ...), and the first of them."""
    pairs = _standard(grey) @ _standard(known).T  # (F, B)
    places = range(max(1, len(known) - len(grey) + 1))
    means = [float(np.diagonal(pairs, place).mean()) for place in places]
    return max(means), int(np.argmax(means))


def _standard(grey: np.ndarray) -> np.ndarray:
    """Rows of mean 0 and length 1; of a plain picture, zeros."""
    rows = grey.reshape(len(grey), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    length: np.ndarray = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return np.asarray(rows / length)


def _slip(found: Found, known: Found, start: float) -> float | None:
    """Seconds by which sound is late, if the file's second 0 is `start` of the known clip."""
    if not (len(found.samples) and len(known.samples)):
        return None
    size = 1 << int(np.ceil(np.log2(len(found.samples) + len(known.samples))))
    one, other = (np.fft.rfft(sound.samples, size) for sound in (found, known))
    power = np.linalg.norm(found.samples) * np.linalg.norm(known.samples)
    match = np.fft.irfft(one.conj() * other, size)  # over the places of the first in the known one
    place = int(np.argmax(np.abs(match)))
    part = np.sqrt(min(1.0, len(found.samples) / len(known.samples)))
    if power == 0 or abs(match[place]) < 0.5 * power * part:
        return None
    place -= size if place > size // 2 else 0
    true = place / RATE + known.offset - start  # when the file's first sample should be heard
    return found.offset - true
