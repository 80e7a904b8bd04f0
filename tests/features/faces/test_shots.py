"""Cuts are told from movement, noise and light."""

from collections.abc import Iterable

import cv2
import numpy as np
import pytest
from skimage.data import astronaut, cat

from features.faces.shots import Shots
from features.media import read_frames
from tests.shared import shared_data

ONE = cv2.resize(astronaut(), (320, 240), interpolation=cv2.INTER_AREA)
OTHER = cv2.resize(cat(), (320, 240), interpolation=cv2.INTER_AREA)


def shots_of(images: Iterable[np.ndarray]) -> list[int]:
    shots = Shots()
    return [shots.add(image) for image in images]


def test_each_cut_begins_a_shot() -> None:
    assert shots_of([ONE, ONE, OTHER, OTHER, ONE]) == [0, 0, 1, 1, 2]
    dark = [image // 8 for image in (ONE, OTHER, ONE)]
    assert shots_of(dark) == [0, 1, 2]


def test_movement_noise_and_light_are_no_cuts() -> None:
    noise = np.random.default_rng(0).normal(scale=25, size=ONE.shape)
    noisy = np.clip(ONE + noise, 0, 255).astype(np.uint8)
    brighter = np.clip(ONE.astype(int) + 20, 0, 255).astype(np.uint8)
    moved = [np.roll(ONE, 12 * step, axis=1) for step in range(4)]
    assert set(shots_of([ONE, noisy, ONE, brighter, *moved])) == {0}
    assert shots_of([np.full((8, 6, 3), grey, np.uint8) for grey in (10, 14, 12)]) == [0, 0, 0]


@pytest.mark.parametrize(
    ("path", "shots"),
    [("clips/liveportrait_d12.mp4", 1), ("odd/torchcodec__nasa_13013.mp4", 2)],
)
def test_real_shots(path: str, shots: int) -> None:
    blocks = read_frames(shared_data() / path)
    assert max(shots_of(image for block in blocks for image in block.images)) == shots - 1
