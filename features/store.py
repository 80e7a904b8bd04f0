"""TrackStore: a folder of tracks that knows what is there, what is stale and what is damaged.

Layout: `ROOT/STREAM/ID.safetensors`, where ID is the video id, with `_left` or `_right` where two
people are told apart, as in ABAW's annotation files, and `_person3` and so on for further ones.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from features.cli import UserError
from features.track import DamagedTrack, FeatureTrack, TrackInfo, read_info, read_track, write_track

SUFFIX = ".safetensors"


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

    def write(self, track: FeatureTrack) -> Path:
        """Writes a track under its id, atomically, and returns the path."""
        path = self.path(track.info.stream, track.info.id)
        write_track(track, path)
        return path
