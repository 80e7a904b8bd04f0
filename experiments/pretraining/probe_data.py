"""Labelled faces that encoders are trained and judged on, read from the shared data.

Data flow: npz files > faces (framed, or found and aligned) > `FaceSet`. What takes long
is kept in a `Cache`.

Two views of faces: `framed` are grey (N, 48, 48) as CK+48 comes; `aligned` are RGB crops
(N, 112, 112, 3) on ArcFace's template.

Letters: N pictures.
"""

import io
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from experiments.kept import Cache
from features.errors import UserError
from features.faces.alignment import crop_faces
from features.faces.detect import FaceDetector, FaceSettings
from features.store.fingerprint import settings_hash, sha256_of

RAVDESS_TO_ABAW = {1: 0, 3: 4, 4: 5, 5: 1, 6: 3, 7: 2, 8: 6}
"""RAVDESS's emotion codes to ABAW's classes; 2 (calm) has no counterpart."""
FACES = FaceSettings(min_face=40)
"""How faces are found in the small pictures of the identity sets."""
PAD = 0.25
"""Share of a picture that is added on each side before the search: MTCNN misses cut-off faces."""


@dataclass(frozen=True)
class FaceSet:
    """Faces with labels.

    Attributes:
        faces: (N, 48, 48) framed or (N, 112, 112, 3) aligned, uint8.
        labels: (N,) expressions, or -1.
        people: (N,) identities, or -1.
        groups: (N,) pictures of one sequence, clip or take share a number.
        found: (N,) whether a face was found; a picture in which none was is used whole.
    """

    faces: np.ndarray
    labels: np.ndarray
    people: np.ndarray
    groups: np.ndarray
    found: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.faces)


def require(path: Path) -> Path:
    """The path; UserError if nothing is there."""
    if not path.exists():
        raise UserError(f"{path}: absent; give the folder of the shared data by --data DIR")
    return path


def read_ck(data: Path) -> tuple[FaceSet, np.ndarray]:
    """CK+48, framed, with ABAW's labels; and CK+'s own seven classes (N,), contempt among them."""
    path = require(data / "faces/ckplus48.npz")
    with np.load(path) as z:
        ck = FaceSet(
            faces=z["images"],
            labels=z["abaw"].astype(int),
            people=z["subjects"].astype(int),
            groups=z["sequence"].astype(int),
        )
        return ck, z["labels"].astype(int)


def read_lfw(data: Path, cache: Cache) -> FaceSet:
    """LFW with expressions, aligned; every picture is a group of its own."""
    path = require(data / "faces/lfw_expressions.npz")
    with np.load(path) as z:
        buffer, offsets = z["jpeg"].tobytes(), z["offsets"]
        labels, people = z["abaw"].astype(int), z["identity"].astype(int)
    parts = (buffer[a:b] for a, b in pairwise(offsets))
    pictures = np.stack([np.asarray(Image.open(io.BytesIO(p)).convert("RGB")) for p in parts])
    return _aligned("lfw", path, pictures, labels, people, cache)


def read_yale(data: Path, cache: Cache) -> FaceSet:
    """Yale's faces, aligned, without `normal`, which is a copy of another for nine people."""
    path = require(data / "faces/yale.npz")
    with np.load(path) as z:
        keep = z["conditions"] != "normal"
        pictures, people = z["images"][keep], z["subjects"][keep].astype(int)
    return _aligned("yale", path, pictures, np.full(len(people), -1), people, cache)


def read_orl(data: Path, cache: Cache) -> FaceSet:
    """ORL's faces, aligned."""
    path = require(data / "faces/orl.npz")
    with np.load(path) as z:
        pictures, people = z["images"], z["subjects"].astype(int)
    return _aligned("orl", path, pictures, np.full(len(people), -1), people, cache)


def read_actor(data: Path, cache: Cache) -> FaceSet:
    """Frames of RAVDESS's Actor 01, aligned; groups are the clips, whose last frame is a copy."""
    path = require(data / "ravdess/faces_actor01.npz")
    with np.load(path) as z:
        frames, codes = z["frames"][:, :-1], z["emotion_code"]
    clips, each = frames.shape[:2]
    labels = np.repeat([RAVDESS_TO_ABAW[int(code)] for code in codes], each)
    pictures = frames.reshape(-1, *frames.shape[2:])
    actor = _aligned("actor01", path, pictures, labels, np.full(len(labels), 1), cache)
    return replace(actor, groups=np.repeat(np.arange(clips), each))


def align(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Faces on ArcFace's template, and which were found; the others are the whole picture.

    Args:
        pictures: (N, H, W) or (N, H, W, 3) uint8.

    Returns:
        (N, 112, 112, 3) uint8 and (N,) bool.
    """
    detector, known = FaceDetector(FACES), np.zeros(len(pictures), bool)
    crops = np.zeros((len(pictures), FACES.size, FACES.size, 3), np.uint8)
    for number, (crop, picture) in enumerate(zip(crops, pictures, strict=True)):
        colour = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
        pad = round(PAD * max(colour.shape))
        padded = cv2.copyMakeBorder(colour, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
        found = detector.detect(padded[None])[0]
        known[number] = len(found) > 0
        if known[number]:
            crop[:] = crop_faces(padded[None], found.landmarks[:1], FACES)[0]
        else:
            crop[:] = cv2.resize(colour, (FACES.size, FACES.size))
    return crops, known


def _aligned(
    name: str,
    path: Path,
    pictures: np.ndarray,
    labels: np.ndarray,
    people: np.ndarray,
    cache: Cache,
) -> FaceSet:
    key = settings_hash([sha256_of(path), FACES.key(), PAD, len(pictures)])

    def compute() -> dict[str, np.ndarray]:
        crops, found = align(pictures)
        return {"crops": crops, "found": found}

    kept = cache.get(f"{name}-crops", key, compute)
    groups = np.arange(len(labels))
    return FaceSet(kept["crops"], labels, people, groups, kept["found"])
