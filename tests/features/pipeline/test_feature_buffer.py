"""Features of faces go to their owners, whatever else is in the batch."""

from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.encoders.base import READY, Status
from features.encoders.visual.expression import ExpressionEncoder
from features.pipeline.feature_buffer import FeatureBuffer


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
    gathered = FeatureBuffer([BatchEncoder()], batch)
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
    gathered = FeatureBuffer([BatchEncoder()], 4)
    gathered.add([7, 8], [0, 0], np.concatenate([crop(1), crop(2)]))
    gathered.add([7, -2], [1, 2], np.concatenate([crop(3), crop(4)]))
    gathered.flush()
    owners = np.array([8, 7, -2, -1])
    assert gathered.values("mean", 1, owners)[:, 0].tolist() == [2, 3, 4, 0]
    assert gathered.has(owners).tolist() == [True, True, True, False]


@pytest.mark.parametrize(("faces", "last"), [(1, 8), (16, 16), (17, 8), (25, 16), (31, 16)])
def test_the_last_batch_is_filled_up_to_a_multiple_of_eight(faces: int, last: int) -> None:
    gathered = FeatureBuffer([BatchEncoder()], 16)
    for row in range(faces):
        gathered.add([0], [row], crop(row))
    gathered.flush()
    sizes = gathered.values("mean.size", 1, np.zeros(faces, int))[:, 0]
    assert (sizes[: faces // 16 * 16] == 16).all()
    assert (sizes[faces // 16 * 16 :] == last).all()


def test_a_face_gives_the_same_bytes_whatever_comes_with_it() -> None:
    encoder, rng = ExpressionEncoder(), np.random.default_rng(0)
    crops = rng.integers(0, 256, (21, 112, 112, 3), np.uint8)
    alone, together = FeatureBuffer([encoder], 16), FeatureBuffer([encoder], 16)
    alone.add([0], [5], crops[5:6])
    together.add([0] * 21, range(21), crops)
    alone.flush()
    together.flush()
    owners = np.zeros(21, int)
    for stream, dim in encoder.streams.items():
        one = alone.values(stream, dim, owners)[5]
        np.testing.assert_array_equal(one, together.values(stream, dim, owners)[5])


def test_what_waits_counts_only_after_the_flush() -> None:
    gathered = FeatureBuffer([BatchEncoder()], 6)
    gathered.add([0], [0], crop(1))
    assert not gathered.has(np.zeros(1, int)).any()
    gathered.flush()
    gathered.flush()
    assert gathered.has(np.zeros(1, int)).all()
    assert gathered.values("mean", 1, np.zeros(1, int)).dtype == np.float16
