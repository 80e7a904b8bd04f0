"""Faces that encoders are trained and judged on: what is left out, kept together, kept on disk."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.kept import Cache
from experiments.pretraining import probe_data
from experiments.pretraining.probe_data import (
    read_actor,
    read_ck,
    read_orl,
    read_yale,
)
from features.errors import UserError
from tests.shared import shared_data


def packed(pictures: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Compressed pictures one after the other, and where they begin and end."""
    parts = []
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "jpeg", quality=90)
        parts.append(file.getvalue())
    offsets = np.cumsum([0, *map(len, parts)])
    return np.frombuffer(b"".join(parts), np.uint8), offsets


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder laid out as the shared data, of noise."""
    root, rng = tmp_path_factory.mktemp("shared"), np.random.default_rng(0)

    def noise(*shape: int) -> np.ndarray:
        return rng.integers(0, 256, shape).astype(np.uint8)

    for folder in ("faces", "ravdess"):
        (root / folder).mkdir(parents=True)
    people = np.repeat(np.arange(10), 6)
    np.savez(root / "faces/ckplus48.npz", images=noise(60, 48, 48), labels=np.arange(60) // 3 % 2,
             abaw=np.arange(60) // 3 % 2, subjects=people, sequence=np.arange(60) // 3)  # fmt: skip
    who = np.concatenate([np.repeat([0, 1, 2], 10), np.repeat(np.arange(3, 10), 4)])
    jpeg, offsets = packed(list(noise(len(who), 112, 112, 3)))
    np.savez(root / "faces/lfw_expressions.npz", jpeg=jpeg, offsets=offsets, identity=who,
             abaw=np.zeros(len(who), np.int8))  # fmt: skip
    conditions = np.array(["normal", "happy", "sad", "wink", "sleepy", "glasses"] * 2)
    np.savez(root / "faces/yale.npz", images=noise(12, 112, 112), subjects=np.repeat([1, 2], 6),
             conditions=conditions)  # fmt: skip
    np.savez(root / "faces/orl.npz", images=noise(10, 112, 92), subjects=np.repeat([1, 2], 5))
    np.savez(root / "ravdess/faces_actor01.npz", frames=noise(4, 3, 112, 112),
             emotion_code=np.array([1, 3, 5, 8]))  # fmt: skip
    return root


def test_yale_has_no_normal_twins(data: Path, tmp_path: Path) -> None:
    assert len(read_yale(data, Cache(tmp_path))) == 10


def test_frames_of_a_clip_are_one_group(data: Path, tmp_path: Path) -> None:
    actor = read_actor(data, Cache(tmp_path))
    assert actor.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]  # the last frame is a copy
    assert actor.labels.tolist() == [0, 0, 4, 4, 1, 1, 6, 6]
    assert actor.found is not None
    assert not actor.found.any()  # of noise


def test_faces_are_aligned_once(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read_orl(data, Cache(tmp_path))
    monkeypatch.setattr(probe_data, "align", lambda _: pytest.fail("aligned again"))
    np.testing.assert_array_equal(read_orl(data, Cache(tmp_path)).faces, first.faces)


def test_missing_data_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"orl.npz: absent; .*--data DIR"):
        read_orl(tmp_path, Cache(tmp_path))


def test_real_ck_plus_is_read_as_documented() -> None:
    ck, classes = read_ck(shared_data())
    assert (len(ck), len(np.unique(ck.groups)), len(np.unique(ck.people))) == (981, 327, 118)
    assert np.bincount(classes).tolist() == [135, 54, 177, 75, 207, 84, 249]
    assert (ck.labels < 0).sum() == 54
