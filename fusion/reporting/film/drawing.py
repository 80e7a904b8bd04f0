"""What is drawn into a picture of a clip: boxes, what is said, a small timeline; or blurred faces.

Data flow: picture + people at one frame > picture. Places are pixels of the upright picture.

Letters: F frames of the clip, H and W pixels.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fusion.data.predictions import FramePredictions
from fusion.measuring.readings import BOX
from fusion.measuring.words import while_spoken
from fusion.tasks.measuring.measures import Measure

PALETTE = ((86, 180, 233), (230, 159, 0), (0, 158, 115), (240, 228, 66), (213, 94, 0))
"""Okabe and Ito's, a colour a person."""
STRIP = 0.16
"""Height of the timeline, as a share of the picture's."""
ROOM = 1.3
"""Sides of what is blurred, in sides of the box: hair and chin are told by too."""
HELD = 1.0
"""Seconds for which a face that is lost is still blurred where it was."""
CELLS = 8
"""Squares that are left of a blurred face, along its width."""

Curve = tuple[str, np.ndarray]


@dataclass(frozen=True)
class Shown:
    """A person as drawn.

    Attributes:
        name: Told above the box.
        times: (F,) seconds.
        boxes: (F, 4) x0 y0 x1 y1, NaN where there is no face.
        lines: (F,) words under the name.
        curves: Up to two names with (F,) values from 0 to 1, for the timeline.
        colour: RGB.
    """

    name: str
    times: np.ndarray
    boxes: np.ndarray
    lines: list[str]
    curves: list[Curve]
    colour: tuple[int, int, int]


def shown(people: list[FramePredictions]) -> list[Shown]:
    """How people are drawn; nobody's box is known without the measure `box`."""
    return [_shown(one, PALETTE[i % len(PALETTE)]) for i, one in enumerate(people)]


def _shown(said: FramePredictions, colour: tuple[int, int, int]) -> Shown:
    boxes = np.full((len(said), 4), np.nan, np.float32)
    if BOX in said.measures:
        boxes = said.measures[BOX].values
    words: list[list[str]] = []
    curves: list[Curve] = []
    for name, task in said.tasks.items():
        values = said.values[name]
        if task.kind == "classes":
            best = values.argmax(axis=1)
            words.append([f"{task.names[b]} {v[b]:.0%}" for b, v in zip(best, values, strict=True)])
        elif task.kind == "values" and len(curves) < 2:
            low, high = task.value_range()
            for column, row in zip(task.names, values.T, strict=True):
                told = while_spoken(column, row, said)
                curves.append((column, (told - low) / (high - low)))
                words.append(["" if np.isnan(v) else f"{column} {v:+.2f}" for v in told])
    for measure in said.measures.values():
        if all(column.origin == "derived" for column in measure.columns):
            curves = [*_scaled(measure), *curves]
            words += [
                ["" if np.isnan(v) else f"{c.name} {v:+.2f}" for v in row]
                for c, row in zip(measure.columns, measure.values.T, strict=True)
            ]
    lines = ["\n".join(filter(None, row)) for row in zip(*words, strict=True)] if words else []
    return Shown(said.id, said.times, boxes, lines or [""] * len(said), curves[:2], colour)


def _scaled(measure: Measure) -> list[Curve]:
    """Columns whose range is known, from 0 to 1."""
    return [
        (column.name, (values - column.low) / (column.high - column.low))
        for column, values in zip(measure.columns, measure.values.T, strict=True)
        if column.low is not None and column.high is not None
    ]


def annotate(picture: np.ndarray, people: list[Shown], frame: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 with everybody in it."""
    picture = picture.copy()
    size = max(11, min(picture.shape[:2]) // 36)
    for person in people:
        if frame < len(person.boxes) and not np.isnan(person.boxes[frame]).any():
            x0, y0, x1, y1 = (round(float(v)) for v in person.boxes[frame])
            width = max(1, picture.shape[0] // 240)
            cv2.rectangle(picture, (x0, y0), (x1, y1), person.colour, width, cv2.LINE_AA)
            _paste(picture, f"{person.name}\n{person.lines[frame]}".strip(), (x0, y1 + width), size)
    return picture


def strip(people: list[Shown], width: int, height: int) -> tuple[np.ndarray, float, float]:
    """The timeline of all, (H, W, 3) uint8, with its first and last second."""
    image = np.full((height, width, 3), 24, np.uint8)
    known = [one for one in people if len(one.times)]
    start = min((float(one.times[0]) for one in known), default=0.0)
    end = max((float(one.times[-1]) for one in known), default=1.0)
    for one in known:
        x = (one.times - start) / max(end - start, 1e-9) * (width - 1)
        for number, (_, curve) in enumerate(one.curves):
            y = (1 - np.clip(np.nan_to_num(curve, nan=0.5), 0, 1)) * (height - 5) + 2
            shade = tuple(int(c * (1.0 if number == 0 else 0.55)) for c in one.colour)
            points = np.stack([x, y], 1).round().astype(np.int32)
            cv2.polylines(image, [points], False, shade, 1, cv2.LINE_AA)
    names = ", ".join(name for name, _ in known[0].curves) if known else ""
    if names:
        _paste(image, f"{names} (the second darker)", (0, 0), max(9, height // 8))
    return image, start, end


def blurred(picture: np.ndarray, boxes: list[np.ndarray]) -> np.ndarray:
    """A picture in which the faces in these boxes (4,) cannot be made out."""
    picture = picture.copy()
    height, width = picture.shape[:2]
    for x0, y0, x1, y1 in boxes:
        middle, reach = ((x0 + x1) / 2, (y0 + y1) / 2), ROOM / 2 * np.array([x1 - x0, y1 - y0])
        left, top = (max(0, int(m - r)) for m, r in zip(middle, reach, strict=True))
        right, low = int(min(width, middle[0] + reach[0])), int(min(height, middle[1] + reach[1]))
        if right > left and low > top:
            part = picture[top:low, left:right]
            cells = (CELLS, max(1, round(CELLS * part.shape[0] / part.shape[1])))
            few = cv2.resize(part, cells, interpolation=cv2.INTER_AREA)
            picture[top:low, left:right] = cv2.resize(
                few, (right - left, low - top), interpolation=cv2.INTER_NEAREST
            )
    return picture


def held(person: Shown) -> np.ndarray:
    """(F, 4) boxes, where a face that is lost stays for `HELD` seconds, before and after."""
    boxes = person.boxes.copy()
    known = np.flatnonzero(~np.isnan(boxes).any(axis=1))
    if not len(known):
        return boxes
    for row in np.flatnonzero(np.isnan(boxes).any(axis=1)):
        nearest = known[np.abs(person.times[known] - person.times[row]).argmin()]
        if abs(person.times[nearest] - person.times[row]) <= HELD:
            boxes[row] = boxes[nearest]
    return boxes


def _paste(picture: np.ndarray, text: str, place: tuple[int, int], size: int) -> None:
    """Writes text on a dark ground at a place, moved as far as it needs to be seen."""
    label = _label(text, size)
    height, width = picture.shape[:2]
    part = label[:height, :width]
    left = max(0, min(place[0], width - part.shape[1]))
    top = max(0, min(place[1], height - part.shape[0]))
    area = picture[top : top + part.shape[0], left : left + part.shape[1]]
    area[:] = np.where(part > 40, part, area // 3)


@lru_cache(512)
def _label(text: str, size: int) -> np.ndarray:
    """Text as white on black, (H, W, 3) uint8."""
    font = _font(size)
    probe = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    left, top, right, bottom = probe.multiline_textbbox((0, 0), text, font=font)
    image = Image.new("RGB", (int(right - left) + 8, int(bottom - top) + 8))
    ImageDraw.Draw(image).multiline_text((4 - left, 4 - top), text, font=font, fill="white")
    return np.asarray(image)


@lru_cache(8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu, which comes with matplotlib and has most scripts."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
    return ImageFont.truetype(str(path), size)
