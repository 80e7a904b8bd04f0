"""Pictures are as players show them: upright, not mirrored by mistake, with square pixels."""

from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

from features.faces.precropped import read_crops
from features.media import frames_at, probe, read_frames
from features.media.pictures.decord_reader import decord_blocks
from features.media.pictures.images import read_picture
from tests.media import set_matrix, write_video

HEIGHT, WIDTH = 64, 96
MATRICES = [
    m for m in product((-1, 0, 1), repeat=4) if sorted(map(abs, m)) == [0, 0, 1, 1] and abs(
        m[0] * m[3] - m[1] * m[2]
    )
]  # fmt: skip
ORIENTATION = 0x0112


def corners(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Red, green, blue and white quarters: tells each way of turning and mirroring apart."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2, 0] = image[: height // 2, width // 2 :, 1] = 220
    image[height // 2 :, : width // 2, 2] = 220
    image[height // 2 :, width // 2 :] = 220
    return image


def read(path: Path) -> np.ndarray:
    return np.concatenate([block.images for block in read_frames(path)])


def moved(image: np.ndarray, matrix: tuple[int, int, int, int]) -> np.ndarray:
    """The picture with each pixel put where the matrix says, one by one."""
    a, b, c, d = matrix
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    x, y = a * columns + c * rows, b * columns + d * rows
    x, y = x - x.min(), y - y.min()
    out = np.zeros((y.max() + 1, x.max() + 1, 3), np.uint8)
    out[y, x] = image
    return out


@pytest.mark.parametrize("matrix", MATRICES)
def test_the_whole_display_matrix_is_applied(
    tmp_path: Path, matrix: tuple[int, int, int, int]
) -> None:
    path = write_video(tmp_path / "v.mp4", [corners()] * 3)
    plain = read(path)
    set_matrix(path, matrix)
    shown = read(path)
    np.testing.assert_array_equal(shown[1], moved(plain[1], matrix))
    np.testing.assert_array_equal(dict(frames_at(path, [1]))[1], shown[1])
    info = probe(path)
    assert (info.height, info.width) == shown.shape[1:3]
    turned = np.rot90(plain[1][:, ::-1] if info.mirrored else plain[1], -info.rotation // 90)
    np.testing.assert_array_equal(shown[1], turned)
    assert bool(list(decord_blocks(path, 5))) == (matrix == (1, 0, 0, 1))


def test_a_matrix_of_nothing_is_left_out_of_account(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", [corners()] * 2)
    plain = read(path)
    set_matrix(path, (0, 0, 0, 0))
    np.testing.assert_array_equal(read(path), plain)


KINDS = [
    ("v.mp4", "libx264", (16, 11), 140),
    ("v.mkv", "libx264", (4, 3), 128),
    ("v.ts", "libx264", (12, 11), 105),
    ("v.mp4", "libx264", (2, 3), 64),
    ("v.mpg", "mpeg2video", (32, 27), 114),
    ("v.avi", "mpeg4", (8, 9), 85),
]


@pytest.mark.parametrize(("name", "codec", "pixel", "width"), KINDS)
def test_pixels_are_made_square(
    tmp_path: Path, name: str, codec: str, pixel: tuple[int, int], width: int
) -> None:
    path = write_video(tmp_path / name, [corners()] * 6, codec=codec, pixel=Fraction(*pixel))
    images = read(path)
    assert images.shape == (6, HEIGHT, width, 3)
    whole = corners(HEIGHT, width).astype(int)
    assert np.abs(images[2].astype(int) - whole).mean() < 12
    assert (probe(path).width, probe(path).height) == (width, HEIGHT)
    np.testing.assert_array_equal(dict(frames_at(path, [2]))[2], images[2])
    assert not list(decord_blocks(path, 5))


def test_pixels_are_made_square_before_the_picture_is_turned(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", [corners()] * 2, pixel=Fraction(4, 3))
    set_matrix(path, (0, 1, -1, 0))
    assert read(path).shape == (2, 128, HEIGHT, 3)


def test_a_pixel_of_absurd_shape_is_taken_as_square_and_that_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "v.mp4", [corners()] * 2, pixel=Fraction(20, 1))
    assert read(path).shape == (2, HEIGHT, WIDTH, 3)
    assert f"{path}: its header says that a pixel is 20 times as wide as high" in caplog.text


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "tiff"])
def test_pictures_are_upright_for_each_reader(tmp_path: Path, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"00001.{kind}"
    how = {"lossless": True} if kind == "webp" else {"quality": 95} if kind == "jpg" else {}
    Image.fromarray(corners()).save(path, exif=exif, **how)
    with Image.open(path) as picture:
        upright = np.array(ImageOps.exif_transpose(picture).convert("RGB")).astype(int)
    turned = orientation > 4
    assert upright.shape == ((WIDTH, HEIGHT, 3) if turned else (HEIGHT, WIDTH, 3))
    assert np.abs(read_picture(path) - upright).mean() < 1
    assert np.abs(read(path)[0] - upright).mean() < 6
    info = probe(path)
    assert (info.width, info.height) == upright.shape[1::-1]
    if kind in ("jpg", "png"):
        _, crops = next(read_crops([tmp_path]))
        quarters = upright[8 :: upright.shape[0] // 2, 8 :: upright.shape[1] // 2]
        assert np.abs(crops[0, 14::56, 14::56] - quarters).max() < 40


def test_an_unknown_entry_beside_a_frame_does_not_hide_the_matrix(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 2
    Image.fromarray(corners()).save(tmp_path / "a.jpg", exif=exif, quality=95)
    with av.open(str(tmp_path / "a.jpg")) as container:
        entries = next(container.decode(video=0)).side_data
    assert {entry.type.value for entry in entries} - set(range(28))  # PyAV names none of these
