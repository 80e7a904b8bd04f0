"""Looks of faces: alike for one person, unlike for two, and what a path remembers of them."""

from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.faces.alignment import crop_faces
from features.faces.appearance import CUT, DISTINCT, LENGTH, SAME, VIEWS, Views, looks_of
from features.faces.detect import FaceDetector, FaceSettings
from features.media import read_frames
from tests.media import face_picture
from tests.shared import shared_data

FACE = face_picture(112)


def similarity(crop: np.ndarray, other: np.ndarray) -> float:
    first, second = looks_of(np.stack([crop, other]))
    return float(first @ second)


def other_person(crop: np.ndarray) -> np.ndarray:
    """The mirrored face with red and blue exchanged."""
    return np.ascontiguousarray(crop[:, ::-1, ::-1])


def test_thresholds_are_in_order() -> None:
    assert 0 < CUT < SAME < DISTINCT < 1


def test_no_faces_have_no_looks() -> None:
    assert looks_of(np.zeros((0, 112, 112, 3), np.uint8)).shape == (0, LENGTH)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 255), st.integers(1, 255))
def test_looks_of_any_picture_have_length_one(seed: int, base: int, spread: int) -> None:
    noise = np.random.default_rng(seed).integers(0, spread, (2, 112, 112, 3)) + base
    looks = looks_of(np.clip(noise, 0, 255).astype(np.uint8))
    assert looks.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(looks, axis=1), 1, atol=1e-5)
    assert (looks >= 0).all()


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_plain_picture_is_like_itself(grey: int) -> None:
    plain = np.full((112, 112, 3), grey, np.uint8)
    assert similarity(plain, plain) == pytest.approx(1)


def test_looks_do_not_depend_on_the_other_faces() -> None:
    crops = np.stack([FACE, other_person(FACE), FACE[::-1]])
    np.testing.assert_array_equal(looks_of(crops)[1:2], looks_of(crops[1:2]))


@pytest.mark.parametrize(
    "changed",
    [
        (FACE * 0.75).astype(np.uint8),
        cv2.GaussianBlur(FACE, (0, 0), 1.5),
        np.roll(FACE, 3, axis=1),
        cv2.resize(cv2.resize(FACE, (48, 48), interpolation=cv2.INTER_AREA), (112, 112)),
        cv2.warpAffine(FACE, cv2.getRotationMatrix2D((56, 56), 5, 1.03), (112, 112)),
    ],
    ids=["dimmer", "blurred", "shifted", "smaller", "turned"],
)
def test_the_same_face_seen_otherwise_is_the_same(changed: np.ndarray) -> None:
    assert similarity(FACE, changed) >= SAME


def test_another_structure_and_another_colour_are_each_seen() -> None:
    assert similarity(FACE, other_person(FACE)) < CUT
    assert similarity(FACE, np.ascontiguousarray(FACE[..., ::-1])) < CUT
    grey = np.repeat(cv2.cvtColor(FACE, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=-1)
    upside_down = np.ascontiguousarray(grey[::-1])
    assert similarity(grey, upside_down) < 0.95 < similarity(grey, np.roll(grey, 1, axis=1))


# Views -------------------------------------------------------------------------------------------


def look(*numbers: float) -> np.ndarray:
    values = np.array(numbers, np.float32)
    return values / np.linalg.norm(values)


def test_only_distinct_looks_become_views() -> None:
    views = Views(look(1, 0, 0))
    views.add(look(1, 0.05, 0), clear=True)
    assert len(views.means) == 1
    views.add(look(0, 1, 0), clear=True)
    assert len(views.means) == 2
    assert views.similarity(look(0, 1, 0)[None], with_last=False)[0] == pytest.approx(1)


def test_view_follows_its_looks_slowly() -> None:
    views = Views(look(1, 0, 0))
    for _ in range(30):
        views.add(look(1, 0.3, 0), clear=True)
    assert len(views.means) == 1
    assert views.means[0] @ look(1, 0.3, 0) > 0.999
    np.testing.assert_allclose(np.linalg.norm(views.means, axis=1), 1, atol=1e-5)


def test_unclear_look_counts_as_the_last_one_only() -> None:
    views = Views(look(1, 0, 0))
    views.add(look(0, 1, 0), clear=False)
    asked = look(0, 1, 0)[None]
    assert views.similarity(asked, with_last=True)[0] == pytest.approx(1)
    assert views.similarity(asked, with_last=False)[0] == pytest.approx(0)


def test_views_stay_few_however_many_looks_come() -> None:
    looks = np.random.default_rng(0).normal(size=(200, 64)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    views = Views(looks[0])
    for one in looks:
        views.add(one, clear=True)
    assert len(views.means) == VIEWS
    np.testing.assert_allclose(np.linalg.norm(views.means, axis=1), 1, atol=1e-5)


def test_likeness_counts_views_by_their_looks() -> None:
    ann, ben = look(1, 0, 0), look(0, 1, 0)
    both = Views(ann)
    for one in (ann, ben, ben, ben):
        both.add(one, clear=True)
    assert Views(ann).likeness(both) == pytest.approx(1)
    assert both.likeness(Views(ann)) == pytest.approx(0.25)
    assert both.likeness(Views(ben)) == pytest.approx(0.75)


# Real faces --------------------------------------------------------------------------------------


def looks_in(path: Path) -> np.ndarray:
    """Looks of the likeliest face of every 16th of the first 48 frames."""
    images = np.concatenate([block.images for block in islice(read_frames(path, 16), 3)])[::16]
    detector = FaceDetector(FaceSettings())
    marks = np.stack([faces.landmarks[0] for faces in detector.detect(images)])
    return looks_of(crop_faces(images, marks, FaceSettings()))


def test_real_people_are_like_themselves_and_unlike_each_other() -> None:
    clips = shared_data() / "clips"
    names = ("pyfeat_single_face", "liveportrait_d0")
    looks = [looks_in(clips / f"{name}.mp4") for name in names]
    for i, one in enumerate(looks):
        assert (one @ one.T).min() >= SAME
        assert all((one @ other.T).max() < CUT for other in looks[:i])
