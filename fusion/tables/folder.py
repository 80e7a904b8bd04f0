"""Tables of a folder of predictions, video by video.

Data flow: folder, reviews > videos with their people > FrameTable of each.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from features.errors import UserError
from fusion.data.prediction_files import list_predictions, read_metadata, read_predictions
from fusion.data.review import Event as MarkedEvent
from fusion.data.review import Review, read_review
from fusion.tables.frame_table import FrameTable, table_of
from fusion.tables.reviewed import corrected, read_reviews


@dataclass(frozen=True)
class VideoTables:
    """The people of one video.

    Attributes:
        video: Its id.
        people: Tables by id.
        marked: Id to events that somebody marked by hand.
    """

    video: str
    people: dict[str, FrameTable]
    marked: dict[str, tuple[MarkedEvent, ...]] = field(default_factory=dict)


@dataclass
class PredictionFolder:
    """Files of predictions, grouped by video.

    Attributes:
        path: The folder, or one file.
        videos: Video to its files by id.
        reviews: By video.
        failures: Id to cause, of files that `read` could not read.
    """

    path: Path
    videos: dict[str, dict[str, Path]]
    reviews: Mapping[str, Review] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of(path: Path, review: Path | None = None) -> "PredictionFolder":
        """Looks what is there.

        Raises:
            UserError: If there is nothing, or a review is of a video that is not there.
        """
        files = {path.stem: path} if path.is_file() else list_predictions(path)
        if not files:
            raise UserError(f"{path}: no predictions in it (.parquet or .csv); run fusion.predict")
        videos: dict[str, dict[str, Path]] = {}
        for id, file in files.items():
            said = read_metadata(file) or {}
            videos.setdefault(str(said.get("video", id)), {})[id] = file
        reviews = read_reviews(review) if review else {}
        for video, (file, _) in reviews.items():
            if video not in videos:
                near = difflib.get_close_matches(video, videos, n=1, cutoff=0.0)[0]
                raise UserError(
                    f"{file}: a review of '{video}', of which {path} has no predictions; the"
                    f" nearest is '{near}'"
                )
            read_review(file, videos[video])
        return PredictionFolder(path, videos, {name: each for name, (_, each) in reviews.items()})

    def __len__(self) -> int:
        return len(self.videos)

    def read(self) -> Iterator[VideoTables]:
        """Each video in turn; a file that cannot be read is in `failures` and passed over."""
        for video, files in sorted(self.videos.items()):
            people = {}
            for id, file in files.items():
                try:
                    people[id] = table_of(read_predictions(file))
                except UserError as error:
                    self.failures[id] = str(error)
            review = self.reviews.get(video)
            if review and (bad := self.failures.keys() & files.keys()):
                why = f"the review of {video} cannot be followed without '{min(bad)}'"
                self.failures |= dict.fromkeys(people, why)
                continue
            people = corrected(people, review) if review else people
            marked = {id: review.events_of(id) for id in people} if review else {}
            yield VideoTables(video, people, marked)
