"""Pictures of every common kind as RGB bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from features.errors import UserError
from features.faces.precropped import read_crops
from features.media.pictures.images import read_picture

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def saved(path: Path, picture: Image.Image, **options: Any) -> Path:
    picture.save(path, **options)
    return path


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    read = read_picture(saved(tmp_path / "a.png", Image.fromarray(RAMP)))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, np.stack([RAMP] * 3, axis=2))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bit_grey_is_scaled_and_not_clipped(suffix: str, tmp_path: Path) -> None:
    picture = Image.fromarray(RAMP.astype(np.uint16) * 257)
    read = read_picture(saved(tmp_path / f"a{suffix}", picture))
    np.testing.assert_array_equal(read[..., 1], RAMP)
    dark = Image.fromarray(np.full((4, 4), 300, np.uint16))
    assert read_picture(saved(tmp_path / f"b{suffix}", dark)).max() == 1


def test_crops_of_16_bits_are_scaled_too(tmp_path: Path) -> None:
    wide = np.full((112, 112), 257 * 90, np.uint16)
    saved(tmp_path / "00001.png", Image.fromarray(wide))
    ((_, images),) = read_crops([tmp_path])
    assert np.unique(images).tolist() == [90]


@pytest.mark.parametrize("kind", ["I", "F"])
def test_32_bits_a_channel_are_refused(kind: str, tmp_path: Path) -> None:
    picture = Image.new(kind, (4, 4), 70_000)
    with pytest.raises(UserError, match=r"a\.tiff: has 32 bits a channel"):
        read_picture(saved(tmp_path / "a.tiff", picture))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_lie_on_black(mode: str, tmp_path: Path) -> None:
    picture = Image.new("RGBA", (3, 1), (200, 200, 200, 255))
    picture.putpixel((1, 0), (200, 200, 200, 0))
    picture.putpixel((2, 0), (200, 200, 200, 128))
    read = read_picture(saved(tmp_path / "a.png", picture.convert(mode)))
    assert read.shape == (1, 3, 3)
    np.testing.assert_allclose(read[0, :, 0], [200, 0, 100], atol=1)


def test_a_palette_is_looked_up_with_its_transparent_colour(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    whole = read_picture(saved(tmp_path / "a.png", picture))
    assert whole.tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]
    holed = read_picture(saved(tmp_path / "b.png", picture, transparency=1))
    assert holed.tolist() == [[[255, 0, 0], [0, 0, 0], [0, 0, 255]]]


@pytest.mark.parametrize(("mode", "value"), [("1", 1), ("CMYK", (0, 0, 0, 0)), ("YCbCr", 255)])
def test_other_kinds_of_colour_become_rgb(mode: str, value: Any, tmp_path: Path) -> None:
    picture = Image.new("RGB", (8, 8), "white").convert(mode)
    read = read_picture(saved(tmp_path / "a.tiff", picture))
    assert read.shape == (8, 8, 3)
    assert read.min() >= 254


def test_exif_turns_the_picture_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    picture = Image.new("RGB", (32, 16), "black")
    picture.paste("white", (0, 0, 8, 16))
    read = read_picture(saved(tmp_path / "a.png", picture, exif=exif))
    assert read.shape == (32, 16, 3)
    assert (read[:8] == 255).all()
    assert (read[8:] == 0).all()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff"])
def test_damaged_pictures_are_one_line_wherever_they_end(suffix: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    path = saved(tmp_path / f"a{suffix}", Image.fromarray(noise))
    content = path.read_bytes()
    for share in np.linspace(0, 0.9, 10):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(UserError, match="not a picture, or damaged") as error:
            read_picture(path)
        assert "\n" not in str(error.value)


def test_a_picture_of_absurd_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(UserError, match="not a picture, or damaged"):
        read_picture(saved(tmp_path / "a.png", Image.new("L", (10, 10))))
