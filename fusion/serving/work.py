"""What the service does with an upload: what predict and report do, by their functions.

Data flow: `clip` > fusion.predict > `out/clip.parquet` > the same as CSV, `summary.txt`, and by
fusion.report a page and, if wanted, a film.
"""

import csv
import os
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.cli.app import OK
from features.cli.progress import heard_by
from features.errors import UserError
from features.pipeline.failures import FILE as FAILURES
from fusion.serving.folders import CLIP, OUT
from fusion.serving.settings import Tell

TRACKS, SAID = "tracks", "said.txt"
SUMMARY, PAGE, FILM = "summary.txt", "report.html", "overlay.mp4"


@dataclass(frozen=True)
class PredictWork:
    """Predicts an upload.

    Attributes:
        checkpoint: File written by fusion.train. None: the packaged model.
        persons: Who is kept, as of `affuse predict`.
        device: Where to compute.
        overlay: Whether there is to be a film with what was predicted in its pictures.
    """

    checkpoint: Path | None = None
    persons: str = "2"
    device: str = "auto"
    overlay: bool = False

    def __call__(self, folder: Path, tell: Tell) -> None:
        """Predicts `folder/clip` into `folder/out`; see `Work`."""
        from fusion import predict

        settings = predict.PredictSettings(
            checkpoint=self.checkpoint,
            input=folder / CLIP,
            store=folder / TRACKS,
            out=folder / OUT,
            persons=self.persons,
            workers="0",
            device=self.device,
        )
        with (folder / SAID).open("w") as said, redirect_stdout(said), heard_by(tell):
            try:
                status = predict.command(settings)
            except UserError as error:
                raise UserError(cause_of_failure(folder) or str(error)) from error
            if status != OK:
                raise UserError(cause_of_failure(folder) or "not all of it could be read")
            remarks = report_of(folder / CLIP, folder / OUT, self.overlay)
        write_further(folder / OUT, remarks)


def cause_of_failure(folder: Path) -> str:
    """Why extraction failed; empty if it did not."""
    path = folder / TRACKS / FAILURES
    if not path.is_file():
        return ""
    with path.open(newline="") as file:
        return "; ".join(row["cause"] for row in csv.DictReader(file))


def report_of(clip: Path, out: Path, overlay: bool) -> list[str]:
    """Writes the page of a clip, and the film; lines of what could not be made.

    Predictions without a page are better than none.
    """
    from fusion.report import report
    from fusion.reporting.settings import ReportSettings

    remarks = []
    film: dict[str, dict[str, Any]] = {FILM: {"overlay": out / FILM}} if overlay else {}
    for name, wanted in ({PAGE: {"out": out / PAGE}} | film).items():
        try:
            made = report(ReportSettings(pred=clip, predictions=out, **wanted))
            causes = list(made.failures.values())
        except UserError as error:
            causes = [str(error)]
        remarks += [f"{name} not made: {cause}" for cause in causes]
    return [line.replace(f"{clip.parent}{os.sep}", "") for line in remarks]


def write_further(out: Path, remarks: Sequence[str] = ()) -> None:
    """Writes each person's predictions as CSV too, and the summaries of all with some remarks."""
    from fusion.data.prediction_files import list_predictions, read_predictions, write_predictions
    from fusion.measuring.words import summary_of

    lines: list[str] = []
    for path in list_predictions(out).values():
        predictions = read_predictions(path)
        write_predictions(predictions, out, "csv")
        lines += summary_of(predictions)
    (out / SUMMARY).write_text("\n".join([*lines, *remarks]) + "\n")
