"""Faces are cut out upright, at the template's place, without aliasing."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.faces.alignment import TEMPLATE, crop_faces, similarity, template
from features.faces.detect import FaceDetector, FaceSettings
from tests.media import face_frame

SETTINGS = FaceSettings()


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector(SETTINGS)


@settings(max_examples=40)
@given(st.floats(-3, 3), st.floats(0.2, 9), st.floats(-500, 500), st.floats(-500, 500))
def test_similarity_recovers_turn_scale_and_shift(
    angle: float, scale: float, x: float, y: float
) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (TEMPLATE - (x, y)) @ np.linalg.inv(turn).T
    expected = np.column_stack([turn, (x, y)])
    np.testing.assert_allclose(similarity(points, TEMPLATE), expected, atol=1e-6, rtol=1e-6)


def marked(points: np.ndarray, side: int) -> np.ndarray:
    """A black picture with a white blob at each landmark."""
    image = np.zeros((side, side, 3), np.float32)
    for x, y in points:
        rows, columns = np.mgrid[:side, :side]
        blob = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (side / 100) ** 2))
        image += 255 * blob[..., None]
    return image.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("side", "angle"), [(200, 0), (200, 40), (800, -25), (60, 10)])
@pytest.mark.parametrize("margin", [0.0, 0.4])
def test_landmarks_come_to_the_template(side: int, angle: float, margin: float) -> None:
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    points = (TEMPLATE - 56) / 112 * side * 0.6 @ np.array([[c, s], [-s, c]]) + side / 2
    settings = FaceSettings(size=112, margin=margin)
    crop = crop_faces(marked(points, side)[None], points[None], settings)[0, ..., 0].astype(float)
    for x, y in template(112, margin):
        rows, columns = np.mgrid[:112, :112]
        near = np.hypot(columns - x, rows - y) < 7
        weights = crop[near]
        assert weights.max() > 60
        assert np.average(columns[near], weights=weights) == pytest.approx(x, abs=0.3)
        assert np.average(rows[near], weights=weights) == pytest.approx(y, abs=0.3)


def test_margin_shows_more_and_size_scales() -> None:
    wide, tight = template(112, 0.5), template(112, 0.0)
    assert np.ptp(wide[:, 0]) == pytest.approx(np.ptp(tight[:, 0]) / 1.5)
    np.testing.assert_allclose(template(224, 0.0), 2 * tight)
    np.testing.assert_array_equal(tight, TEMPLATE)


def test_large_faces_are_averaged_and_not_sampled() -> None:
    stripes = np.zeros((1000, 1000, 3), np.uint8)
    stripes[:, ::2] = 255
    points = template(896, 0.0) + 50.0
    crop = crop_faces(stripes[None], points[None], SETTINGS)[0]
    assert abs(crop.astype(float) - 127.5).max() < 25


def points_of(scale: float, angle: float, centre: tuple[float, float]) -> np.ndarray:
    """Landmarks of a face of `scale` pixels to one of the crop, turned about its middle."""
    c, s = np.cos(angle), np.sin(angle)
    return (TEMPLATE - 56) * scale @ np.array([[c, s], [-s, c]]) + centre


@pytest.mark.parametrize("scale", [1.5, 1.9, 2.4, 3.5, 4.4, 5.5, 9.3])
def test_fine_checkerboard_becomes_grey(scale: float) -> None:
    board = np.indices((1200, 1200)).sum(axis=0) % 2 * 255
    image = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    crop = crop_faces(image[None], points_of(scale, 0.2, (600, 600))[None], SETTINGS)[0]
    assert np.abs(crop.astype(float) - 127.5).mean() < 8


@pytest.mark.parametrize("scale", [0.8, 1.7, 3.1, 4.6, 6.2, 11.0])
@pytest.mark.parametrize("centre", [(400.0, 300.0), (100.3, 20.7), (760.0, 590.0)])
def test_crop_is_the_mean_over_each_pixels_place(scale: float, centre: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (600, 800, 3), dtype=np.uint8), (0, 0), 3)
    image = cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX)
    points = points_of(scale, 0.3, centre)
    crop = crop_faces(image[None], points[None], SETTINGS)[0].astype(float)
    matrix = 16 * similarity(points, TEMPLATE)
    matrix[:, 2] += 7.5  # pixel centres
    fine = cv2.warpAffine(image, matrix, (16 * 112, 16 * 112), flags=cv2.INTER_LINEAR)
    exact = cv2.resize(fine, (112, 112), interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(crop - exact).mean() < 1.5


@pytest.mark.parametrize("scale", [1, 5])
def test_crop_beyond_the_border_is_black_there(scale: int) -> None:
    white = np.full((1, 112 * scale, 112 * scale, 3), 255, np.uint8)
    crop = crop_faces(white, (TEMPLATE[None] - (60, 0)) * scale, SETTINGS)[0]
    assert crop[:, :55].max() == 0
    assert crop[2:-2, 65:-2].min() == 255


@pytest.mark.parametrize("scale", [1.0, 6.0])
def test_face_outside_the_picture_gives_a_black_crop(scale: float) -> None:
    white = np.full((1, 50, 50, 3), 255, np.uint8)
    assert crop_faces(white, points_of(scale, 0.1, (-5000, 9))[None], SETTINGS).max() == 0


def test_no_faces_give_no_crops() -> None:
    crops = crop_faces(np.zeros((0, 9, 9, 3), np.uint8), np.zeros((0, 5, 2)), SETTINGS)
    assert crops.shape == (0, 112, 112, 3)


def test_crop_of_a_turned_face_is_upright_again(detector: FaceDetector) -> None:
    image = face_frame(320, 320, [(160, 160)], size=160)
    turn = cv2.getRotationMatrix2D((160, 160), 25, 1.0)
    images = np.stack([image, cv2.warpAffine(image, turn, (320, 320), borderValue=(128,) * 3)])
    straight, turned = (
        crop_faces(images[[i]], faces.landmarks[:1], SETTINGS)[0].astype(float)
        for i, faces in enumerate(detector.detect(images))
    )
    inner = slice(25, 90)
    both = np.stack([straight[inner, inner].ravel(), turned[inner, inner].ravel()])
    assert np.corrcoef(both)[0, 1] > 0.9
