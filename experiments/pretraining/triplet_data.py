"""Triplets of faces for `experiments.pretraining.train_deviation`.

Data flow: pictures with classes, or a CSV of compared triplets > faces + two sides, training and
held out > triplets (T, 3) of indices (anchor, positive, negative) with their margins.

Pictures of one group (a subject if known, else exact copies) lie on one side.
"""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import torch
from torch import Tensor

from experiments.pretraining.fer2013 import read_train
from experiments.pretraining.triplets import ONE_CLASS_MARGIN, OTHER_MARGIN, draw_triplets
from features.encoders.visual.preprocessing import FaceInput
from features.errors import UserError
from features.media.pictures.images import read_picture

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_COLUMNS_PER_IMAGE = 5
_TYPE_COLUMN = 15
_TYPES = ("ONE_CLASS_TRIPLET", "TWO_CLASS_TRIPLET", "THREE_CLASS_TRIPLET")
_WHOLE = (0.0, 1.0, 0.0, 1.0)


@dataclass(frozen=True)
class Place:
    """A face in a file; the box is left, right, top, bottom as shares of the picture (FEC)."""

    path: Path
    box: tuple[float, ...] = _WHOLE

    def read(self) -> np.ndarray:
        """The face (h, w, 3) uint8 RGB; raises UserError if the picture cannot be read."""
        picture = read_picture(self.path)
        height, width = picture.shape[:2]
        left, right, top, bottom = np.multiply(self.box, [width, width, height, height]).round()
        face = picture[max(0, int(top)) : int(bottom), max(0, int(left)) : int(right)]
        if face.size == 0:
            raise UserError(f"{self.path}: the box {self.box} is empty; mend the row in the CSV")
        return face


Faces = Sequence[Place] | np.ndarray
"""Faces in files, or in memory (M, H, W, 3) uint8."""


def load_faces(faces: Faces, picks: Tensor, view: FaceInput) -> Tensor:
    """The picked faces as a network's input (N, C, h, w)."""
    if isinstance(faces, np.ndarray):
        return view.batch(faces[picks.numpy()])
    with ThreadPoolExecutor(4) as pool:
        read = pool.map(lambda pick: view.batch(faces[pick].read()[None]), picks.tolist())
        return torch.cat(list(read))


@dataclass(frozen=True)
class TripletData:
    """What the training needs.

    Attributes:
        faces: All faces.
        draw: From chance and a count to triplets (T, 3) of the training side and margins (T,).
        held_out: Triplets (T, 3) of the other side.
        about: The data in words.
    """

    faces: Faces
    draw: Callable[[torch.Generator, int], tuple[Tensor, Tensor]]
    held_out: Tensor
    about: str


def is_held_out(group: str, share: float) -> bool:
    """Whether a group is held out: about that share of groups, the same in each run."""
    digest = hashlib.sha256(group.encode()).digest()
    return int.from_bytes(digest[:6], "big") < share * 2**48


def from_pictures(path: Path, share: float, subject: str = "", count: int = 3000) -> TripletData:
    """Triplets of labelled pictures: two of a class, one of another.

    Args:
        path: Folder of class-named folders of pictures; or folder with the `train.npz` of FER2013
            (see experiments/pretraining/fer2013.py); or `.npz` with `images` (M, H, W[, 3]) uint8,
            `labels`
            (M,) and, if known, `subjects` (M,).
        share: Of the groups to hold out.
        subject: Regular expression that finds the subject in a file's name; its first group if any.
        count: Held-out triplets.

    Raises:
        UserError: If there are no pictures, or one side has no triplets.
    """
    faces: Faces
    if path.suffix == ".npz":
        faces, labels, groups = _read_npz(path)
    elif (path / "train.npz").is_file():
        pictures, labels = read_train(path)
        faces = np.repeat(pictures[:, 0].numpy()[..., None], 3, axis=3)
        groups = [_digest(face.tobytes()) for face in faces]
    else:
        faces, labels, groups = _read_folder(path, subject)
    aside = torch.tensor([is_held_out(group, share) for group in groups])
    sides = [(~aside).nonzero()[:, 0], aside.nonzero()[:, 0]]

    def draw(side: int, generator: torch.Generator, number: int) -> Tensor:
        where = ("training", "held-out")[side]
        try:
            return sides[side][draw_triplets(labels[sides[side]], generator, number)]
        except UserError as error:
            raise UserError(
                f"{path}: {where} side: {error}; give more, or another share"
            ) from error

    def draw_training(generator: torch.Generator, number: int) -> tuple[Tensor, Tensor]:
        return draw(0, generator, number), torch.full((number,), OTHER_MARGIN)

    held_out = draw(1, torch.Generator().manual_seed(0), count)
    about = f"{len(sides[0])} labelled pictures of {path.name}"
    return TripletData(faces, draw_training, held_out, about)


def from_csv(path: Path, images: Path, share: float) -> TripletData:
    """Triplets of a CSV in the layout of the FEC data set, without a header.

    A row has three times: image, then left, right, top, bottom of the face as shares of the
    picture's size; then the type of the triplet; then pairs of annotator and vote, where a vote
    (1, 2 or 3) is the image that is unlike the two others. Kept are triplets on which more than
    half agree and whose pictures are below `images`: by relative path, or the file's name of a URL.
    Triplets with a picture on each side are left out.

    Raises:
        UserError: For a row that cannot be understood, or if one side has no triplets.
    """
    numbers: dict[Place, int] = {}
    triplets, margins = [], []
    rows = absent = 0
    with path.open(newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.reader(file), 1):
            if not row:
                continue
            rows += 1
            places, margin, odd = _parse(path, line, row, images)
            if not all(place.path.is_file() for place in places):
                absent += 1
            elif odd is not None:
                places.append(places.pop(odd))
                triplets.append([numbers.setdefault(place, len(numbers)) for place in places])
                margins.append(margin)
    faces = list(numbers)
    aside = torch.tensor([is_held_out(str(face.path), share) for face in faces])
    all_triplets, all_margins = torch.tensor(triplets).reshape(-1, 3), torch.tensor(margins)
    held = aside[all_triplets].sum(1) if triplets else torch.zeros(0)
    training, held_out = (held == 0).nonzero()[:, 0], all_triplets[held == 3]
    if len(training) == 0 or len(held_out) == 0:
        raise UserError(
            f"{path}: {len(training)} triplets to train on, {len(held_out)} held out"
            f" ({absent} of {rows} lack a picture below {images}); give more, or another share"
        )

    def draw(generator: torch.Generator, number: int) -> tuple[Tensor, Tensor]:
        order = training[torch.randperm(len(training), generator=generator)[:number]]
        return all_triplets[order], all_margins[order]

    return TripletData(faces, draw, held_out, f"{len(training)} triplets of {path.name}")


def _parse(
    path: Path, line: int, row: list[str], images: Path
) -> tuple[list[Place], float, int | None]:
    """Three faces, margin, and which is odd: None without a majority."""
    try:
        places = [
            Place(images / _file(row[at]), tuple(float(side) for side in row[at + 1 : at + 5]))
            for at in range(0, _TYPE_COLUMN, _COLUMNS_PER_IMAGE)
        ]
        kind = _TYPES.index(row[_TYPE_COLUMN].strip())
        votes = [int(vote) for vote in row[_TYPE_COLUMN + 2 :: 2] if vote.strip()]
        odd, agreed = Counter(votes).most_common(1)[0]
        if not set(votes) <= {1, 2, 3}:
            raise ValueError("a vote must be 1, 2 or 3")
    except (ValueError, IndexError) as error:
        raise UserError(f"{path}:{line}: not a row of FEC's layout ({error}); mend it") from error
    margin = ONE_CLASS_MARGIN if kind == 0 else OTHER_MARGIN
    return places, margin, odd - 1 if 2 * agreed > len(votes) else None


def _file(reference: str) -> str:
    """Path below the folder of images."""
    url = urlparse(reference.strip())
    return Path(url.path).name if url.scheme in ("http", "https") else reference.strip()


def _read_npz(path: Path) -> tuple[np.ndarray, Tensor, list[str]]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; give one by --pictures")
    try:
        with np.load(path, allow_pickle=False) as data:
            images, labels = data["images"], np.unique(data["labels"], return_inverse=True)[1]
            subjects = data["subjects"].tolist() if "subjects" in data else None
    except (KeyError, ValueError, OSError) as error:
        raise UserError(f"{path}: needs arrays 'images' and 'labels' ({error})") from error
    if images.ndim == 3:
        images = np.repeat(images[..., None], 3, axis=3)
    groups = subjects or [_digest(image.tobytes()) for image in images]
    return images, torch.from_numpy(labels), [str(group) for group in groups]


def _read_folder(folder: Path, subject: str) -> tuple[list[Place], Tensor, list[str]]:
    classes = (
        sorted(child for child in folder.iterdir() if child.is_dir()) if folder.is_dir() else []
    )
    files = [
        (number, path)
        for number, child in enumerate(classes)
        for path in sorted(child.rglob("*"))
        if path.suffix.lower() in SUFFIXES
    ]
    if not files:
        raise UserError(f"{folder}: no class-named folders of pictures; give others by --pictures")
    labels = torch.tensor([number for number, _ in files])
    return [Place(path) for _, path in files], labels, [_group(path, subject) for _, path in files]


def _group(path: Path, subject: str) -> str:
    if not subject:
        return _digest(path.read_bytes())
    if (found := re.search(subject, path.name)) is None:
        raise UserError(f"{path}: --subject '{subject}' finds no subject in the name; mend it")
    return found[found.re.groups and 1]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
