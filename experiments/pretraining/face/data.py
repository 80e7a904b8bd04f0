"""Faces that the `face` encoder is trained on, with whatever is known of each.

Data flow: FER2013 with FER+ votes, GENKI-4K, LFW, Yale, ORL > grey 48x48 in FER2013's framing
> labels, NaN where there is none > the packaged `expression` net's reading of all, kept on disk.

CK+ and RAVDESS's actor 01 are not among them: they are what the encoder is judged on. Of every
other source some are held out: FER2013's test part, people of LFW, Yale and ORL, the last tenths
of GENKI-4K's smiles and of its other faces (for scores), and 1,400 pictures of FER2013's training
part (for what is calibrated).

Letters: N pictures.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from experiments.kept import Cache
from experiments.pretraining.probe_data import (
    FaceSet,
    read_lfw,
    read_orl,
    read_yale,
    require,
)
from features.encoders.visual.expression import FACE_SIZE, framing, reframed
from features.encoders.visual.expression import WEIGHTS as EXPRESSION
from features.encoders.visual.expression_net import load_expression_net, scale_grey
from features.store.fingerprint import sha256_of

TRAIN, CALIBRATE, TEST = 0, 1, 2
CALIBRATION_PICTURES = 1400
"""Of FER2013's training part."""
LEAST_VOTES, VOTES = 5, (0, 4, 5, 6, 1, 3, 2, 7)
"""People of FER+ who must have seen one of the eight expressions; and FER+'s class of each of
ABAW's eight, where its contempt is Other."""
LEAST_PRESENCE = 0.5
"""Blendshapes of faces in which the teacher's mesh is less sure are dropped."""
GENKI_TEST = 0.3
"""Share of each class."""
LFW_TEST, YALE_TEST, ORL_TEST = 5, 3, 4
"""Every so many people are held out."""
SHAPES = "faces/blendshapes/{}.npz"
FILES = {
    "train": ("fer2013/train.npz", "fer2013/ferplus_votes.npz", SHAPES.format("fer2013_train")),
    "test": ("fer2013/test.npz", "fer2013/ferplus_votes.npz", SHAPES.format("fer2013_test")),
    "genki": ("faces/genki4k_half.npz",),
    "lfw": ("faces/lfw_expressions.npz", SHAPES.format("lfw_expressions")),
    "yale": ("faces/yale.npz", SHAPES.format("yale")),
    "orl": ("faces/orl.npz", SHAPES.format("orl")),
}


@dataclass
class Faces:
    """Pictures and what is known of them.

    Attributes:
        images: (N, 48, 48) uint8.
        source: (N,) `fer`, `genki`, `lfw`, `yale` or `orl`.
        part: (N,) `TRAIN`, `CALIBRATE` or `TEST`.
        person: (N,) number of the person within the source; -1: not known.
        label: (N,) FER2013's class in ABAW's order, -1: none.
        votes: (N, 8) shares of FER+'s votes in ABAW's order, NaN: none.
        blendshapes: (N, 52), NaN: none.
        smile: (N,) 0, 1 or NaN.
        pose: (N, 3) yaw, pitch, roll in degrees, or NaN.
        copy: (N,) whether a test picture is also a training picture.
        teacher: (N, 7) log probabilities of the `expression` net.
        hint: (N, 256) its embedding.
    """

    images: np.ndarray
    source: np.ndarray
    part: np.ndarray
    person: np.ndarray
    label: np.ndarray
    votes: np.ndarray
    blendshapes: np.ndarray
    smile: np.ndarray
    pose: np.ndarray
    copy: np.ndarray
    teacher: np.ndarray
    hint: np.ndarray

    def __len__(self) -> int:
        return len(self.images)

    def take(self, chosen: np.ndarray) -> "Faces":
        """The pictures at these indices or where a mask is true."""
        return Faces(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


def read_faces(data: Path, cache: Cache) -> Faces:
    """All faces, from the cache if they were read before."""

    def part(name: str, read: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        key = [sha256_of(*(require(data / file) for file in FILES[name])), sha256_of(EXPRESSION)]
        return cache.get(f"face-{name}", key, lambda: _taught(read()))

    parts = [
        part("train", lambda: read_fer(data, train=True)),
        part("test", lambda: read_fer(data, train=False)),
        part("genki", lambda: _genki(data)),
        part("lfw", lambda: _people(data, "lfw", read_lfw(data, cache), LFW_TEST)),
        part("yale", lambda: _people(data, "yale", read_yale(data, cache), YALE_TEST)),
        part("orl", lambda: _people(data, "orl", read_orl(data, cache), ORL_TEST)),
    ]
    return Faces(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})


@torch.inference_mode()
def _taught(faces: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """With what the `expression` net, and its mirror image's reading, make of the pictures."""
    net, pictures = load_expression_net(EXPRESSION), torch.from_numpy(faces["images"][:, None])
    net = net.to(memory_format=torch.channels_last)
    probs, hints = [], []
    for some in pictures.split(16):
        both = scale_grey(torch.cat([some, some.flip(3)]))
        with torch.autocast("cpu", torch.bfloat16):
            embedding, logits = net(both.contiguous(memory_format=torch.channels_last))
        probs.append(logits.float().softmax(1).view(2, len(some), -1).mean(0))
        hints.append(embedding.float().view(2, len(some), -1).mean(0))
    return faces | {
        "teacher": torch.cat(probs).clamp(min=1e-6).log().numpy(),
        "hint": torch.cat(hints).half().numpy(),
    }


def _blank(
    images: np.ndarray, source: str, blendshapes: Path, rows: np.ndarray | slice = slice(None)
) -> dict[str, np.ndarray]:
    """Pictures (N, 48, 48) with these rows of blendshapes, of which nothing else is known."""
    n = len(images)
    with np.load(blendshapes) as z:
        shapes = z["blendshapes"].astype(np.float32)
        shapes[~(z["presence"].astype(np.float32) >= LEAST_PRESENCE)] = np.nan
        shapes = shapes[rows]
    return {
        "images": images,
        "source": np.full(n, source, "<U5"),
        "part": np.full(n, TRAIN),
        "person": np.full(n, -1),
        "label": np.full(n, -1),
        "votes": np.full((n, 8), np.nan, np.float32),
        "blendshapes": shapes,
        "smile": np.full(n, np.nan, np.float32),
        "pose": np.full((n, 3), np.nan, np.float32),
        "copy": np.zeros(n, bool),
    }


def read_fer(data: Path, *, train: bool) -> dict[str, np.ndarray]:
    """FER2013's training part without copies, some of it to calibrate; or its test part."""
    folder, name = data / "fer2013", "train" if train else "test"
    with np.load(folder / f"{name}.npz") as z, np.load(folder / "ferplus_votes.npz") as plus:
        images = _decoded(z["webp"], z["offsets"]) if train else z["images"]
        faces = _blank(images, "fer", data / f"faces/blendshapes/fer2013_{name}.npz")
        faces["label"] = np.array([1, 2, 3, 4, 0, 5, 6])[z["labels"]]
        counts = plus[f"{name}_votes"][:, VOTES].astype(np.float32)
        total = counts.sum(1, keepdims=True)
        voted = (total[:, 0] >= LEAST_VOTES) & plus[f"{name}_matched"]
        faces["votes"][voted] = counts[voted] / total[voted]
        if not train:
            faces["part"][:], faces["copy"] = TEST, z["in_train"]
            return faces
        same, mine = z["same_as"], faces["label"]
        disagree = np.unique(same[mine != mine[same]])
        faces["label"][np.isin(same, disagree)] = -1
        keep = np.flatnonzero(~z["in_test"] & (same == np.arange(len(same))))
    drawn = np.random.default_rng(0).permutation(len(keep))[:CALIBRATION_PICTURES]
    faces["part"][keep[drawn]] = CALIBRATE
    return {field: values[keep] for field, values in faces.items()}


def _genki(data: Path) -> dict[str, np.ndarray]:
    """GENKI-4K's half, without repeated pictures; the last of each class are the test part."""
    path = data / "faces/genki4k_half.npz"
    with np.load(path) as z:
        images = _decoded(z["jpeg"], z["offsets"])
        faces = _blank(images, "genki", path)
        faces["smile"] = z["smile"].astype(np.float32)
        faces["pose"] = np.degrees(np.stack([z["yaw"], z["pitch"], z["roll"]], 1))
        keep = ~z["same_as_previous"]
    faces = {field: values[keep] for field, values in faces.items()}
    for smile in (0, 1):
        rows = np.flatnonzero(faces["smile"] == smile)
        faces["part"][rows[round(len(rows) * (1 - GENKI_TEST)) :]] = TEST
    return faces


def _people(data: Path, name: str, found: FaceSet, every: int) -> dict[str, np.ndarray]:
    """Aligned faces of known people, every so many of whom are the test part."""
    images = np.stack([reframed(crop, framing(0.0)) for crop in found.faces])
    rows = _yale_rows(data) if name == "yale" else slice(None)
    faces = _blank(images, name, data / FILES[name][1], rows)
    faces["person"] = found.people
    faces["part"] = np.where(found.people % every == 0, TEST, TRAIN)
    return faces


def _yale_rows(data: Path) -> np.ndarray:
    """Rows of Yale's file that `read_yale` gives."""
    with np.load(data / "faces/yale.npz") as z:
        return np.flatnonzero(z["conditions"] != "normal")


def _decoded(buffer: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Grey 48x48 pictures of a buffer of encoded ones."""
    whole = buffer.tobytes()
    pictures = (
        np.asarray(Image.open(io.BytesIO(whole[a:b])).convert("L")) for a, b in pairwise(offsets)
    )
    side = (FACE_SIZE, FACE_SIZE)
    return np.stack(
        [
            p if p.shape == side else cv2.resize(p, side, interpolation=cv2.INTER_AREA)
            for p in pictures
        ]
    )
