"""Lightning's Trainer as this project uses it: what is kept, logged and said.

Files in a run's folder: `best.ckpt` and `last.ckpt`; `logs/version_N` with metrics.csv and
TensorBoard events, one N for each time the run was started; `wandb`, `mlruns` of those loggers.
"""

import importlib
import inspect
import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, Checkpoint, EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from features.cli.progress import is_on_screen, tell
from features.errors import UserError
from fusion.metrics.official import UndefinedScore

log = logging.getLogger(__name__)

BEST, LAST = "best.ckpt", "last.ckpt"
TRAINING = "train"
"""What the progress of epochs is called."""
Keep = Literal["best", "last"]


def make_trainer(
    folder: Path,
    *,
    epochs: int,
    patience: int,
    precision: str,
    devices: int | None,
    keep: Keep = "best",
    clip: float | None = 1.0,
    accumulate: int = 1,
    loggers: Sequence[str] = ("csv", "tensorboard"),
    callbacks: Sequence[Callback] = (),
) -> pl.Trainer:
    """A Trainer that keeps the best and the last epoch, stops early and logs.

    Args:
        folder: Of the run.
        epochs: Most epochs.
        patience: Epochs without a better `val/P` after which it stops.
        precision: Lightning's; auto: bf16-mixed on a GPU, 32-true on a CPU.
        devices: Number of processes; None: all GPUs, or one process on a CPU.
        keep: Which epoch `best.ckpt` holds: that of the best `val/P`, or the last, with which
            there is no early stop.
        clip: Greatest norm of the gradient; None: any.
        accumulate: Batches of a step.
        loggers: Their names.
        callbacks: Further ones.
    """
    bar = is_on_screen() and sys.stderr.isatty()
    on_gpu = torch.cuda.is_available()
    auto = "bf16-mixed" if on_gpu else "32-true"
    chosen: Any = auto if precision == "auto" else precision
    kept = KeptEpochs(
        folder,
        "best",
        monitor="val/P" if keep == "best" else None,
        mode="max",
        enable_version_counter=False,
    )
    own: list[Callback] = [kept, LastEpoch(folder / LAST)]
    if keep == "best":
        own.insert(0, Patience("val/P", mode="max", patience=patience))
    own.append(EpochTold(line=not bar))
    return pl.Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=devices or ("auto" if on_gpu else 1),
        precision=chosen,
        max_epochs=epochs,
        gradient_clip_val=clip,
        accumulate_grad_batches=accumulate,
        callbacks=[*own, *callbacks],
        logger=make_loggers(loggers, folder),
        enable_progress_bar=bar,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )


def make_loggers(names: Sequence[str], folder: Path) -> list[Logger]:
    """Lightning's loggers of a run, in the order of their names.

    Args:
        names: Of csv, tensorboard, wandb, mlflow.
        folder: Of the run, whose name is that of the run with them too.
    """
    version = CSVLogger(folder, name="logs").version
    made: list[Logger] = []
    for name in names:
        if name == "csv":
            made.append(CSVLogger(folder, name="logs", version=version))
        elif name == "tensorboard":
            made.append(TensorBoardLogger(folder, name="logs", version=version))
        elif name == "wandb":
            from pytorch_lightning.loggers import WandbLogger

            made.append(WandbLogger(name=folder.name, save_dir=folder, project="affuse"))
        else:
            from pytorch_lightning.loggers import MLFlowLogger

            made.append(MLFlowLogger("affuse", run_name=folder.name, save_dir=f"{folder}/mlruns"))
    return made


def make_callback(path: str, settings: dict[str, Any]) -> Callback:
    """A callback of somebody else's.

    Args:
        path: Module and class with dots between, e.g. `my_package.callbacks.Freeze`.
        settings: What its constructor takes.

    Raises:
        UserError: If there is no such class, it is no callback of Lightning, or does not take them.
    """
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"callbacks: {path} cannot be imported: {error}") from error
    if not (inspect.isclass(kind) and issubclass(kind, Callback)):
        raise UserError(f"callbacks: {path} is no subclass of pytorch_lightning.Callback")
    try:
        return kind(**settings)
    except (TypeError, ValueError, MisconfigurationException) as error:
        raise UserError(f"callbacks: {path} cannot be made: {error}") from error


class KeptEpochs(ModelCheckpoint):
    """Goes on knowing its best epoch when the folder of the run has been moved meanwhile."""

    @property
    def state_key(self) -> str:
        """Of Lightning's own callback, so that checkpoints know only one."""
        return str(super().state_key).replace(type(self).__qualname__, ModelCheckpoint.__name__)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over the state of another leg, with paths in the folder as it is called now."""
        assert self.dirpath is not None
        here = Path(self.dirpath)

        def moved(path: str) -> str:
            return str(here / Path(path).name) if path else path

        best = {moved(path): score for path, score in state_dict["best_k_models"].items()}
        paths = {k: moved(state_dict[k]) for k in state_dict if k.endswith("_path")}
        super().load_state_dict(
            state_dict | paths | {"best_k_models": best, "dirpath": self.dirpath}
        )


class LastEpoch(Checkpoint):
    """Keeps each epoch in place of the one before.

    Lightning's `save_last` keeps but the last of the epochs that were better than all before.

    Args:
        path: Where.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the checkpoint, when the best epoch and the patience are known."""
        trainer.save_checkpoint(self.path)


class Patience(EarlyStopping):
    """Goes on with the patience that is asked for now."""

    @property
    def state_key(self) -> str:
        """Of Lightning's own callback, so that checkpoints know only one."""
        return str(super().state_key).replace(type(self).__qualname__, EarlyStopping.__name__)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over the state of another leg but for its patience."""
        super().load_state_dict(state_dict | {"patience": self.patience})


class EpochTold(Callback):
    """Tells of each epoch that it is done.

    Args:
        line: Log its loss and scores too, where there is no bar.
    """

    def __init__(self, line: bool) -> None:
        self.line = line

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs the epoch's loss and scores."""
        if not trainer.is_global_zero:
            return
        tell(TRAINING, (trainer.current_epoch + 1) / (trainer.max_epochs or 1))
        if not self.line:
            return
        metrics = trainer.callback_metrics
        names = [n for n in ("train/total", "val/P") if n in metrics]
        text = "  ".join(f"{name} {float(metrics[name]):.3f}" for name in names)
        log.info("epoch %d/%d  %s", trainer.current_epoch + 1, trainer.max_epochs, text)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keeps Lightning's advice and advertisements off the user's screen."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning.*")
        warnings.filterwarnings("ignore", message=".*LeafSpec.*")
        warnings.filterwarnings("ignore", category=UndefinedScore)  # else once an epoch
        try:
            yield
        finally:
            logger.setLevel(level)


def is_first_process() -> bool:
    """Whether this process speaks for all of a distributed run."""
    return getattr(rank_zero_only, "rank", 0) == 0
