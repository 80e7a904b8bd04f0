"""What is said of one person, for a script: as a table, a picture, a file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from features.cli.wording import counted
from features.errors import UserError
from fusion.data.prediction_files import metadata_of, read_predictions, save_predictions, table_of
from fusion.data.predictions import FramePredictions
from fusion.measuring.words import summary_of
from fusion.tasks.labels import FrameLabels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Predictions(FramePredictions):
    """What the model says of one person in one video; row i belongs to frame i + 1.

    >>> people = Affect.from_pretrained("runs/tiny")("talk.mp4")
    >>> people[0]
    Predictions of talk: 10 frames, 0.9 s, face in 100%; VA, EXPR, AU
    >>> people[0].values["va"].shape
    (10, 2)
    >>> table = people[0].to_pandas()
    >>> table.columns[:5].tolist()
    ['frame', 'time', 'face', 'valence', 'arousal']
    >>> table.attrs["thresholds"]["AU1"]
    0.5
    """

    @classmethod
    def of(cls, found: FramePredictions) -> Predictions:
        """Predictions from elsewhere, e.g. of `fusion.inference`."""
        return cls(**{field.name: getattr(found, field.name) for field in fields(found)})

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Predictions:
        """Reads what `save` or `python -m fusion.predict` has written.

        Raises:
            UserError: If there is no such file, or it is damaged or something else.
        """
        return cls.of(read_predictions(Path(path), renamed=True))

    def to_pandas(self) -> pd.DataFrame:
        """A row a frame, with the columns of the file; what belongs to all rows is in `attrs`.

        `attrs` has `id`, `video`, `frames`, `tasks` with their settings, `thresholds` by column
        and `provenance`.
        """
        table: pd.DataFrame = table_of(self).to_pandas()
        table.attrs.update(metadata_of(self))
        return table

    def summary(self) -> str:
        """A few lines for people: time on screen, what is shown most, how far to trust it."""
        return "\n".join(summary_of(self))

    def plot(self, labels: FrameLabels | None = None) -> Figure:
        """The timeline as a figure, which a notebook shows; `savefig` writes it.

        Args:
            labels: Truth of the same frames, to be drawn beside; rows are matched by number.

        Raises:
            UserError: If there is no frame.
        """
        if not len(self):
            raise UserError(f"{self.id}: predictions without a single frame; nothing to draw")
        from fusion.reporting.timeline import timeline

        return timeline(self, labels)

    def save(self, path: str | PathLike[str]) -> Path:
        """Writes a file that ends in `.parquet`, or in `.csv` with its metadata beside it.

        Returns:
            The path.

        Raises:
            UserError: For another ending.
        """
        return save_predictions(self, Path(path))

    def __repr__(self) -> str:
        seconds = self.times[-1] - self.times[0] if len(self) else 0.0
        who = self.id if self.id == self.video else f"{self.id} in {self.video}"
        seen = f"face in {self.face.mean():.0%}" if len(self) else "no face"
        tasks = ", ".join(task.title for task in self.tasks.values())
        length = f"{counted(len(self), 'frame')}, {seconds:.1f} s"
        return f"Predictions of {who}: {length}, {seen}; {tasks}"
