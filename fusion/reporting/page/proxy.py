"""A small copy of a clip that every browser plays: 480 lines of H.264, and AAC.

Data flow: frames as shown with their times + sound with its offset > mp4 on the page's clock.
"""

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from features.media import read_frames, read_sound
from fusion.reporting.film.overlay import RATE, write_clip, write_sound

LINES = 480
"""Shorter side in pixels at most."""


def write_proxy(media: Path, copy: Path, picture: bool) -> None:
    """Writes the copy; its second 0 is the first frame, or the first sample without pictures.

    Raises:
        MediaError: If the file cannot be read.
    """
    with av.open(str(copy), "w", options={"movflags": "faststart"}) as container:
        if picture:
            write_clip(container, media, _frames(media))
        elif sound := read_sound(media, RATE):
            audio = container.add_stream("aac", rate=RATE, layout="mono")
            write_sound(container, audio, sound.blocks, sound.offset)


def _frames(media: Path) -> Iterator[tuple[np.ndarray, float]]:
    """Small pictures of even sides, with their seconds."""
    for block in read_frames(media):
        height, width = block.images.shape[1:3]
        share = min(1.0, LINES / min(height, width))
        size = tuple(max(2, round(side * share / 2) * 2) for side in (width, height))
        for image, time in zip(block.images, block.times, strict=True):
            yield cv2.resize(image, size, interpolation=cv2.INTER_AREA), float(time)
