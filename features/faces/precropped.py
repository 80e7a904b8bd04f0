"""Ready-made crops that a data set brings. Data flow: folders of pictures > blocks of crops.

Layout (ABAW): `cropped_aligned/ID/00001.jpg`, and the same below `cropped_aligned_new_50_vids`;
the number is the frame, from 1, and a frame without a face has no file.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from features.errors import UserError
from features.faces.alignment import crop_faces, template
from features.faces.detect import FaceSettings
from features.faces.person_track import Person, absent
from features.media import MediaError
from features.media.folders import walk
from features.media.pictures.images import read_picture

FOLDERS = ("cropped_aligned", "cropped_aligned_new_50_vids")
"""Names of the folders that hold one folder per id; letter case is ignored."""
SUFFIXES = (".jpg", ".jpeg", ".png")
SIZE = 112
"""Side of the crops in pixels; pictures of another size are scaled."""

log = logging.getLogger(__name__)


def find_crops(root: Path) -> dict[str, list[Path]]:
    """Folders of crops at or below `root`, by id; those of both parents are merged."""
    found: dict[str, list[Path]] = {}
    for folder in _parents(root):
        for child in _folders(folder):
            found.setdefault(child.name, []).append(child)
    return found


def crop_files(folders: Sequence[Path]) -> dict[int, Path]:
    """Frame number (from 1) to picture, rising; the first folder wins where both have a frame."""
    found: dict[int, Path] = {}
    for folder in folders:
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in SUFFIXES and path.stem.isdecimal() and int(path.stem) > 0:
                found.setdefault(int(path.stem), path)
    return dict(sorted(found.items()))


def crop_numbers(folders: Sequence[Path]) -> np.ndarray:
    """Frames (N,) int64 that have a picture, from 1; the last tells how many frames there are."""
    return np.array(list(crop_files(folders)), np.int64)


def crop_person(name: str, numbers: np.ndarray, frames: int) -> Person:
    """Somebody who is seen at the frames `numbers` (from 1) out of `frames`.

    The box is the whole crop and the landmarks lie where aligned crops have them.
    """
    person = absent(name, frames)
    rows = numbers[numbers <= frames] - 1
    person.boxes[rows] = (0, 0, SIZE, SIZE)
    person.landmarks[rows] = template(SIZE, 0.0)
    person.score[rows] = 1.0
    person.found[rows] = True
    return person


def _warn(path: Path) -> None:
    log.warning("%s: unreadable picture; its frame counts as one without a face", path)


def read_crops(
    folders: Sequence[Path], batch: int = 64, on_unreadable: Callable[[Path], object] = _warn
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Reads the crops of one id.

    Args:
        folders: Its folders, as `find_crops` gives them.
        batch: Most pictures at a time.
        on_unreadable: Is told of each picture that cannot be read and is left out.

    Yields:
        Frame numbers (N,) int64, from 1 and rising, and pictures (N, 112, 112, 3) uint8 RGB.

    Raises:
        MediaError: At the end, if there are pictures and none could be read.
    """
    files = iter(crop_files(folders).items())
    seen = read = 0
    while part := list(islice(files, batch)):
        pictures = {number: _read_crop(path) for number, path in part}
        for number, path in part:
            if pictures[number] is None:
                on_unreadable(path)
        good = {number: image for number, image in pictures.items() if image is not None}
        seen, read = seen + len(part), read + len(good)
        if good:
            yield np.array(list(good), np.int64), np.stack(list(good.values()))
    if seen and not read:
        lost = "its one picture cannot" if seen == 1 else f"none of its {seen} pictures can"
        raise MediaError(f"{folders[0]}: {lost} be read; replace {'it' if seen == 1 else 'them'}")


def framed(crops: np.ndarray, settings: FaceSettings) -> np.ndarray:
    """Close crops (N, 112, 112, 3) in the size and with the margin that encoders are told.

    What a crop does not show of the margin is black, as beyond the border of a video.
    """
    if (settings.size, settings.margin) == (SIZE, 0.0):
        return crops
    landmarks = np.repeat(template(SIZE, 0.0)[None], len(crops), axis=0)
    return crop_faces(crops, landmarks, settings)


def as_crop(picture: np.ndarray) -> np.ndarray:
    """A whole picture (H, W, 3) uint8, scaled to a crop (112, 112, 3); not cut, so perhaps bent."""
    if picture.shape[:2] == (SIZE, SIZE):
        return picture
    crop: np.ndarray = cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return crop


def _read_crop(path: Path) -> np.ndarray | None:
    """(112, 112, 3) uint8 RGB; None if the file is damaged or no picture."""
    try:
        return as_crop(read_picture(path))
    except UserError:
        return None


def _parents(root: Path) -> list[Path]:
    """Folders named in `FOLDERS` at or below `root`; none is looked for inside an id's folder."""
    if root.name.lower() in FOLDERS:
        return [root]
    found: list[Path] = []
    for folder, children, _ in walk(root, on_unreadable=lambda *_: None):  # others name them
        named = sorted(child for child in children if child.lower() in FOLDERS)
        found.extend(folder / child for child in named)
        children[:] = [c for c in children if c not in named and not c.startswith(".")]
    return sorted(found, key=lambda path: (path.name.lower(), path))


def _folders(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
