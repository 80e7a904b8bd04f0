"""Training and scoring from a script: what fusion.train and fusion.evaluate do, without a command.

Data flow: recipe + what differs from it > TrainSettings > runs > FitResult; checkpoint or stored
predictions + labels > ScoreResult.

They are called `fit` and `score`, as in scikit-learn: `fusion.train` and `fusion.evaluate` are the
modules of the commands, and a package has one attribute of a name.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pytorch_lightning.utilities.seed import isolate_rng

from features.api import Progress
from features.cli.app import parse, updated
from features.cli.config_files import merged, nested, read_config
from features.cli.progress import Hearer, heard_by
from features.environment import environment_kept
from features.errors import UserError
from fusion.api.affect import Affect
from fusion.api.pretrained import find_checkpoint
from fusion.data.prediction_files import list_predictions
from fusion.evaluate import EvaluateSettings, evaluate_clips
from fusion.metrics.bootstrap import Interval
from fusion.metrics.evaluation import Evaluation
from fusion.metrics.remarks import in_sample, remarks
from fusion.reporting.score_report import format_intervals, format_scores, write_report
from fusion.reporting.tables import score_table
from fusion.training.config import TrainSettings
from fusion.training.cross_validation import train_several
from fusion.training.run import with_data
from fusion.training.stages import train
from fusion.training.trainer import BEST, TRAINING
from fusion.training.validation import score_held_out

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitResult:
    """What training has made.

    Attributes:
        folder: Of the run.
        checkpoints: One; of folds and seeds, one each, in order of their names.
        scores: Official scores on what was held out, pooled over folds, a mean over seeds.
    """

    folder: Path
    checkpoints: tuple[Path, ...]
    scores: dict[str, float]

    @property
    def checkpoint(self) -> Path:
        """The one checkpoint. UserError if there are several."""
        if len(self.checkpoints) > 1:
            names = ", ".join(path.parent.name for path in self.checkpoints)
            raise UserError(f"{self.folder}: several runs ({names}); see checkpoints")
        return self.checkpoints[0]


def fit(
    cfg: str | PathLike[str] | TrainSettings = "mtl",
    overrides: Mapping[str, Any] | None = None,
    *,
    progress: Progress | None = None,
    **changes: Any,
) -> FitResult:
    """Trains a recipe, goes on with a killed run, or finds it finished, as fusion.train does.

    >>> streams = ["expression", "prosody"]
    >>> data = {"data.root": "corpus", "data.streams": streams}
    >>> result = fusion.fit("mtl", data, name="small", epochs=1)
    >>> result.checkpoint.as_posix()
    'runs/small/best.ckpt'
    >>> list(result.scores)
    ['CCC_V', 'CCC_A', 'VA', 'EXPR', 'AU', 'P']

    Args:
        cfg: Name of a recipe that comes with the package, path of one, or settings.
        overrides: Settings that are other than the recipe's, by dotted name or nested.
        progress: Is told the share of the epochs that is done, which rises to 1.
        **changes: Settings likewise: `epochs=2`, `data={"root": "corpus"}`.

    Raises:
        UserError: If data is missing, settings make no sense, the folder holds another run, or
            somebody else is training it.
    """
    settings = settings_of(cfg, merged(nested(overrides or {}), nested(changes)))
    if settings.devices is None:  # several would start this script anew, once each
        settings = replace(settings, devices=1)
    with _as_found(), heard_by(_epochs_of(settings, progress)):
        settings = with_data(settings)
        folder = settings.runs / settings.name
        if settings.folds or settings.seeds:
            scores = train_several(settings)
            kept = [one for name in _runs(settings) if (one := folder / name / BEST).is_file()]
        else:
            kept = [train(settings)]
            scores = score_held_out(settings, kept[0]).scores()
    if progress:
        progress(1.0)
    return FitResult(folder, tuple(kept), scores)


def settings_of(
    cfg: str | PathLike[str] | TrainSettings, changes: Mapping[str, Any]
) -> TrainSettings:
    """Settings of a recipe with some of them changed, as `--cfg` and options would have it.

    Raises:
        UserError: If there is no such recipe, or no such setting; names the nearest.
    """
    if isinstance(cfg, TrainSettings):
        return updated(cfg, changes, "fit")
    whole = merged(read_config(os.fspath(cfg), TrainSettings.SHIPPED), changes)
    text = json.dumps(whole, default=str)
    return parse(TrainSettings, prog="fusion.fit", description="", argv=[f"--cfg={text}"])


@dataclass(frozen=True, repr=False)
class ScoreResult:
    """Official scores over all valid frames.

    Attributes:
        scores: By name.
        intervals: 95 % intervals by video; empty with fewer than two videos.
        lines: What must be said beside the scores: whether they may be quoted, and of what they
            are.
        evaluation: Statistics of each clip, and what could not be scored.
    """

    scores: dict[str, float]
    intervals: Mapping[str, Interval]
    lines: tuple[str, ...]
    evaluation: Evaluation

    def to_pandas(self) -> pd.DataFrame:
        """A row a score: its name, value, and the ends of its interval."""
        return score_table(self.scores, self.intervals)

    def __getitem__(self, name: str) -> float:
        return self.scores[name]

    def __repr__(self) -> str:
        shown = {name: each for name, each in self.intervals.items() if name in self.scores}
        lines = [format_scores(self.scores), format_intervals(shown), *self.lines]
        return "\n".join(line for line in lines if line)


def score(
    model: str | PathLike[str] | Affect, root: str | PathLike[str] | None = None, **changes: Any
) -> ScoreResult:
    """Holds a checkpoint, or stored predictions, against labels, as fusion.evaluate does.

    >>> result = fusion.score("runs/small", "corpus", draws=100)
    >>> result.to_pandas().columns.tolist()
    ['score', 'value', 'low', 'high']
    >>> 0 <= result["EXPR"] <= 1
    True

    Args:
        model: A checkpoint (see `Affect.from_pretrained`), or a folder of predictions.
        root: Folder of the data set; None: `data.root` of the changes, or the demo corpus.
        **changes: Other settings of fusion.evaluate: `split="test"`, `data={"truth": ...}`, ...

    Raises:
        UserError: If there is nothing to score, or the model was trained on it.
    """
    what: dict[str, Any] = _scored(model)
    if root is not None:
        what["data"] = {"root": str(root)}
    settings = updated(EvaluateSettings(), merged(nested(changes), what), "score")
    with _as_found(), heard_by(None):
        evaluation = evaluate_clips(settings)
        rules = settings.rules
        scores = rules.scores(evaluation) if evaluation.scored else {}
        intervals = rules.intervals(evaluation) if evaluation.scored and settings.draws else {}
        if settings.out and evaluation.scored:
            title = str(settings.pred or settings.checkpoint)
            write_report(settings.out, evaluation, intervals, rules, title)
    for name in evaluation.missing:
        log.warning("not scored: %s has labels but no prediction or track", name)
    for name, fault in (evaluation.faults | evaluation.remarks).items():
        log.warning("%s: %s", name, fault)
    lines = (*in_sample(evaluation), *remarks(evaluation, settings.edition))
    return ScoreResult(scores, intervals, lines, evaluation)


def _scored(model: str | PathLike[str] | Affect) -> dict[str, Any]:
    """The settings that name what is scored."""
    if isinstance(model, Affect):
        device = str(model.checkpoint.network.device)
        return {"checkpoint": str(model.checkpoint.path), "device": device}
    path = Path(model)
    if path.is_dir() and not any(path.glob("*.ckpt")) and list_predictions(path):
        return {"pred": str(path)}
    return {"checkpoint": str(find_checkpoint(model))}


def _runs(settings: TrainSettings) -> list[str]:
    """Folders of the runs of folds and seeds, in the run's."""
    folds = [f"fold{fold}" for fold in range(settings.folds)] or [""]
    seeds = [f"seed{seed}" for seed in settings.seeds] or [""]
    return [f"{seed}/{fold}".strip("/") for seed in seeds for fold in folds]


def _epochs_of(settings: TrainSettings, progress: Callable[[float], object] | None) -> Hearer:
    """Tells the epochs of one run after the other as a share of all of them."""
    total = max(len(settings.stages), 1) * max(settings.folds, 1) * max(len(settings.seeds), 1)
    done, last = 0, 0.0

    def tell(title: str, share: float) -> None:
        nonlocal done, last
        if title != TRAINING or progress is None:
            return
        if share <= last:  # the next run has begun
            done += 1
        last = share
        progress((done + share) / total)

    return tell


@contextmanager
def _as_found() -> Iterator[None]:
    """Leaves the environment, torch's threads and all random states as they were before."""
    threads = torch.get_num_threads()
    try:
        with environment_kept(), isolate_rng():
            yield
    finally:
        torch.set_num_threads(threads)
