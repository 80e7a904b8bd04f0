"""One training run: trained, gone on with, or found finished.

Data flow: annotations + tracks > windows > AffectModule under a Lightning Trainer > best.ckpt,
last.ckpt and logs (metrics.csv, TensorBoard) in RUNS/NAME.
"""

import shutil
import subprocess
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from features.cli import UserError
from features.demo_data import default_store, root_or_demo
from features.encoders.registry import encoder_of
from features.extract import ExtractSettings, SourceSettings, extract
from features.pipeline import library_versions
from fusion.checkpoint import KEY, make_payload, read_payload
from fusion.corpora import read_corpus
from fusion.data import AffectDataModule, DataSettings
from fusion.losses import (
    LossSettings,
    MultiTaskLoss,
    au_pos_weights,
    expr_weights,
    label_counts,
)
from fusion.model.affect import AffectModel
from fusion.model.settings import ModelSettings
from fusion.module import AffectModule, OptimizerSettings
from fusion.trainer import BEST, LAST, is_first_process, make_trainer, quiet_lightning

DONE = "finished"
"""Empty file in a run's folder that says that training came to its end."""
SEARCH = "search"
"""Folder of a search within RUNS/NAME; a run that is trained anew leaves it alone."""


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
        seed: Of weights, order and dropout.
        seeds: Seeds to train with, one run each; empty: the one seed.
        folds: Number of folds of train + validation, by person and video, each held out once from
            a run of its own; 0: one run on the corpus's own split, or on data.fold.
        precision: Lightning's precision; auto: bf16-mixed on a GPU, 32-true on a CPU.
        devices: Number of devices (processes); auto: all GPUs, or one process on a CPU.
        fresh: Train anew even if the run's folder holds a run; that one is deleted.
    """

    name: str = "mtl"
    runs: Path = Path("runs")
    data: DataSettings = field(default_factory=DataSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    epochs: int = 100
    patience: int = 30
    seed: int = 1
    seeds: list[int] = field(default_factory=list)
    folds: int = 0
    precision: str = "auto"
    devices: int | None = None
    fresh: bool = False


def train(settings: TrainSettings) -> Path:
    """Trains, goes on with a killed run, or finds the run finished.

    Returns:
        Checkpoint of the epoch with the best official score on validation.

    Raises:
        UserError: If data is missing, or the folder holds a run with other settings.
    """
    settings = with_data(settings)
    assert settings.data.root is not None
    folder = settings.runs / settings.name
    config = plain(settings)
    clips = read_corpus(settings.data.root)
    data = AffectDataModule(
        clips,
        settings.data.tracks(),
        settings.data,
        seed=settings.seed,
        tasks=tasks_learnt(settings.loss),
    )
    if settings.fresh and is_first_process():
        clear(folder)
    resume = find_run(folder, config, data)
    if (folder / DONE).exists():
        print(f"{folder}: finished before; --fresh true trains it anew")
        return folder / BEST

    pl.seed_everything(settings.seed, verbose=False)
    data.setup("fit")
    print("\n".join(data.lines()))
    module = make_module(settings, data, config)
    with quiet_lightning():
        trainer = make_trainer(
            folder,
            epochs=settings.epochs,
            patience=settings.patience,
            precision=settings.precision,
            devices=settings.devices,
        )
        try:
            trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
        except SystemExit as stop:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from stop
    (folder / DONE).touch()
    return folder / BEST


def with_data(settings: TrainSettings) -> TrainSettings:
    """The settings with root and store filled in; the demo corpus is made and extracted first."""
    root = root_or_demo(settings.data.root)
    store = settings.data.store or default_store(root)
    if settings.data.root is None:
        encoders = sorted({encoder_of(stream) for stream in settings.data.streams})
        source = SourceSettings(root=root, store=store)
        summary = extract(ExtractSettings(data=source, encoders=encoders))
        if summary.failures:
            summary.print()
            raise UserError("the demo corpus could not be extracted; see the lines above")
    return replace(settings, data=replace(settings.data, root=root, store=store))


def clear(folder: Path) -> None:
    """Deletes the run in a folder, if there is one."""
    for path in folder.glob("*"):
        if path.is_dir() and path.name != SEARCH:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()


def find_run(folder: Path, config: dict[str, Any], data: AffectDataModule) -> Path | None:
    """Checkpoint to go on from, None for a new run.

    Raises:
        UserError: If the folder's run has other settings, was made from other tracks, or has seen
            clips that are held out now.
    """
    last = folder / LAST
    if not last.is_file():
        return None
    payload = read_payload(last)[KEY]
    changed = [key for key in config if config[key] != payload["config"].get(key)]
    seen = set(payload["provenance"]["train_clips"]) - {clip.id for clip in data.splits["train"]}
    complaints = {
        f"with other settings ({', '.join(changed)})": bool(changed),
        f"on other tracks than those in {data.store.root}": (
            payload["specs"] != {name: asdict(spec) for name, spec in data.specs.items()}
        ),
        f"that has trained on clips held out now ({', '.join(sorted(seen)[:3])})": bool(seen),
    }
    for complaint, true in complaints.items():
        if true:
            raise UserError(
                f"{folder} holds a run {complaint};"
                " choose another --name, or --fresh true to delete it"
            )
    return last


def make_module(
    settings: TrainSettings, data: AffectDataModule, config: dict[str, Any]
) -> AffectModule:
    """Model, loss weighted by the training labels, and what the checkpoint is to hold."""
    counts = label_counts(data.datasets["train"].labels)
    loss = MultiTaskLoss(
        settings.loss,
        expr_weights(counts, settings.loss.balance),
        au_pos_weights(counts, settings.loss.balance),
    )
    dims = {name: spec.dim for name, spec in data.specs.items()}
    payload = make_payload(
        config=config,
        model=settings.model,
        specs=data.specs,
        normalisers=data.normalisers,
        align_window=settings.data.align_window,
        window=settings.data.window,
        stride=settings.data.stride,
        adaptation=settings.data.adaptation(),
        provenance=provenance(settings, data),
    )
    return AffectModule(AffectModel(settings.model, dims), loss, settings.optimizer, payload)


def provenance(settings: TrainSettings, data: AffectDataModule) -> dict[str, Any]:
    """What a model comes from: corpora, clips, labels seen, code and versions."""
    root = settings.data.root
    corpora = [root.name if root else "", *data.extra]
    return {
        "corpus": " + ".join(corpora),
        "train_clips": [clip.id for clip in data.datasets["train"].clips],
        "validation_clips": [clip.id for clip in data.datasets["validation"].clips],
        "tasks": tasks_learnt(settings.loss),
        "git": git_revision(),
        "versions": library_versions(),
    }


def tasks_learnt(loss: LossSettings) -> list[str]:
    """Tasks that the loss gives any weight."""
    return [task for task in ("va", "expr", "au") if getattr(loss, task)]


def git_revision() -> str:
    """Commit of the code, empty outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine
        return ""
    return result.stdout.strip()


# Where a run lies, how long it may last and what others are trained do not make it another run.
_NOT_CONFIG = ("fresh", "runs", "devices", "seeds", "folds")


def plain(settings: TrainSettings) -> dict[str, Any]:
    """All settings that make the run what it is, as plain values."""
    values = asdict(settings)
    return {key: _plain(value) for key, value in values.items() if key not in _NOT_CONFIG}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
