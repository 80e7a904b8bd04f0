"""`python -m experiments.studies.ravdess.ravdess`: eight emotions of RAVDESS by the models of
`fusion.train --cfg ravdess` and by linear ones, alone and joined.

Data flow: tracks > moments of each clip (`clips`) > linear models of each fold (`linear`);
out-of-fold predictions of the run > mean over each clip > all of them as members of systems
(`systems`) > scores > a page.

    python -m experiments.studies.ravdess.ravdess --root RAVDESS --run runs/ravdess \
        --adapted runs/ravdess_person

Letters: N clips, n clips of a split, K emotions.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from experiments.pages import write_page
from experiments.studies.ravdess.clips import Moments, read_moments
from experiments.studies.ravdess.systems import MEMBERS, MODEL, Said, Split
from experiments.studies.ravdess.table import page
from features.cli.app import OK, run
from features.cli.progress import ProgressReport
from features.errors import UserError
from fusion.data.prediction_files import read_predictions
from fusion.inference.checkpoint import load_checkpoint
from fusion.streams.adaptation import Kind
from fusion.tasks.emotions import Emotions
from fusion.training.cross_validation import OUT_OF_FOLD
from fusion.training.trainer import BEST
from fusion.training.validation import held_out_clips


@dataclass
class RavdessSettings:
    """Settings of the comparison.

    Args:
        root: Corpus folder with its tracks.
        run: Folder of the run `fusion.train --cfg ravdess`, with its folds.
        adapted: Folder of the run with `--data.adapt person` beside; without it, the first alone.
        layers: Streams of sound, one a layer of the encoder, of which the linear models take
            moments; the anchor those of the last three.
        units: Stream of the action units.
        page: Markdown file to write.
    """

    root: Path
    run: Path = Path("runs/ravdess")
    adapted: Path | None = None
    layers: list[str] = field(default_factory=lambda: [f"whisper.{n}" for n in (1, 2, 3, 4)])
    units: str = "openface"
    page: Path = Path("runs/ravdess/ravdess.md")


def command(settings: RavdessSettings) -> int:
    """Fits, reads, scores and writes the page."""
    clips = read_moments(settings.root, settings.layers, settings.units)
    runs: dict[Kind, Path] = {"none": settings.run}
    if settings.adapted:
        runs["person"] = settings.adapted
    tables: dict[Kind, tuple[list[Split], Said]] = {}
    for kind, folder in runs.items():
        own = clips.by_person() if kind == "person" else clips
        splits = read_splits(folder, settings.root, own, kind)
        tables[kind] = splits, say_all(own, splits, read_said(folder, own), len(settings.layers))
    write_page(page(tables), settings.page)
    return OK


def read_splits(run: Path, root: Path, clips: Moments, kind: Kind) -> list[Split]:
    """What each fold of a run has held out.

    Raises:
        UserError: If there is no fold, or the run adapts to people otherwise than `kind`.
    """
    found = sorted(run.glob(f"fold*/{BEST}"))
    if len(found) < 2:
        raise UserError(f"{run}: no folds; python -m fusion.train --cfg ravdess makes them")
    splits = []
    for path in found:
        checkpoint = load_checkpoint(path)
        if checkpoint.adaptation.kind != kind:
            raise UserError(f"{path}: adapted {checkpoint.adaptation.kind}, not {kind}; train anew")
        held_out = {clip.id for clip in held_out_clips(checkpoint, root)}
        test = np.array([name in held_out for name in clips.ids])
        splits.append(Split(path.parent.name, test, clips.labels[test], clips.people[test]))
    return splits


def read_said(run: Path, clips: Moments) -> np.ndarray:
    """(N, K) log-probabilities of a run's models, each of clips that it has not been trained on."""
    paths = [run / OUT_OF_FOLD / f"{name}.parquet" for name in clips.ids]
    if absent := [path for path in paths if not path.is_file()]:
        raise UserError(f"{absent[0]}: absent; let the run finish, or name another by --run")
    means = [read_predictions(path).values[Emotions.name].mean(0) for path in paths]
    return np.asarray(np.log(np.stack(means) + 1e-9))


def say_all(clips: Moments, splits: list[Split], model: np.ndarray, layers: int) -> Said:
    """Log-probabilities (n, K) of each member in each split."""
    said = {MODEL: {split.name: model[split.test] for split in splits}}
    with ProgressReport("linear models", len(MEMBERS) * len(splits)) as progress:
        for name, member in MEMBERS.items():
            x, each = member.look(clips, layers), {}
            for split in splits:
                fitted = member.fit(x[~split.test], clips.labels[~split.test])
                each[split.name] = fitted(x[split.test])
                progress.step(f"{name} {split.name}")
            said[name] = each
    return said


if __name__ == "__main__":
    run(
        RavdessSettings,
        command,
        prog="experiments.studies.ravdess.ravdess",
        description=__doc__.split("\n")[0],
    )
