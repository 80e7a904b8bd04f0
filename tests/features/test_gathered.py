"""Features of faces go to their owners, whatever else is in the batch."""

from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.encoders.protocol import READY, Status
from features.gathered import Gathered


class BatchEncoder:
    """Gives the mean of each crop, and the size of the batch in which it came."""

    name, input, revision = "mean", "face", "1"
    settings: ClassVar[dict[str, Any]] = {}
    streams: ClassVar[dict[str, int]] = {"mean": 1, "mean.size": 1}
    licence = trained_on = "none"

    @classmethod
    def status(cls, settings: Any) -> Status:
        return READY

    def encode_faces(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        means = crops.reshape(len(crops), -1).mean(1, keepdims=True).astype(np.float32)
        return {"mean": means, "mean.size": np.full((len(crops), 1), len(crops), np.float32)}


def crop(value: int) -> np.ndarray:
    return np.full((1, 4, 4, 3), value, np.uint8)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), unique=True, max_size=40),
    st.integers(1, 7),
)
def test_every_face_gets_its_own_features(faces: list[tuple[int, int]], batch: int) -> None:
    gathered = Gathered([BatchEncoder()], batch)
    for owner, row in faces:
        gathered.add([owner], [row], crop(20 * owner + row))
    gathered.flush()
    for owner in range(5):
        owners = np.full(10, owner)
        there = np.array([(owner, row) in faces for row in range(10)])
        np.testing.assert_array_equal(gathered.has(owners), there)
        expected = np.where(there, 20 * owner + np.arange(10), 0)
        np.testing.assert_array_equal(gathered.values("mean", 1, owners)[:, 0], expected)


def test_rows_may_belong_to_different_owners() -> None:
    gathered = Gathered([BatchEncoder()], 4)
    gathered.add([7, 8], [0, 0], np.concatenate([crop(1), crop(2)]))
    gathered.add([7, -2], [1, 2], np.concatenate([crop(3), crop(4)]))
    gathered.flush()
    owners = np.array([8, 7, -2, -1])
    assert gathered.values("mean", 1, owners)[:, 0].tolist() == [2, 3, 4, 0]
    assert gathered.has(owners).tolist() == [True, True, True, False]


@pytest.mark.parametrize("faces", [1, 5, 6, 11])
def test_batches_are_always_full(faces: int) -> None:
    gathered = Gathered([BatchEncoder()], 6)
    for row in range(faces):
        gathered.add([0], [row], crop(row))
    gathered.flush()
    sizes = gathered.values("mean.size", 1, np.zeros(faces, int))
    assert (sizes == 6).all()


def test_what_waits_counts_only_after_the_flush() -> None:
    gathered = Gathered([BatchEncoder()], 6)
    gathered.add([0], [0], crop(1))
    assert not gathered.has(np.zeros(1, int)).any()
    gathered.flush()
    gathered.flush()
    assert gathered.has(np.zeros(1, int)).all()
    assert gathered.values("mean", 1, np.zeros(1, int)).dtype == np.float16
