"""Lightning module: Batch > AffectModel > MultiTaskLoss > optimizer; windows > official scores.

Validation keeps the scores of all windows, puts each clip together again and scores all valid
frames of the split at once, as `fusion.evaluate` does; nothing is averaged over batches.

Letters: B windows, T frames of a window, N real frames of a window, F frames of a clip.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch import distributed as dist

from features.errors import UserError
from fusion.data.batch import Batch, Scores
from fusion.data.run_identity import changed_tasks, same_model
from fusion.inference.network import WEIGHTS, NetworkReader, known_settings, slim
from fusion.inference.older_formats import brought_up, weights_brought_up
from fusion.inference.payload import ANSWERS, KEY, NETWORKS, read_payload
from fusion.losses.config import LossSettings
from fusion.losses.multitask import MultiTaskLoss, fitted_of
from fusion.metrics.official import TOTAL
from fusion.metrics.windows import ScoredWindow, official_window_scores, scored_windows
from fusion.model.affect import AffectModel
from fusion.training.optimizer import OptimizerSettings, optimizer_and_schedule

FIXED = ("specs", "feeds")
"""Parts of the payload that a run cannot change when it goes on from a checkpoint."""


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


class AffectModule(pl.LightningModule):
    """Trains an AffectModel and scores it on the validation split.

    Logs `train/TASK` for each task (only where a batch has such labels, or a teacher) and
    `train/total`, and after each validation `val/P`, the score of each task
    and of its parts (`val/VA`, `val/CCC_V`, `val/EXPR_F1`, ...), of the
    tasks that are learnt, without those that have no label.

    Args:
        model: The model; in the state it is found under `model.`.
        loss: Its loss.
        optimizer: How to step.
        payload: What the checkpoint holds besides weights, under
        `fusion.inference.payload.KEY`: tensors
            and plain Python values, so that `torch.load(..., weights_only=True)` reads it.
        judged_by: Tasks that are scored, and whose sum is `val/P`: those that are learnt; None:
            all of the model's.
        classes: Task to the names of the classes that the data set has (see `Clip.classes`).

    Raises:
        TypeError: If the payload holds anything else.
    """

    def __init__(
        self,
        model: AffectModel,
        loss: MultiTaskLoss,
        optimizer: OptimizerSettings,
        payload: dict[str, Any],
        judged_by: Collection[str] | None = None,
        classes: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        super().__init__()
        require_plain(payload, KEY)
        self.model = model
        self.loss = loss
        self.optimizer_settings = optimizer
        self.payload = payload
        judges = model.tasks if judged_by is None else judged_by
        self.judges = {name: task for name, task in model.tasks.items() if name in judges}
        self.classes = dict(classes or {})
        self._windows: list[ScoredWindow] = []
        self._means: dict[str, RunningMean] = {}

    @classmethod
    def load_from_checkpoint(
        cls, checkpoint_path: Any, map_location: Any = None, *_: Any, **others: Any
    ) -> "AffectModule":
        """The module of a run's checkpoint, in training mode as Lightning has it.

        Args:
            checkpoint_path: The file.
            map_location: Device to put it on; None: the CPU.
            *_: Lightning's other options, of no use here.
            **others: Likewise.

        Raises:
            UserError: If it cannot be read, or was put together of several stages.
        """
        path = Path(checkpoint_path)
        content = read_payload(path)
        payload = content[KEY]
        if ANSWERS in payload:
            raise UserError(
                f"{path}: put together of several stages; load the checkpoint of one of them,"
                f" {path.parent}/STAGE/{path.name}"
            )
        model = NetworkReader(payload.get(NETWORKS, {})).read(slim(payload, content[WEIGHTS])).model
        config, state = payload["config"], content[WEIGHTS]
        how = known_settings(LossSettings, config.get("loss", {}))
        loss = MultiTaskLoss(how, model.tasks, fitted_of(state, model.tasks))
        optimizer = known_settings(OptimizerSettings, config.get("optimizer", {}))
        judges = payload["provenance"].get("selected") or None
        module = cls(model, loss, optimizer, payload, judges)
        own = module.state_dict()
        module.load_state_dict(own | {k: v for k, v in state.items() if k in own})
        return module.train().to(map_location or "cpu")

    def forward(self, batch: Batch) -> Scores:
        """Scores of every frame."""
        return self.model(batch)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Weighted loss of a batch."""
        features = self.model.features(batch)
        losses = self.loss(self.model.heads(features), batch.targets, batch.teacher, batch.frames)
        for name, task in self.model.tasks.items():
            if task.by_features and task.weight:
                losses[name] = self._by_features(name, features, batch)
                losses["total"] = losses["total"] + task.weight * losses[name]
        for name, value in losses.items():
            if _known(batch, name):
                self._means.setdefault(name, RunningMean()).add(value.detach(), len(batch.clip))
        if self.trainer.is_last_batch:  # Lightning's own mean over steps costs as much as a step
            for name, mean in self._means.items():
                self.log(f"train/{name}", mean.value, on_step=False, on_epoch=True, batch_size=1)
            self._means = {}
        return losses["total"]

    def _by_features(self, name: str, features: Tensor, batch: Batch) -> Tensor:
        """Loss of a task that learns from what its head reads."""
        heads: Any = self.model.heads
        frames = heads.frames_of(name, features)
        task = self.model.tasks[name]
        loss = task.feature_loss(heads.head_of(name), frames, batch.targets, self.current_epoch)
        assert loss is not None
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """Keeps what the model says."""
        self._windows += scored_windows(batch, self.model(batch), self.model.tasks)

    def on_validation_epoch_end(self) -> None:
        """Scores the whole split."""
        windows, self._windows = _of_all_processes(self._windows), []
        if self.trainer.sanity_checking:
            return
        scores = official_window_scores(windows, self.model.tasks, self.judges, self.classes)
        named = {task.title: task.logged or task.title for task in self.judges.values()}
        for name, value in scores.items():
            if not math.isnan(value):
                shown = name == TOTAL
                self.log(f"val/{named.get(name, name)}", value, prog_bar=shown, sync_dist=True)

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
        held, own = brought_up(checkpoint[KEY]), self.payload
        checkpoint[WEIGHTS] = weights_brought_up(checkpoint.get(WEIGHTS, {}))
        others = [part for part in FIXED if held.get(part) != own.get(part)]
        if not same_model(own["model"], held["model"]):
            others.append("model")
        others += changed_tasks(own["tasks"], held["tasks"])
        if others:
            raise UserError(
                f"the checkpoint to go on from was made with other {', '.join(others)};"
                " use the settings it was made with or start a new run"
            )


def _known(batch: Batch, name: str) -> bool:
    """Whether a batch has something to learn a task from; so for what is no task."""
    return name not in batch.targets or bool(batch.teacher) or bool(batch.targets[name].mask.any())


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
