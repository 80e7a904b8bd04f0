"""Lightning module: Batch > AffectModel > MultiTaskLoss > AdamW; windows > official scores.

Validation keeps the scores of all windows, puts each clip together again and scores all valid
frames of the split at once, as `fusion.evaluate` does; nothing is averaged over batches.

Letters: B windows, T frames of a window, N real frames of a window, F frames of a clip.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from scipy.special import expit
from torch import Tensor, nn
from torch import distributed as dist

from features.errors import UserError
from fusion.data.batch import Batch, Scores
from fusion.data.run_identity import same_model
from fusion.data.windowing import stitch
from fusion.inference.checkpoint import TASKS
from fusion.inference.payload import KEY
from fusion.losses.compound import compound_loss, share_at
from fusion.losses.multitask import MultiTaskLoss
from fusion.metrics.official import MetricAccumulator
from fusion.model.affect import AffectModel
from fusion.model.heads import ParallelHeads, ScaleHeads
from fusion.model.older_settings import modern
from fusion.tasks.labels import DIMENSIONS, EXPRESSIONS, FrameLabels
from fusion.training.optimizer import OptimizerSettings, optimizer_and_schedule

LOGGED = {"P": "P", "CCC_V": "CCC_V", "CCC_A": "CCC_A", "EXPR": "EXPR_F1", "AU": "AU_F1"}
"""Official score to its name in the log, after `val/`."""
FIXED = ("specs", "expressions", "units", "feeds")
"""Parts of the payload that a run cannot change when it goes on from a checkpoint."""
_SPLIT_AT = (len(DIMENSIONS), len(DIMENSIONS) + len(EXPRESSIONS))


@dataclass
class RunningMean:
    """Mean of a loss over the windows of an epoch, without waiting for the device."""

    total: Tensor | float = 0.0
    windows: int = 0

    def add(self, mean: Tensor, windows: int) -> None:
        """Adds the mean over some windows."""
        self.total = self.total + mean * windows
        self.windows += windows

    @property
    def value(self) -> Tensor | float:
        """Mean over all windows."""
        return self.total / self.windows


@dataclass(frozen=True)
class ScoredWindow:
    """What the model says of one window, and the truth, without padding.

    Attributes:
        clip: Index of the clip in its data set.
        start: First frame.
        scores: (N, 22) float32: valence, arousal, expression logits, unit logits.
        labels: N frames.
        expressions: Names of the expressions that the data set has; empty: all of ABAW's.
    """

    clip: int
    start: int
    scores: np.ndarray
    labels: FrameLabels
    expressions: frozenset[str] = frozenset()


class AffectModule(pl.LightningModule):
    """Trains an AffectModel and scores it on the validation split.

    Logs `train/va`, `train/expr`, `train/au` (only where a batch has such labels, or a teacher),
    `train/compound` where it is learnt, `train/total`,
    and after each validation `val/P`, `val/CCC_V`, `val/CCC_A`, `val/EXPR_F1` and `val/AU_F1`,
    of the tasks that are learnt, without those that have no label.

    Args:
        model: The model; in the state it is found under `model.`.
        loss: Its loss.
        optimizer: How to step.
        payload: What the checkpoint holds besides weights, under
        `fusion.inference.payload.KEY`: tensors
            and plain Python values, so that `torch.load(..., weights_only=True)` reads it.
        judged_by: Tasks that are scored, and whose sum is `val/P`: those that are learnt.
        expressions: Names of the expressions that the data set has; empty: all of ABAW's.

    Raises:
        TypeError: If the payload holds anything else.
    """

    def __init__(
        self,
        model: AffectModel,
        loss: MultiTaskLoss,
        optimizer: OptimizerSettings,
        payload: dict[str, Any],
        judged_by: Collection[str] = TASKS,
        expressions: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__()
        require_plain(payload, KEY)
        self.model = model
        self.loss = loss
        self.optimizer_settings = optimizer
        self.payload = payload
        self.judged_by, self.expressions = tuple(judged_by), expressions
        self._windows: list[ScoredWindow] = []
        self._means: dict[str, RunningMean] = {}

    def forward(self, batch: Batch) -> Scores:
        """Scores of every frame."""
        return self.model(batch)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Weighted loss of a batch."""
        features = self.model.features(batch)
        losses = self.loss(self.model.heads(features), batch.targets, batch.teacher, batch.frames)
        if self.loss.settings.compound:
            losses["compound"] = self._compound(features, batch)
            losses["total"] = losses["total"] + self.loss.settings.compound * losses["compound"]
        for name, value in losses.items():
            if name not in TASKS or batch.teacher or _labelled(batch, name):
                self._means.setdefault(name, RunningMean()).add(value.detach(), len(batch.clip))
        if self.trainer.is_last_batch:  # Lightning's own mean over steps costs as much as a step
            for name, mean in self._means.items():
                self.log(f"train/{name}", mean.value, on_step=False, on_epoch=True, batch_size=1)
            self._means = {}
        return losses["total"]

    def _compound(self, features: Tensor, batch: Batch) -> Tensor:
        """Loss of compound expressions, whose share follows the curriculum."""
        share = share_at(self.current_epoch, self.loss.settings.compound_share)
        heads = self.model.heads
        assert isinstance(heads, ParallelHeads | ScaleHeads)
        assert heads.compound is not None
        frames = heads.compound_frames(features)
        return compound_loss(heads.compound, frames, batch.targets, share)

    def validation_step(self, batch: Batch, index: int) -> None:
        """Keeps what the model says."""
        self._windows += scored_windows(batch, self.model(batch))

    def on_validation_epoch_end(self) -> None:
        """Scores the whole split."""
        windows, self._windows = _of_all_processes(self._windows), []
        if self.trainer.sanity_checking:
            return
        scores = official_window_scores([self._judged(window) for window in windows])
        logged = {f"val/{name}": scores[key] for key, name in LOGGED.items()}
        for name, value in logged.items():
            if not math.isnan(value):
                self.log(name, value, prog_bar=name == "val/P", sync_dist=True)

    def _judged(self, window: ScoredWindow) -> ScoredWindow:
        """The window with the labels that judge the model alone."""
        labels = window.labels.of_tasks(self.judged_by)
        return replace(window, labels=labels, expressions=self.expressions)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Optimizer and schedule over all steps of the run; a loss may learn weights of its own."""
        learnt = nn.ModuleList([self.model, self.loss])
        steps = int(self.trainer.estimated_stepping_batches)
        return optimizer_and_schedule(learnt, self.optimizer_settings, steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the payload."""
        checkpoint[KEY] = self.payload

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses a checkpoint that this run cannot go on from.

        The run's own payload stays: what it says of settings and normalisers holds from now on.

        Raises:
            UserError: If it is none of ours, or of another model or other streams.
        """
        if KEY not in checkpoint:
            raise UserError("the checkpoint is none of this project's; start a new run")
        held, own = checkpoint[KEY], self.payload
        others = [part for part in FIXED if held.get(part) != own.get(part)]
        if not same_model(own["model"], modern(held["model"])):
            others.append("model")
        if others:
            raise UserError(
                f"the checkpoint to go on from was made with other {', '.join(others)};"
                " use the settings it was made with or start a new run"
            )


def _labelled(batch: Batch, task: str) -> bool:
    return bool(getattr(batch.targets, f"{task}_mask").any())


def scored_windows(batch: Batch, scores: Scores) -> list[ScoredWindow]:
    """Takes a batch apart, padding left behind."""
    joined = torch.cat([scores.va, scores.expr, scores.au], dim=-1).float().cpu().numpy()
    labels = {name: rows.cpu().numpy() for name, rows in vars(batch.targets).items()}
    windows = []
    for row, count in enumerate(batch.frames.sum(dim=1).tolist()):
        truth = FrameLabels(**{name: rows[row, :count] for name, rows in labels.items()})
        clip, start = int(batch.clip[row]), int(batch.start[row])
        windows.append(ScoredWindow(clip, start, joined[row, :count], truth))
    return windows


def official_window_scores(windows: Iterable[ScoredWindow]) -> dict[str, float]:
    """Official scores over all frames of all clips; a window that comes twice counts once.

    The expression is the class of the highest logit; a unit is on where its probability is at
    least .5.
    """
    clips: dict[int, dict[int, ScoredWindow]] = {}
    for window in windows:
        clips.setdefault(window.clip, {})[window.start] = window
    metrics = MetricAccumulator()
    for _, parts in sorted(clips.items()):
        metrics.expressions |= next(iter(parts.values())).expressions
        labels, scores = _whole_clip([parts[start] for start in sorted(parts)])
        va, expr, au = np.split(scores, _SPLIT_AT, axis=1)
        metrics.add(labels, va, expr.argmax(axis=1), expit(au) >= 0.5)
    return metrics.scores()


def _whole_clip(windows: list[ScoredWindow]) -> tuple[FrameLabels, np.ndarray]:
    """Labels of F frames and scores (F, 22) from the windows of one clip."""
    frames = max(window.start + len(window.labels) for window in windows)
    labels = FrameLabels.empty(frames)
    for window in windows:
        for name, rows in vars(window.labels).items():
            getattr(labels, name)[window.start : window.start + len(rows)] = rows
    scores = stitch([window.scores for window in windows], [w.start for w in windows], frames)
    return labels, scores


def _of_all_processes(windows: list[ScoredWindow]) -> list[ScoredWindow]:
    """The windows of all processes of a distributed run; the same in each of them."""
    if not (dist.is_available() and dist.is_initialized()):
        return windows
    gathered: list[list[ScoredWindow]] = [[] for _ in range(dist.get_world_size())]
    dist.all_gather_object(gathered, windows)
    return [window for part in gathered for window in part]


def require_plain(value: object, where: str) -> None:
    """Raises TypeError, naming the place, for what `weights_only` loading would refuse."""
    if isinstance(value, dict):
        for key, item in value.items():
            require_plain(key, f"key of {where}")
            require_plain(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            require_plain(item, f"{where}[{index}]")
    elif type(value) not in (type(None), bool, int, float, str, Tensor):
        raise TypeError(f"{where} is {type(value).__name__}: a checkpoint takes plain values only")
