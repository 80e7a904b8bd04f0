"""The timeline of a person as a file. Data flow: file of predictions, truth, sound > picture."""

from pathlib import Path

from features.cli.wording import counted
from features.errors import UserError
from fusion.data.prediction_files import read_predictions
from fusion.data.predictions import FramePredictions
from fusion.reporting import timeline
from fusion.reporting.loudness import SoundFinder
from fusion.tasks.labels import FrameLabels


def draw_person(
    path: Path, picture: Path, labels: FrameLabels | None, sound: SoundFinder
) -> str | None:
    """Draws a file of predictions; returns what is odd, though drawn.

    Args:
        path: The predictions.
        picture: PNG, SVG or PDF; its ending says which.
        labels: Truth, if there is any.
        sound: Knows how loud the video is.

    Raises:
        UserError: If a file cannot be read, or there is nothing to draw.
    """
    said = read_predictions(path)
    if not len(said):
        raise UserError("predictions without a single frame; nothing to draw")
    timeline.draw_timeline(said, labels, sound.find(said.video), picture)
    return _remark(said, labels)


def _remark(said: FramePredictions, labels: FrameLabels | None) -> str | None:
    """Says that truth and predictions differ in length, which the real set often has."""
    rows = labels.rows_for(len(said)) if labels else 0
    if rows in (0, len(said)):
        return None
    counts = f"{counted(rows, 'row')} of labels, {counted(len(said), 'frame')}"
    return f"{counts}; matched by frame number"
