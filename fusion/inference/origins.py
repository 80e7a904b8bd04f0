"""Which source predictions are of, so that those of another are never overwritten.

Data flow: source, or track of a store > Origin > provenance of predictions > `require_free`.

Two videos may have one name and lie in different folders: what was predicted of the first stays.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from features.errors import UserError
from features.pipeline.discovery import Source
from features.pipeline.source_hashes import SourceHashes
from features.store.feature_track import MAIN, SOUND
from features.store.track_store import TrackStore
from fusion.data.prediction_files import Format, read_metadata, read_provenance
from fusion.data.predictions import FramePredictions
from fusion.streams.clip_tracks import explained
from fusion.tasks.clips import Clip

CONTENT, PLACE = "source", "source file"
"""Keys in the provenance: sha256 of what was predicted, and where it lay."""


@dataclass(frozen=True)
class Origin:
    """Where a result comes from; the same if either is.

    Attributes:
        place: Path of the video, sound or crops, or of the store if the source is not known.
        content: Gives its sha256, which takes a while for one that nobody has read yet.
    """

    place: Path
    content: Callable[[], str]

    def marked(self, predictions: FramePredictions) -> FramePredictions:
        """The predictions with their origin in the provenance."""
        mine = {CONTENT: self.content(), PLACE: str(self.place)}
        return replace(predictions, provenance=predictions.provenance | mine)

    def require_free(self, folder: Path, name: str, video: str) -> None:
        """Checks that a file of predictions would take nobody else's place.

        Args:
            folder: Where predictions go.
            name: Id of the person.
            video: Id of the video.

        Raises:
            UserError: If there is a file of the id that is of another source.
        """
        for ending in get_args(Format):
            path = folder / f"{name}.{ending}"
            said = read_metadata(path)
            if said is None:
                continue
            there = read_provenance(path)
            same = there.get(PLACE) == str(self.place) or there.get(CONTENT) == self.content()
            if said.get("video") != video or not same:
                of = there.get(PLACE) or "a source that it does not name"
                raise UserError(
                    f"{path}: of video '{said.get('video')}' ({of}), and {self.place} would"
                    " overwrite it; choose another --out, or remove the file"
                )


def origin_of_source(source: Source, hashes: SourceHashes) -> Origin:
    """Origin of what is predicted of a source."""
    place = source.media or next(iter(source.crops.values()))[0]
    person = MAIN if source.has_pictures else SOUND
    return Origin(place.resolve(), lambda: hashes.of_source(source, person) or "")


def origin_of_clip(store: TrackStore, clip: Clip, place: Path | None = None) -> Origin:
    """Origin of what is predicted of a clip's tracks; `place` is the source, None if unknown."""
    with explained():
        info = store.told(clip.id) or store.told(clip.video)
    return Origin(place or store.root.resolve(), lambda: info.source if info else "")
