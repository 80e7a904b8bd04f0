"""FeatureTrack: one stream of features of one person in one video, as a file.

Data flow: encoder > FeatureTrack > `.safetensors` file > FeatureTrack > fusion.

A file holds three tensors, or four, and as the header's one entry `track` the TrackInfo with a
checksum.
Equal tracks make equal files, byte for byte: safetensors keeps no order among several entries.

Letters: T tokens (frames, or audio steps), D feature dimensions.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from features.store.atomic_file import replacing

if TYPE_CHECKING:  # takes a third of a second
    import pandas as pd

SOUND = "sound"
"""`TrackInfo.person` of a stream that belongs to the video and not to one of its people."""
MAIN = "main"
"""`TrackInfo.person` of the person who fills most of the video."""
TENSORS = ("values", "times", "valid")
"""Names of a file's tensors."""
SPANS = "spans"
"""Name of the one that only tokens of uneven length have."""
_ORDER = (SPANS, "times", "values", "valid")
"""Their order in the file: the widest numbers first, as alignment asks."""
_DTYPES = {"f8": "F64", "f4": "F32", "f2": "F16", "b1": "BOOL"}
"""What safetensors calls the types of a track."""
_ROWS = 1 << 14
"""Rows that are checked at once."""
_ENTRY, _CHECKSUM = "track", "checksum"


class DamagedTrack(Exception):
    """A track file that is truncated, not safetensors, or does not hold what a track holds."""


@dataclass(frozen=True)
class TrackInfo:
    """Where a track came from; stored in the file's header.

    Attributes:
        video: Video id: the file's stem.
        person: `main`, `left`, `right`, `person3` and so on, or `sound` for a stream of the whole
            video.
        stream: Name of the stream, e.g. `expression` or `prosody`.
        encoder: Name of the encoder that made it.
        revision: Hash of the encoder's weights (or of its code's version, if it has none).
        settings: Hash of every setting that touches the values (see `settings_hash`).
        source: sha256 of the source file's bytes.
        frames: Decoded video frames of the source, 0 if unknown.
        duration: Of sound whose source has no pictures: its seconds, which give the clip a clock;
            0 where there are pictures, or nothing is known.
        people: Of the stream `faces`: everybody who was told apart in the source, so that it is
            known whose tracks belong to it; not part of the key.
        versions: Library versions, for the record; not part of the key.
        notes: Free text for people, e.g. `no sound`; not part of the key.
        columns: Names of the columns, from the encoder; none where they have no names, as those of
            an embedding, and in tracks of old versions; not part of the key.
    """

    video: str
    person: str
    stream: str
    encoder: str
    revision: str
    settings: str
    source: str
    frames: int = 0
    duration: float = 0.0
    people: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    notes: str = ""
    columns: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Name of the track within its stream, spelt as ABAW spells it: `12`, `12_left`."""
        return track_id(self.video, self.person)

    @property
    def key(self) -> tuple[str, str, str]:
        """What the values depend on: (source, revision, settings)."""
        return self.source, self.revision, self.settings


def track_id(video: str, person: str) -> str:
    """Name of a person's tracks within their streams."""
    return video if person in (MAIN, SOUND) else f"{video}_{person}"


@dataclass(frozen=True)
class FeatureTrack:
    """Features with their times.

    Attributes:
        values: (T, D) float16 or float32. Rows that are not valid are zero and mean nothing.
        times: (T,) float64, seconds from the start of the video stream, strictly rising.
            A frame's time is the container's timestamp; an audio token's is its centre.
        valid: (T,) bool, False where there is nothing to see or hear.
        info: Where the track came from.
        spans: (T, 2) float64, seconds at which each token begins and ends, where they are not as
            even as `times`: words, events. None otherwise.

    Raises:
        ValueError: If shapes, types or the order of times break the contract.
    """

    values: np.ndarray
    times: np.ndarray
    valid: np.ndarray
    info: TrackInfo
    spans: np.ndarray | None = None

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
        if self.spans is not None and self.spans.shape != (len(self.times), 2):
            raise ValueError(f"spans must be ({len(self.times)}, 2), not {self.spans.shape}")
        if self.info.columns and len(self.info.columns) != self.dim:
            raise ValueError(f"{len(self.info.columns)} names for {self.dim} columns")
        for first in range(0, len(self.values), _ROWS):  # in parts, since hours are long
            part = slice(first, first + _ROWS)
            if not np.isfinite(self.values[part][self.valid[part]]).all():
                raise ValueError("valid values must be finite")

    def __len__(self) -> int:
        return len(self.times)

    @property
    def dim(self) -> int:
        """D, the length of one feature vector."""
        return self.values.shape[1]

    @property
    def columns(self) -> list[str]:
        """Names of the D columns; numbered, as `expression.0`, where they have none."""
        return list(self.info.columns) or [f"{self.info.stream}.{i}" for i in range(self.dim)]

    def to_pandas(self) -> "pd.DataFrame":
        """A row a token, indexed by `time` in seconds (`start` and `end` too, if it has spans).

        Values are float32; rows that are not valid are NaN.
        """
        import pandas as pd

        values = np.where(self.valid[:, None], self.values.astype(np.float32), np.float32(np.nan))
        index: pd.Index = pd.Index(self.times, name="time")
        if self.spans is not None:
            levels = [self.times, *self.spans.T]
            index = pd.MultiIndex.from_arrays(levels, names=["time", "start", "end"])
        return pd.DataFrame(values, index=index, columns=self.columns)


def write_track(track: FeatureTrack, path: Path) -> None:
    """Writes a track; at any instant `path` is absent, the old file, or the whole new one."""
    present = (name for name in _ORDER if getattr(track, name) is not None)
    arrays = {name: np.ascontiguousarray(getattr(track, name)) for name in present}
    fields = asdict(track.info)
    checksum = _checksum(json.dumps({**fields, _CHECKSUM: ""}), arrays)
    header = {_ENTRY: json.dumps({**fields, _CHECKSUM: checksum})}
    with replacing(path) as file:
        file.write(_layout(arrays, header))
        for array in arrays.values():
            file.write(array.reshape(-1).view(np.uint8).data)  # no copy: hours are long


def read_track(path: Path) -> FeatureTrack:
    """Reads a track and compares it with its checksum, which tracks of old versions lack.

    Raises:
        DamagedTrack: If the file is not a whole, well-formed track as it was written.
        FileNotFoundError: If there is no such file.
    """
    with _opened(path) as file:
        text, info, checksum = _header(file)
        names = (*TENSORS, SPANS) if SPANS in file.keys() else TENSORS  # noqa: SIM118
        arrays = {name: file.get_tensor(name) for name in names}
        if checksum is not None and checksum != _checksum(text.replace(checksum, ""), arrays):
            raise ValueError("its bytes have changed since it was written (wrong checksum)")
        return FeatureTrack(**arrays, info=info)


def read_info(path: Path) -> TrackInfo:
    """Reads a track's header only; raises as `read_track` does."""
    with _opened(path) as file:
        return _header(file)[1]


def read_checksum(path: Path) -> str | None:
    """The checksum in a track's header, None if it was written without; raises as `read_track`."""
    with _opened(path) as file:
        return _header(file)[2]


def _layout(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """Header of a safetensors file in which the arrays follow one another.

    The library's `save` begins with the same bytes (a test holds them together), but copies data
    twice, and its `save_file` leaves temporary files of its own if it is killed.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        dtype = _DTYPES[array.dtype.str[1:]]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An open track file; whatever is wrong with it becomes DamagedTrack."""
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except FileNotFoundError:
        raise
    except (SafetensorError, ValueError, OSError) as error:
        raise DamagedTrack(f"{path}: {error}") from error


def _header(file: Any) -> tuple[str, TrackInfo, str | None]:
    """The header's entry of an open file, what it says, and the checksum or None.

    Raises:
        ValueError: If there is none, or it is malformed.
    """
    metadata = file.metadata()
    if not metadata or _ENTRY not in metadata:
        raise ValueError("no track header")
    text = str(metadata[_ENTRY])
    try:
        fields = dict(json.loads(text))
        checksum = fields.pop(_CHECKSUM, None)
        for name in ("people", "columns"):  # tracks of old versions do not tell
            fields[name] = tuple(fields.get(name, ()))
        return text, TrackInfo(**fields), None if checksum is None else str(checksum)
    except TypeError as error:
        raise ValueError(f"track header: {error}") from error


def _checksum(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    """sha256 over the header's entry, with its checksum left out, and over the tensors."""
    digest = hashlib.sha256(text.encode())
    for name in (*TENSORS, SPANS):
        if (array := arrays.get(name)) is None:
            continue
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
