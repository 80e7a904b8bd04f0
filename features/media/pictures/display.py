"""Decoded frames as they are shown. Data flow: frame > square pixels > RGB > matrix > array.

A file says beside its pictures how a player has to show them: which way is up, whether left and
right are swapped (front cameras), and how wide a pixel is for its height.
"""

import logging
from dataclasses import dataclass
from fractions import Fraction
from math import atan2, degrees
from typing import Any, Self

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter

UPRIGHT = (1, 0, 0, 1)
"""Display matrix (a, b, c, d) of pictures that are shown as they are stored."""
WIDEST_PIXEL = 8
"""Times that a pixel may be wider than high, or higher than wide; more is a fault of the header."""

log = logging.getLogger(__name__)


def _unknown_kind(cls: type[Type], value: object) -> Any:
    """A member for data beside a frame of which ffmpeg knows and PyAV does not, e.g. EXIF's.

    Without, one such entry makes all entries of the frame unreadable, the matrix among them.
    """
    member: Any = object.__new__(cls)
    member._name_, member._value_ = f"KIND_{value}", value
    return member


Type._missing_ = classmethod(_unknown_kind)  # type: ignore[assignment]


@dataclass(frozen=True)
class Display:
    """How the frames of a stream are shown.

    Attributes:
        width: Pixels of a frame with square pixels, before the matrix is applied.
        height: Pixels, likewise.
        matrix: (a, b, c, d), each -1, 0 or 1: the pixel at (x, y) is shown at (a x + c y,
            b x + d y), with x to the right and y down (ISO 14496-12, 6.2.2).
    """

    width: int
    height: int
    matrix: tuple[int, int, int, int] = UPRIGHT

    @classmethod
    def of(cls, stream: av.VideoStream, first: av.VideoFrame) -> Self:
        """As the stream and its first frame say; what makes no sense is left out of account."""
        codec = stream.codec_context
        pixel = stream.sample_aspect_ratio or codec.sample_aspect_ratio or Fraction(1)
        if not Fraction(1, WIDEST_PIXEL) <= pixel <= WIDEST_PIXEL:
            log.warning(
                "%s: its header says that a pixel is %s times as wide as high; taken as square",
                stream.container.name,
                pixel,
            )
            pixel = Fraction(1)
        return cls(max(1, round(first.width * pixel)), first.height, _matrix(first))

    @property
    def turned(self) -> bool:
        """Whether what is stored as a row is shown as a column."""
        return self.matrix[0] == 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, as shown."""
        return (self.height, self.width) if self.turned else (self.width, self.height)

    @property
    def mirrored(self) -> bool:
        """Whether left and right are swapped, before anything is turned."""
        a, b, c, d = self.matrix
        return a * d - b * c < 0

    @property
    def rotation(self) -> int:
        """Degrees clockwise by which frames are turned, after mirroring: 0, 90, 180 or 270."""
        a, b, _, _ = self.matrix
        side = -1 if self.mirrored else 1
        return round(degrees(atan2(side * b, side * a))) % 360

    def fits(self, frame: av.VideoFrame) -> bool:
        """Whether a frame is shown as it is stored."""
        return self == Display(frame.width, frame.height)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """The view of an array (height, width, 3) that the matrix gives."""
        a, b, c, d = self.matrix
        shown = image.swapaxes(0, 1) if self.turned else image
        return shown[:: b + d, :: a + c]


class Painter:
    """Puts decoded frames into arrays as RGB, as they are shown and all of the size of the first.

    ffmpeg's command line scales likewise where the resolution changes in mid-stream.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._reformatter = VideoReformatter()  # one for all: making it costs more than its work
        self.shape = (*display.size[::-1], 3)

    def painted(self, frame: av.VideoFrame) -> np.ndarray:
        """A frame as an array of its own."""
        image = np.empty(self.shape, np.uint8)
        self.paint(frame, image)
        return image

    def paint(self, frame: av.VideoFrame, image: np.ndarray) -> None:
        """Writes a frame into `image`, `shape` uint8."""
        width, height = self._display.width, self._display.height
        # Without a number of threads swscale takes one a core, for every small picture.
        rgb = self._reformatter.reformat(frame, width, height, "rgb24", threads=1)
        image[:] = self._display.apply(rgb.to_ndarray())


def _matrix(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """The frame's display matrix without scale and shift, to the nearest quarter turn."""
    beside: Any = frame.side_data  # PyAV says that it goes over names, and it goes over entries
    data = next((bytes(one) for one in beside if one.type is Type.DISPLAYMATRIX), None)
    if data is None:
        return UPRIGHT
    a, b, _, c, d = np.frombuffer(data, "<i4")[:5].astype(float)
    if a * d - b * c == 0:
        return UPRIGHT
    sign = np.sign([a, b, c, d]).astype(int)
    keep = abs(a) + abs(d) >= abs(b) + abs(c)
    one, two, three, four = sign * ([1, 0, 0, 1] if keep else [0, 1, 1, 0])
    return int(one), int(two), int(three), int(four)
