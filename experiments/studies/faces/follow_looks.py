"""How well looks tell people apart: verification within a clip and across photographs.

Data flow: clips > faces > crops > looks, plain, dark and small > pairs of one person and of two
> error rates. What is found in a clip is kept on disk.

Letters: N faces of a clip, L length of looks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from experiments.studies.encoders.probe_data import Cache, read_lfw
from features.faces.alignment import crop_faces
from features.faces.appearance import CUT, SAME, looks_of
from features.faces.detect import FaceDetector, FaceSettings
from features.faces.keyframes import find_faces
from features.media import read_frames
from features.store.hashing import sha256_of

STEP, LAG = 4, 8
"""Every so many frames of a clip are compared, and pairs of one person are so many of those apart:
a second or more."""
SMALL = 36
"""Side in pixels to which a face is shrunk to see what being far away does."""
DARK = np.array([0.72, 0.70, 0.66])
"""Gain of red, green, blue in dimmer, warmer light."""
PHOTO_PEOPLE = 100
"""People of LFW whose photographs are compared, drawn at random."""
ONE_PERSON = ("01-01-01-01-01-01-01", "02-01-01-01-01-01-01")
"""Two clips of one performance, the second without sound; the first one is used."""
SEVERAL = ("mexca_test_video_audio_5_seconds",)
"""Clips with several people: for the eye, since nothing says who is who."""


@dataclass(frozen=True)
class ClipFaces:
    """The most probable face of each frame of a clip.

    Attributes:
        path: The clip.
        box: (4,) of the first face.
        looks: Kind of picture (`plain`, `dark`, `small`) to (N, L).
    """

    path: Path
    box: np.ndarray
    looks: dict[str, np.ndarray]


def read_clip(path: Path, cache: Cache) -> ClipFaces:
    """Finds a clip's faces, or reads them from the disk."""
    crops, boxes = _crops(path, cache)
    small = [_resized(_resized(crop, SMALL), crop.shape[0]) for crop in crops]
    kinds = {"plain": crops, "dark": (crops * DARK).astype(np.uint8), "small": np.stack(small)}
    return ClipFaces(path, boxes[0], {kind: looks_of(some) for kind, some in kinds.items()})


def _crops(path: Path, cache: Cache) -> tuple[np.ndarray, np.ndarray]:
    """Crops (N, 112, 112, 3) and boxes (N, 4)."""
    settings = FaceSettings()
    detector = FaceDetector(settings)

    def compute() -> dict[str, np.ndarray]:
        crops, boxes = [], []
        for frame in find_faces(read_frames(path, settings.batch), detector, settings):
            if len(frame.faces):
                crops.append(crop_faces([frame.image], frame.faces.landmarks[:1], settings))
                boxes.append(frame.faces.boxes[0])
        return {"crops": np.concatenate(crops), "boxes": np.stack(boxes)}

    kept = cache.get("follow", [sha256_of(path), settings.key(), detector.revision], compute)
    return kept["crops"], kept["boxes"]


def _resized(image: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


@dataclass(frozen=True)
class Pairs:
    """Similarities of pairs of one person (`same`) and of two people (`other`), sorted."""

    same: np.ndarray
    other: np.ndarray

    def threshold(self, false_accepts: float) -> float:
        """Similarity that this share of the pairs of two people reaches."""
        return float(np.quantile(self.other, 1 - false_accepts))

    def accepted(self, threshold: float) -> tuple[float, float]:
        """Shares of pairs of one person and of two people that reach a similarity."""
        return float((self.same >= threshold).mean()), float((self.other >= threshold).mean())

    @property
    def equal_error(self) -> float:
        """Error rate where as many pairs are falsely accepted as falsely refused."""
        tried = np.unique(np.concatenate([self.same[::50], self.other[::50]]))
        refused = np.searchsorted(self.same, tried) / len(self.same)
        passed = 1 - np.searchsorted(self.other, tried) / len(self.other)
        best = np.abs(refused - passed).argmin()
        return float(refused[best] + passed[best]) / 2


def pairs_of_clips(clips: Sequence[ClipFaces], kind: str = "plain") -> Pairs:
    """Faces of each clip beside its own, a second or more apart, and beside those of the others.

    Each person counts equally among the pairs of one person. The second face of a pair is of the
    given kind.
    """
    rng, same, other = np.random.default_rng(0), [], []
    for one in clips:
        looks = one.looks["plain"][::STEP]
        for two in clips:
            alike = looks @ two.looks[kind][::STEP].T
            if one is two:
                apart = np.abs(np.subtract.outer(*[np.arange(len(looks))] * 2)) >= LAG
                same.append(rng.choice(alike[apart], 2000))
            else:
                other.append(rng.choice(alike.ravel(), 2000))
    return Pairs(np.sort(np.concatenate(same)), np.sort(np.concatenate(other)))


def pairs_of_photographs(data: Path, cache: Cache) -> Pairs:
    """Different photographs of people of LFW, which are grey."""
    lfw = read_lfw(data, cache)
    people = np.random.default_rng(0).permutation(np.unique(lfw.people))[:PHOTO_PEOPLE]
    chosen = np.isin(lfw.people, people)
    looks, whose = looks_of(lfw.faces[chosen]), lfw.people[chosen]
    first, second = np.triu_indices(len(looks), 1)
    alike, same = (looks @ looks.T)[first, second], whose[first] == whose[second]
    return Pairs(np.sort(alike[same]), np.sort(alike[~same]))


def next_frames(clips: Sequence[ClipFaces]) -> np.ndarray:
    """Similarities of faces of consecutive frames, sorted."""
    looks = [clip.looks["plain"] for clip in clips]
    return np.sort(np.concatenate([(one[1:] * one[:-1]).sum(axis=1) for one in looks]))


def table(choosing: Sequence[ClipFaces], judged: Sequence[ClipFaces], photos: Pairs) -> str:
    """The verification figures in Markdown."""
    rows = {"choosing people, a second or more apart": pairs_of_clips(choosing)}
    rows["**judged people**, a second or more apart"] = pairs_of_clips(judged)
    rows["judged people, one face dimmer and warmer"] = pairs_of_clips(judged, "dark")
    rows[f"judged people, one face of {SMALL} pixels"] = pairs_of_clips(judged, "small")
    rows[f"{PHOTO_PEOPLE} people of LFW, across photographs"] = photos
    head = (
        "| pairs | EER | true accepts at 1 % false | similarity there | at .1 % false"
        f" | true, false accepts at CUT {CUT} | at SAME {SAME} |"
    )
    return "\n".join([head, "|---" * 7 + "|", *(_row(*row) for row in rows.items())])


def _row(name: str, pairs: Pairs) -> str:
    one, tenth = pairs.threshold(0.01), pairs.threshold(0.001)
    at = ["{:.1%}, {:.2%}".format(*pairs.accepted(threshold)) for threshold in (CUT, SAME)]
    cells = [f"{pairs.equal_error:.1%}", f"{pairs.accepted(one)[0]:.1%}", f"{one:.3f}"]
    return " | ".join([f"| {name}", *cells, f"{tenth:.3f}", *at]) + " |"
