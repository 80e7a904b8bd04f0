"""Pictures of any common kind as RGB bytes.

Data flow: file > Pillow > turned upright > 8 bits > on black > RGB (H, W, 3) uint8.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from features.errors import UserError

_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
"""What Pillow raises on damaged, foreign or absurdly large files."""
_WIDE = ("I;16", "I;16B", "I;16L", "I;16N", "I")
"""Pillow's modes of grey pictures with 16 bits; older ones give `I` for PNG."""


def read_picture(path: Path) -> np.ndarray:
    """Reads a picture; of an animated one, the first.

    - It is turned upright as its EXIF data say.
    - Grey becomes three equal channels; a palette is looked up.
    - 16-bit grey is divided by 257, so that 65535 is 255, and rounded; never clipped. (Pillow
      reads 16-bit colour as the upper 8 bits.)
    - What is transparent lies on black, as crops are black where the frame ends.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        UserError: If the file is absent, damaged, no picture, or has more than 16 bits a channel.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; check the path")
    try:
        with Image.open(path) as picture:
            return _to_rgb(ImageOps.exif_transpose(picture), path)
    except _UNREADABLE as error:
        raise UserError(
            f"{path}: not a picture, or damaged; give a whole JPEG, PNG, TIFF, BMP or WebP file"
        ) from error


def _to_rgb(picture: Image.Image, path: Path) -> np.ndarray:
    """(H, W, 3) uint8 of an upright picture."""
    if picture.mode in _WIDE:
        grey = np.asarray(picture)
        if grey.min() >= 0 and grey.max() <= 65535:
            return np.repeat(np.round(grey / 257).astype(np.uint8)[..., None], 3, axis=2)
    if picture.mode in (*_WIDE, "F"):
        raise UserError(f"{path}: has 32 bits a channel; save it with 8 or 16")
    if picture.has_transparency_data:
        colour = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", colour.size, "black"), colour)
    return np.array(picture.convert("RGB"))
