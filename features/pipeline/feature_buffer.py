"""Features of faces, as they are computed: batches in, one row a frame out.

Data flow: faces with owner and row > full batches > encoders > chunks > rows of one owner each.

An owner is a number: a path of `faces.follow`, or a person. Only the features are kept.

Letters: F frames, K faces at hand, D feature dimensions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from features.cli.progress import beat
from features.encoders.base import VisualEncoder

STEP = 8
"""Batches are filled up to a multiple of this with black crops. Libraries compute few pictures in
another way than many, and what a face gives must not depend, in its last digits, on how many others
came with it."""


@dataclass
class _Waiting:
    """Faces that wait for a full batch: owner (K,), row (K,), crops (K, H, W, 3)."""

    owners: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    crops: list[np.ndarray] = field(default_factory=list)


class FeatureBuffer:
    """Encodes faces of many frames and people together and keeps what belongs to whom.

    Args:
        encoders: Encoders to run.
        batch: Crops that are encoded at once.
    """

    def __init__(self, encoders: Sequence[VisualEncoder], batch: int) -> None:
        self._encoders, self._batch = encoders, batch
        self._waiting = _Waiting()
        self._owners: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []
        self._values: dict[str, list[np.ndarray]] = {s: [] for e in encoders for s in e.streams}

    def add(self, owners: Sequence[int], rows: Sequence[int], crops: np.ndarray) -> None:
        """Takes faces in: owners and rows (K), crops (K, H, W, 3) uint8."""
        waiting = self._waiting
        waiting.owners.extend(owners)
        waiting.rows.extend(rows)
        waiting.crops.extend(crops)
        while len(waiting.rows) >= self._batch:
            self._encode(self._batch)

    def flush(self) -> None:
        """Encodes what still waits."""
        if self._waiting.rows:
            self._encode(len(self._waiting.rows))

    def has(self, owners: np.ndarray) -> np.ndarray:
        """(F,) bool, whether there are features of each row's owner; `owners` is (F,) int."""
        known = np.zeros(len(owners), bool)
        for chunk_owners, rows in zip(self._owners, self._rows, strict=True):
            known[rows[owners[rows] == chunk_owners]] = True
        return known

    def values(self, stream: str, dim: int, owners: np.ndarray) -> np.ndarray:
        """Features (F, D) float16 of each row's owner; zero where there are none."""
        values = np.zeros((len(owners), dim), np.float16)
        chunks = zip(self._owners, self._rows, self._values[stream], strict=True)
        for chunk_owners, rows, chunk in chunks:
            mine = owners[rows] == chunk_owners
            values[rows[mine]] = chunk[mine]
        return values

    def forget(self, stream: str) -> None:
        """Lets go of the features of a stream."""
        self._values[stream].clear()

    def _encode(self, count: int) -> None:
        """Encodes the first of those that wait."""
        waiting, crops = self._waiting, np.stack(self._waiting.crops[:count])
        missing = -count % STEP
        crops = np.concatenate([crops, np.zeros((missing, *crops.shape[1:]), np.uint8)])
        for encoder in self._encoders:
            for stream, values in encoder.encode_faces(crops).items():
                self._values[stream].append(values[:count].astype(np.float16))
        self._owners.append(np.array(waiting.owners[:count], np.int32))
        self._rows.append(np.array(waiting.rows[:count], np.int64))
        del waiting.owners[:count], waiting.rows[:count], waiting.crops[:count]
        beat()
