"""Looks at a video: a first one that finds everybody, a second one at faces that are known.

Data flow of the first: file > frames > faces > crops > paths (who is who) > features, each stage in
a thread of its own. Of the second: file > frames > crops of known faces > features.

The first look encodes each face before it is known who the people of the video are, so that it
needs one decode; the second is left what the first could not see (frames in which a face is only
interpolated), and encoders that come later.

Letters: F frames of the video, K faces of a frame.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from features.cli.progress import beat
from features.faces.alignment import crop_faces
from features.faces.appearance import looks_of
from features.faces.detect import NO_FACES, FaceSettings
from features.faces.keyframes import Detector, FrameFaces, find_faces
from features.faces.person_track import Person
from features.faces.shots import Shots
from features.faces.tracker import CROP, Follower
from features.media import FrameBlock, Recording
from features.pipeline.feature_buffer import FeatureBuffer
from features.pipeline.prefetch import ahead
from features.pipeline.timing import StageTimes

BLOCKS_AHEAD = 2
"""Blocks of frames that are decoded before they are needed."""
FRAMES_AHEAD = 32
"""Frames whose faces wait to be encoded; only the crops are kept."""
MOST_FACES = 4
"""Largest faces of a frame that the first look encodes: in a crowd, most belong to nobody."""


@dataclass(frozen=True)
class Cut:
    """Faces cut out of one frame.

    Attributes:
        row: Number of the frame.
        owners: Whose they are, K numbers.
        crops: (K, size, size, 3) uint8.
    """

    row: int
    owners: list[int]
    crops: np.ndarray


class VideoPass:
    """Looks at one video.

    Args:
        video: The video.
        settings: How faces are found, followed and cut out.
        times: Where the time of each stage is counted.
        most: Seconds of the video after which the first look stops; None: the end.
    """

    def __init__(
        self,
        video: Recording,
        settings: FaceSettings,
        times: StageTimes,
        most: float | None = None,
    ) -> None:
        self._video, self._settings, self._times, self._most = video, settings, times, most
        self._close = (settings.size, settings.margin) == (CROP.size, CROP.margin)
        self._shots = Shots()
        self._lost = set[int]()  # rows that show the frame before, since theirs is damaged

    def first(self, detector: Detector, follower: Follower, buffer: FeatureBuffer) -> np.ndarray:
        """Finds, follows and encodes every face; returns the times of the frames (F,) float64."""
        clock: list[float] = []
        self._encode(self._found(detector, follower, clock), buffer)
        return np.array(clock)

    def second(self, known: Mapping[int, tuple[Person, np.ndarray]], buffer: FeatureBuffer) -> None:
        """Encodes faces whose place is known.

        Args:
            known: Owner to the person and the frames (F,) bool in which to look at it.
            buffer: Where the features go.
        """
        self._encode(self._known(known), buffer)

    def _encode(self, cuts: Iterator[Cut], buffer: FeatureBuffer) -> None:
        for cut in ahead(cuts, FRAMES_AHEAD):
            with self._times.stage("encode"):
                buffer.add(cut.owners, [cut.row] * len(cut.owners), cut.crops)
            self._times.add("encode", len(cut.owners))
        with self._times.stage("encode"):
            buffer.flush()

    def _found(self, detector: Detector, follower: Follower, clock: list[float]) -> Iterator[Cut]:
        """Cuts out the faces of every frame."""
        blocks = ahead(self._blocks(), BLOCKS_AHEAD)
        frames = self._times.timed("find faces", find_faces(blocks, detector, self._settings))
        for row, frame in enumerate(frames):
            clock.append(frame.time)
            self._times.add("find faces", 1)
            with self._times.stage("cut and follow"):
                cut = self._cut(row, frame, follower)
            self._times.add("cut and follow", len(frame.faces))
            yield cut

    def _cut(self, row: int, frame: FrameFaces, follower: Follower) -> Cut:
        faces = NO_FACES if row in self._lost else frame.faces
        images = [frame.image] * len(faces)
        crops = crop_faces(images, faces.landmarks, self._settings)
        close = crops if self._close else crop_faces(images, faces.landmarks, CROP)
        owners = follower.add(frame.time, faces, looks_of(close), self._shots.add(frame.image))
        sides = (faces.boxes[:, 2:] - faces.boxes[:, :2]).prod(axis=1)
        largest = np.argsort(-sides, kind="stable")[:MOST_FACES]
        return Cut(row, owners[largest].tolist(), crops[largest])

    def _known(self, known: Mapping[int, tuple[Person, np.ndarray]]) -> Iterator[Cut]:
        """Cuts out known faces."""
        wanted = np.flatnonzero(np.any([rows for _, rows in known.values()], axis=0))
        for row, image in ahead(self._pictures(wanted), BLOCKS_AHEAD * self._settings.batch):
            there = {owner: who for owner, (who, rows) in known.items() if rows[row]}
            points = np.stack([who.landmarks[row] for who in there.values()])
            with self._times.stage("cut and follow"):
                crops = crop_faces([image] * len(there), points, self._settings)
            yield Cut(row, list(there), crops)

    def _pictures(self, wanted: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Rows and pictures of some frames, sought if few."""
        for row, image in self._times.timed("decode", self._video.frames_at(wanted)):
            self._times.add("decode", 1)
            beat()
            yield row, image

    def _blocks(self) -> Iterator[FrameBlock]:
        blocks = self._video.blocks(self._settings.batch)
        for block in self._times.timed("decode", blocks):
            self._times.add("decode", len(block.times))
            self._lost.update(block.lost)
            beat()
            rows = len(block.times)
            if self._most is not None:
                rows = int((block.times < self._most).sum())
            yield block.first_frames(rows)
            if rows < len(block.times):
                return
