"""TrackStore: a folder of tracks that knows what is there, what is stale and what is damaged.

Layout: `ROOT/STREAM/ID.safetensors`, where ID is the video id, with `_left` or `_right` where two
people are told apart, as in ABAW's annotation files, and `_person3` and so on for further ones.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from pathlib import Path

from features.errors import UserError
from features.store.feature_track import (
    DamagedTrack,
    FeatureTrack,
    TrackInfo,
    read_info,
    read_track,
    write_track,
)

SUFFIX = ".safetensors"
CLOCK = "faces"
"""Stream that tells first of whom the tracks of an id are."""


class Status(Enum):
    """What the store holds for a wanted track."""

    READY = "ready"
    MISSING = "missing"
    STALE = "stale"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class TrackStore:
    """Tracks below one folder.

    Attributes:
        root: The folder; it is made at the first write.
    """

    root: Path

    def path(self, stream: str, track_id: str) -> Path:
        """File of a track. Raises UserError for an id or stream that would leave the store."""
        for part in (stream, track_id):
            if not part or part.startswith(".") or "/" in part or "\\" in part or "\0" in part:
                raise UserError(f"'{part}' cannot name a track; rename the source file")
        return self.root / stream / f"{track_id}{SUFFIX}"

    def streams(self) -> list[str]:
        """Names of the streams that hold at least one track."""
        if not self.root.is_dir():
            return []
        return sorted(p.name for p in self.root.iterdir() if p.is_dir() and self.ids(p.name))

    def ids(self, stream: str) -> list[str]:
        """Ids of the tracks of a stream; empty if there is none."""
        folder = self.root / stream
        found = folder.glob(f"*{SUFFIX}") if folder.is_dir() else []
        return sorted(p.name.removesuffix(SUFFIX) for p in found if not p.name.startswith("."))

    def has(self, stream: str, track_id: str) -> bool:
        """Whether a track is there; it may still be stale or damaged."""
        return self.path(stream, track_id).is_file()

    def status(self, stream: str, track_id: str, key: tuple[str, str, str]) -> Status:
        """Compares a track with the key (source, revision, settings) it should have.

        The whole file is read, so that a truncated one is seen as damaged.
        """
        path = self.path(stream, track_id)
        try:
            return Status.READY if read_track(path).info.key == key else Status.STALE
        except FileNotFoundError:
            return Status.MISSING
        except DamagedTrack:
            return Status.DAMAGED

    def read(self, stream: str, track_id: str) -> FeatureTrack:
        """Reads a track.

        Raises:
            FileNotFoundError: If it is not there.
            DamagedTrack: If it is there but damaged.
        """
        return read_track(self.path(stream, track_id))

    def info(self, stream: str, track_id: str) -> TrackInfo:
        """Reads a track's header; raises as `read` does."""
        return read_info(self.path(stream, track_id))

    def told(self, track_id: str) -> TrackInfo | None:
        """Header that tells of whom and of what the tracks of an id are; None if there is none.

        Nothing else tells: `12_left` may be somebody in `12`, or a video of that name.

        Raises:
            DamagedTrack: If the first track that is there is damaged.
        """
        for stream in chain([CLOCK], self._folders()):
            if self.has(stream, track_id):
                return self.info(stream, track_id)
        return None

    def write(self, track: FeatureTrack) -> Path:
        """Writes a track under its id, atomically, and returns the path.

        Raises:
            UserError: If the file there is of somebody else, in a video of another name.
        """
        path, info = self.path(track.info.stream, track.info.id), track.info
        with suppress(FileNotFoundError, DamagedTrack):
            there = read_info(path)
            if (there.video, there.person) != (info.video, info.person):
                raise UserError(
                    f"{path} is of '{there.person}' in video '{there.video}', and"
                    f" '{info.person}' in video '{info.video}' would overwrite it; rename one of"
                    " the videos, or remove that file if its video is gone"
                )
        write_track(track, path)
        return path

    def _folders(self) -> Iterator[str]:
        """Names of the folders that may be streams."""
        for path in sorted(self.root.iterdir()) if self.root.is_dir() else ():
            if path.is_dir() and not path.name.startswith("."):
                yield path.name
