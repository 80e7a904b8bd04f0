"""Settings of a training run, and of the stages that a recipe may have."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from features.cli import UserError, updated
from fusion.data_settings import DataSettings
from fusion.loss_settings import LossSettings
from fusion.model.settings import ModelSettings
from fusion.optimizer import OptimizerSettings

TASKS = ("va", "expr", "au", "compound")
"""What a stage may answer."""
CHECKPOINT = ".ckpt"


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


@dataclass
class TrainSettings:
    """Settings of a training run.

    Args:
        name: Name of the run and of its folder.
        runs: Folder of all runs.
        data: Where the data lies and how it is cut.
        model: Size and shape of the model.
        loss: What is learnt how eagerly.
        optimizer: How it is learnt.
        epochs: Most passes over the training windows.
        patience: Epochs without a better validation P after which training stops.
        keep: Epoch that counts: the one with the best validation P, or the last.
        seed: Of weights, order and dropout.
        seeds: Seeds to train with, one run each; empty: the one seed.
        folds: Number of folds of train + validation, by person and video, each held out once from
            a run of its own; 0: one run on the corpus's own split, or on data.fold.
        precision: Lightning's precision; auto: bf16-mixed on a GPU, 32-true on a CPU.
        devices: Number of devices (processes); auto: all GPUs, or one process on a CPU.
        fresh: Train anew even if the run's folder holds a run; that one is deleted.
        stages: Stages of the recipe, in order, each a run of its own; none: one run.
        answers: Task (va, expr, au, compound) to the stages that may answer it: of several, the
            one with the best validation score does. A task not named: the last stage.
    """

    name: str = "mtl"
    runs: Path = Path("runs")
    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    epochs: int = 100
    patience: int = 30
    keep: Literal["best", "last"] = "best"
    seed: int = 1
    seeds: list[int] = field(default_factory=list)
    folds: int = 0
    precision: str = "auto"
    devices: int | None = None
    fresh: bool = False
    stages: list[Stage] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)


def stage_settings(settings: TrainSettings, stage: Stage) -> TrainSettings:
    """Settings of the run of one stage.

    Raises:
        UsageError: For a setting that there is not, or of another type.
    """
    own = replace(settings, stages=[], answers={}, name=f"{settings.name}/{stage.name}")
    return updated(own, stage.settings, f"stage '{stage.name}'")


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
        stage_settings(settings, stage)
        earlier.append(stage.name)
    for task, names in settings.answers.items():
        if task not in TASKS:
            raise UserError(f"answers: '{task}' is no task; known are {', '.join(TASKS)}")
        if not names or (unknown := [name for name in names if name not in earlier]):
            said = ", ".join(unknown) if names else "nothing"
            raise UserError(f"answers.{task} names {said}; stages are {', '.join(earlier)}")


def _require_name(name: str, earlier: list[str]) -> None:
    if not name or name.startswith(".") or "/" in name or name.endswith(CHECKPOINT):
        raise UserError(f"'{name}' cannot name a stage: it is the name of a folder")
    if name in earlier:
        raise UserError(f"two stages are called '{name}'; rename one")
