"""Settings of a training run, and of the stages that a recipe may have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from features.cli.app import updated
from features.cli.config_files import OlderKeys
from features.errors import UsageError, UserError
from fusion.data.loading.config import DataSettings
from fusion.losses import older_keys
from fusion.losses.config import LossSettings, check_loss
from fusion.model.settings import ModelSettings, check_settings
from fusion.tasks.base import Task
from fusion.tasks.registry import DEFAULT, make_tasks
from fusion.training.optimizer import OptimizerSettings

CHECKPOINT = ".ckpt"
_INSTALLED, _CHECKOUT = Path(__file__).parents[1] / "recipes", Path(__file__).parents[2] / "configs"
RECIPES = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
"""Folder of the shipped recipes: `configs` of a checkout, which is `fusion/recipes` in a wheel."""
LoggerName = Literal["csv", "tensorboard", "wandb", "mlflow"]
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
"""Those of Lightning's in which losses and scores are those of 32 bits."""


@dataclass(frozen=True)
class Stage:
    """One run of a recipe, told by how it differs from the recipe's own settings.

    Earlier stages are named by their names, models from elsewhere by their checkpoints' files.

    Attributes:
        name: Of the stage, and of its folder in the run's.
        settings: Settings that are other than the recipe's, nested as in the recipe.
        start: Part of the model (`encoders`, `fusion`, `temporal`, `heads.va`, ...; "" for all that
            both have) to the stage whose weights it starts from.
        feeds: Stages whose features of each frame are added to the fused streams.
        teachers: Stages whose scores it learns from besides the labels.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    start: dict[str, str] = field(default_factory=dict)
    feeds: list[str] = field(default_factory=list)
    teachers: list[str] = field(default_factory=list)

    @property
    def needs(self) -> list[str]:
        """Stages that must come before."""
        return [*self.start.values(), *self.feeds, *self.teachers]


@dataclass(frozen=True)
class CallbackSettings:
    """A callback of Lightning's or of your own that training calls too.

    Attributes:
        path: Module and class with dots between.
        settings: What its constructor takes.
    """

    path: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class TrainSettings:
    """Settings of a training run.

    Args:
        name: Name of the run and of its folder.
        runs: Folder of all runs.
        data: Where the data lies and how it is cut.
        model: Size and shape of the model.
        tasks: What is learnt: task to its settings (fusion/tasks/NAME.py), `null` for the defaults;
            `false` takes one away that the recipe would have.
        loss: How the losses of the tasks are joined, and what teachers add.
        optimizer: How it is learnt.
        epochs: Most passes over the training windows.
        patience: Epochs without a better validation P after which training stops.
        keep: Epoch that counts: the one with the best validation P, or the last.
        seed: Of weights, order and dropout.
        seeds: Seeds to train with, one run each; empty: the one seed.
        folds: Number of folds of train + validation, by person and video, each held out once from
            a run of its own; 0: one run on the corpus's own split, or on data.fold.
        precision: Lightning's; auto: bf16-mixed on a GPU, 32-true on a CPU.
        devices: Number of devices (processes); auto: all GPUs, or one process on a CPU.
        loggers: Where losses and scores are logged: csv, tensorboard, wandb, mlflow; the latter two
            must be installed.
        callbacks: Further callbacks: `{path: my_package.Freeze, settings: {epochs: 3}}`, ...
        fresh: Train anew even if the run's folder holds a run; that one is deleted.
        stages: Stages of the recipe, in order, each a run of its own; none: one run.
        answers: Task to the stages that may answer it: of several, the
            one with the best validation score does. A task not named: the last stage.
        plugins: Modules of yours that are imported first, e.g. my_blocks: what they register can be
            named in the settings.
    """

    POSITIONAL: ClassVar[str] = "cfg"
    ESSENTIAL: ClassVar[tuple[str, ...]] = (
        "data.root",
        "data.store",
        "data.streams",
        "data.extra",
        "name",
        "runs",
        "epochs",
        "patience",
        "seeds",
        "folds",
        "model.dim",
        "model.fusion",
        "model.temporal",
        "optimizer.name",
        "optimizer.lr",
        "data.batch",
        "devices",
        "fresh",
    )

    SHIPPED: ClassVar[Path] = RECIPES
    OLDER_KEYS: ClassVar[OlderKeys] = older_keys

    name: str = "mtl"
    runs: Path = Path("runs")
    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    tasks: dict[str, Any] = field(default_factory=lambda: {name: {} for name in DEFAULT})
    loss: LossSettings = field(default_factory=LossSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    epochs: int = 100
    patience: int = 30
    keep: Literal["best", "last"] = "best"
    seed: int = 1
    seeds: list[int] = field(default_factory=list)
    folds: int = 0
    precision: Precision = "auto"
    devices: int | None = None
    loggers: list[LoggerName] = field(default_factory=lambda: ["csv", "tensorboard"])
    callbacks: list[CallbackSettings] = field(default_factory=list)
    fresh: bool = False
    stages: list[Stage] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    plugins: list[str] = field(default_factory=list)

    def made_tasks(self) -> dict[str, Task]:
        """The tasks, in the order of the recipe.

        Raises:
            UserError: For an unknown task or setting, or one that lacks the task it is made of.
        """
        made = make_tasks({name: own for name, own in self.tasks.items() if own is not False})
        for name, task in made.items():
            if task.made_of and task.made_of not in made:
                raise UserError(
                    f"tasks.{name} learns from labels of {task.made_of}; name tasks.{task.made_of}"
                    " too, with weight 0 if it is not to be learnt itself"
                )
        return made


def stage_settings(settings: TrainSettings, stage: Stage) -> TrainSettings:
    """Settings of the run of one stage.

    Raises:
        UsageError: For a setting that there is not, or of another type.
    """
    own = replace(settings, stages=[], answers={}, name=f"{settings.name}/{stage.name}")
    changes = dict(stage.settings)
    if isinstance(changes.get("model"), Mapping):
        changes["model"] = settings.model.of_stage(changes["model"])
    return updated(own, changes, f"stage '{stage.name}'")


def check_training(settings: TrainSettings) -> None:
    """Raises UserError, naming the setting, for settings of which no training can come.

    To be called before any work is done; what needs the data is found out when that is read.
    """
    _check_run(settings)
    if settings.stages:
        check_stages(settings)
    else:
        _check_parts(settings)


def _check_run(settings: TrainSettings) -> None:
    seeds, finite = [settings.seed, *settings.seeds], range(2**32)
    parts = settings.name.split("/")
    rules = {
        f"name '{settings.name}' cannot be that of a folder below runs": (
            all(part and not part.startswith(".") for part in parts)
        ),
        f"epochs must be at least 1: {settings.epochs}": settings.epochs >= 1,
        f"patience must be at least 1: {settings.patience}": settings.patience >= 1,
        f"precision must be one of {', '.join(get_args(Precision))}: {settings.precision}": (
            settings.precision in get_args(Precision)
        ),
        f"devices must be at least 1: {settings.devices}": (
            settings.devices is None or settings.devices >= 1
        ),
        f"seeds must lie between 0 and {2**32 - 1}: {seeds}": all(s in finite for s in seeds),
        f"seeds must differ from each other: {settings.seeds}": (
            len(set(settings.seeds)) == len(settings.seeds)
        ),
        f"folds must be 0 or at least 2: {settings.folds}": (
            settings.folds >= 0 and settings.folds != 1
        ),
        "folds trains every fold, data.fold one of them; leave one of the two out": (
            not settings.folds or settings.data.fold is None
        ),
        "devices must be 1 with stages, folds or seeds; leave it out": (
            settings.devices in (None, 1)
            or not (settings.stages or settings.folds or settings.seeds)
        ),
    }
    for complaint, fine in rules.items():
        if not fine:
            raise UserError(complaint)
    _check_extensions(settings)


def _check_extensions(settings: TrainSettings) -> None:
    """Raises UserError for loggers and callbacks that are not there."""
    for name in settings.loggers:
        if name not in get_args(LoggerName):
            raise UserError(f"loggers: '{name}' is none of {', '.join(get_args(LoggerName))}")
        if name in ("wandb", "mlflow") and find_spec(name) is None:
            raise UserError(f"loggers: {name} is not installed; pip install {name}, or take it out")
    if settings.callbacks:
        from fusion.training.trainer import make_callback  # torch

        for one in settings.callbacks:
            make_callback(one.path, one.settings)


def _check_parts(settings: TrainSettings, feeds: Sequence[str] = ()) -> None:
    """Checks data, model, loss and optimizer of one run."""
    settings.data.check(fed=bool(feeds))
    tasks = settings.made_tasks()
    check_settings(settings.model, dict.fromkeys(settings.data.streams, 1), feeds, tasks)
    check_loss(settings.loss, tasks)
    settings.optimizer.check()


def check_stages(settings: TrainSettings) -> None:
    """Raises UserError, naming the stage, for stages that make no sense, before any is trained."""
    earlier: list[str] = []
    for stage in settings.stages:
        _require_name(stage.name, earlier)
        for need in stage.needs:
            if not need.endswith(CHECKPOINT) and need not in earlier:
                known = ", ".join(earlier) or "there is none"
                raise UserError(
                    f"stage '{stage.name}' needs '{need}', which is no stage before it ({known})"
                )
        try:
            own = stage_settings(settings, stage)
            _check_run(own)
            _check_parts(own, stage.feeds)
        except UsageError:
            raise
        except UserError as error:
            raise UserError(f"stage '{stage.name}': {error}") from error
        earlier.append(stage.name)
    known_tasks = {task for one in settings.stages for task in stage_settings(settings, one).tasks}
    for task, names in settings.answers.items():
        if task not in known_tasks:
            raise UserError(
                f"answers: '{task}' is no task of a stage; those are"
                f" {', '.join(sorted(known_tasks))}"
            )
        if not names or (unknown := [name for name in names if name not in earlier]):
            said = ", ".join(unknown) if names else "nothing"
            raise UserError(f"answers.{task} names {said}; stages are {', '.join(earlier)}")


def _require_name(name: str, earlier: list[str]) -> None:
    if not name or name.startswith(".") or "/" in name or name.endswith(CHECKPOINT):
        raise UserError(f"'{name}' cannot name a stage: it is the name of a folder")
    if name in earlier:
        raise UserError(f"two stages are called '{name}'; rename one")
