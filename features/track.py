"""FeatureTrack: one stream of features of one person in one video, as a file.

Data flow: encoder > FeatureTrack > `.safetensors` file > FeatureTrack > fusion.

Letters: T tokens (frames, or audio steps), D feature dimensions.
"""

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

SOUND = "sound"
"""`TrackInfo.person` of a stream that belongs to the video and not to one of its people."""
MAIN = "main"
"""`TrackInfo.person` of the person who fills most of the video."""


class DamagedTrack(Exception):
    """A track file that is truncated, not safetensors, or does not hold what a track holds."""


@dataclass(frozen=True)
class TrackInfo:
    """Where a track came from; stored in the file's header.

    Attributes:
        video: Video id: the file's stem.
        person: `main`, `left`, `right`, or `sound` for a stream of the whole video.
        stream: Name of the stream, e.g. `expression` or `prosody`.
        encoder: Name of the encoder that made it.
        revision: Hash of the encoder's weights (or of its code's version, if it has none).
        settings: Hash of every setting that touches the values (see `settings_hash`).
        source: sha256 of the source file's bytes.
        frames: Decoded video frames of the source, 0 if unknown.
        versions: Library versions, for the record; not part of the key.
        notes: Free text for people, e.g. `no sound`; not part of the key.
    """

    video: str
    person: str
    stream: str
    encoder: str
    revision: str
    settings: str
    source: str
    frames: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    notes: str = ""

    @property
    def id(self) -> str:
        """Name of the track within its stream, spelt as ABAW spells it: `12`, `12_left`."""
        return self.video if self.person in (MAIN, SOUND) else f"{self.video}_{self.person}"

    @property
    def key(self) -> tuple[str, str, str]:
        """What the values depend on: (source, revision, settings)."""
        return self.source, self.revision, self.settings


@dataclass(frozen=True)
class FeatureTrack:
    """Features with their times.

    Attributes:
        values: (T, D) float16 or float32. Rows that are not valid are zero and mean nothing.
        times: (T,) float64, seconds from the start of the video stream, strictly rising.
            A frame's time is the container's timestamp; an audio token's is its centre.
        valid: (T,) bool, False where there is nothing to see or hear.
        info: Where the track came from.

    Raises:
        ValueError: If shapes, types or the order of times break the contract.
    """

    values: np.ndarray
    times: np.ndarray
    valid: np.ndarray
    info: TrackInfo

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.dtype not in (np.float16, np.float32):
            raise ValueError(
                f"values must be (T, D) float16 or float32,"
                f" not {self.values.shape} {self.values.dtype}"
            )
        for name, array, dtype in (("times", self.times, "f8"), ("valid", self.valid, "?")):
            if array.shape != self.values.shape[:1] or array.dtype != np.dtype(dtype):
                raise ValueError(f"{name} must be ({len(self.values)},) {np.dtype(dtype)}")
        if not (np.isfinite(self.times).all() and (np.diff(self.times) > 0).all()):
            raise ValueError("times must be finite and strictly rising")
        if not np.isfinite(self.values[self.valid]).all():
            raise ValueError("valid values must be finite")

    def __len__(self) -> int:
        return len(self.times)

    @property
    def dim(self) -> int:
        """D, the length of one feature vector."""
        return self.values.shape[1]


def write_track(track: FeatureTrack, path: Path) -> None:
    """Writes a track; at any instant `path` is absent, the old file, or the whole new one."""
    tensors = {"values": track.values, "times": track.times, "valid": track.valid}
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    write_atomically(path, save(contiguous, metadata={"track": json.dumps(asdict(track.info))}))


def read_track(path: Path) -> FeatureTrack:
    """Reads a track.

    Raises:
        DamagedTrack: If the file is not a whole, well-formed track.
        FileNotFoundError: If there is no such file.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            info = _parse_info(file.metadata())
            arrays = {name: file.get_tensor(name) for name in ("values", "times", "valid")}
        return FeatureTrack(**arrays, info=info)
    except FileNotFoundError:
        raise
    except (SafetensorError, ValueError, OSError) as error:
        raise DamagedTrack(f"{path}: {error}") from error


def read_info(path: Path) -> TrackInfo:
    """Reads a track's header only; raises as `read_track` does."""
    try:
        with safe_open(path, framework="numpy") as file:
            return _parse_info(file.metadata())
    except FileNotFoundError:
        raise
    except (SafetensorError, ValueError, OSError) as error:
        raise DamagedTrack(f"{path}: {error}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a temporary file in the same folder, syncs it and renames it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o666 & ~_umask())  # mkstemp's files are for the owner alone
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@cache
def _umask() -> int:
    """The process's file mode mask, which can be read only by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _parse_info(metadata: dict[str, str] | None) -> TrackInfo:
    """The header's TrackInfo; ValueError if there is none."""
    if not metadata or "track" not in metadata:
        raise ValueError("no track header")
    try:
        return TrackInfo(**json.loads(metadata["track"]))
    except TypeError as error:
        raise ValueError(f"track header: {error}") from error
