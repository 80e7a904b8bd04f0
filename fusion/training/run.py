"""One training run: trained, gone on with, or found finished.

Data flow: annotations + tracks > windows > AffectModule under a Lightning Trainer > best.ckpt,
last.ckpt and logs (metrics.csv, TensorBoard) in RUNS/NAME.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from features.cli.default_corpus import default_store, root_or_demo
from features.cli.progress import is_on_screen
from features.encoders.registry import encoder_of
from features.errors import UserError
from features.extract import ExtractSettings, SourceSettings, extract
from features.store.fingerprint import library_versions
from fusion.corpora import read_corpus
from fusion.data.loading.datamodule import AffectDataModule
from fusion.data.loading.sampling import labelled_frames
from fusion.data.loading.splits import TRAIN, VALIDATION
from fusion.data.run_identity import plain
from fusion.data.seen import JUDGED, TRAINED, clips_by_task, joined_clips
from fusion.data.stage_outputs import NO_INPUTS, StageInputs, StageOutputs
from fusion.inference.checkpoint import kept_networks
from fusion.inference.network import PREFIX, WEIGHTS
from fusion.inference.payload import make_payload, read_payload
from fusion.losses.config import check_loss
from fusion.losses.multitask import MultiTaskLoss, fit_losses
from fusion.model.affect import AffectModel
from fusion.tasks.clips import classes_of
from fusion.tasks.registry import Tasks, default_tasks
from fusion.training.config import TrainSettings
from fusion.training.lightning_module import AffectModule
from fusion.training.run_folder import DONE, clear, find_run, git_revision, mark_finished
from fusion.training.trainer import (
    BEST,
    is_first_process,
    make_callback,
    make_trainer,
    quiet_lightning,
)

log = logging.getLogger(__name__)


def train_run(settings: TrainSettings, inputs: StageInputs = NO_INPUTS) -> Path:
    """Trains, goes on with a killed run, or finds the run finished.

    Args:
        settings: Of the run.
        inputs: What earlier stages hand on.

    Returns:
        Checkpoint of the epoch with the best official score on validation, or of the last one.

    Raises:
        UserError: If data is missing, or the folder holds a run with other settings.
    """
    settings = with_data(settings)
    assert settings.data.root is not None
    folder = settings.runs / settings.name
    tasks = settings.made_tasks()
    config = plain(settings) | {"inputs": inputs.config(), "tasks": described(tasks)}
    data = AffectDataModule(
        read_corpus(settings.data.root, settings.data.challenge),
        settings.data.tracks(),
        settings.data,
        seed=settings.seed,
        tasks=tasks,
        inputs=inputs,
    )
    inputs.check(tasks, data.splits[VALIDATION])
    if settings.fresh and is_first_process():
        clear(folder)
    defaults = plain(TrainSettings()) | {
        "inputs": NO_INPUTS.config(),
        "tasks": described(default_tasks()),
    }
    found = find_run(folder, config, data, defaults)
    if is_first_process():
        for remark in found.remarks:
            log.info("%s", remark)
    if found.finished:
        log.info("%s: finished before; --fresh true trains it anew", folder)
        return folder / BEST
    (folder / DONE).unlink(missing_ok=True)

    pl.seed_everything(settings.seed, verbose=False)
    data.setup("fit")
    log.info("%s", "\n".join(data.lines()))
    require_labels(data)
    require_judge(settings, data)
    module = make_module(settings, data, config)
    with quiet_lightning():
        trainer = make_trainer(
            folder,
            epochs=settings.epochs,
            patience=settings.patience,
            precision=settings.precision,
            devices=settings.devices,
            keep=settings.keep,
            clip=settings.optimizer.clip,
            accumulate=settings.optimizer.accumulate,
            loggers=settings.loggers,
            callbacks=[make_callback(one.path, one.settings) for one in settings.callbacks],
        )
        try:
            trainer.fit(module, datamodule=data, ckpt_path=found.resume, weights_only=True)
        except SystemExit as stop:  # what Lightning makes of Ctrl-C
            raise KeyboardInterrupt from stop
    mark_finished(folder, config, early=trainer.current_epoch < settings.epochs)
    return folder / BEST


def described(tasks: Tasks) -> dict[str, Any]:
    """Tasks with all their settings, as plain values."""
    return {name: plain(task.settings) for name, task in tasks.items()}


def require_labels(data: AffectDataModule) -> None:
    """Raises UserError if there is nothing to learn: no label of any task, and no teacher."""
    if data.inputs.teachers or labels_seen(data):
        return
    learnt = tasks_learnt(data.tasks)
    names = ", ".join(data.tasks[name].title for name in learnt) or "any task"
    raise UserError(
        f"{data.settings.root}: no training clip has a label of {names}, and nothing else is"
        " learnt; see data.root, data.extra and the weights under tasks"
    )


def require_judge(settings: TrainSettings, data: AffectDataModule) -> None:
    """Raises UserError if no label of what is learnt is held out, by which an epoch is chosen."""
    if settings.keep == "last" or judged_by(data):
        return
    names = ", ".join(data.tasks[name].title for name in learnt(data))
    raise UserError(
        f"{settings.data.root}: no validation clip has a label of what is learnt ({names}), by"
        " which the best epoch is chosen; hold people out with data.fold, or set keep to last"
    )


def with_data(settings: TrainSettings) -> TrainSettings:
    """The settings with root and store filled in; the demo corpus is made and extracted first."""
    root = root_or_demo(settings.data.root)
    store = settings.data.store or default_store(root)
    if settings.data.root is None:
        encoders = sorted({encoder_of(stream) for stream in settings.data.streams})
        source = SourceSettings(root=root, store=store)
        workers = "auto" if is_on_screen() else "0"  # no processes behind a notebook's back
        summary = extract(ExtractSettings(data=source, encoders=encoders, workers=workers))
        if summary.failures:
            log.info("%s", summary)
            raise UserError("the demo corpus could not be extracted; see the lines above")
    return replace(settings, data=replace(settings.data, root=root, store=store))


def make_module(
    settings: TrainSettings, data: AffectDataModule, config: dict[str, Any]
) -> AffectModule:
    """Model, loss weighted by the training labels, and what the checkpoint is to hold."""
    check_loss(settings.loss, data.tasks)
    fitted = fit_losses(data.tasks, data.datasets[TRAIN].labels)
    loss = MultiTaskLoss(settings.loss, data.tasks, fitted)
    inputs = data.inputs
    dims = {name: spec.dim for name, spec in data.specs.items()}
    model = AffectModel(settings.model, dims, [one.name for one in inputs.feeds], data.tasks)
    start_from(model, inputs.start)
    payload = make_payload(
        config=config,
        model=settings.model,
        tasks=config["tasks"],
        specs=data.specs,
        normalisers=data.normalisers,
        align_window=settings.data.align_window,
        window=settings.data.window,
        stride=settings.data.stride,
        adaptation=settings.data.adaptation(),
        provenance=provenance(settings, data),
        feeds={one.name: one.revision for one in inputs.feeds},
        networks={r: n for one in inputs.feeds for r, n in kept_networks(one.checkpoint).items()},
    )
    classes = classes_of(data.datasets[VALIDATION].clips)
    return AffectModule(model, loss, settings.optimizer, payload, judged_by(data), classes)


def start_from(model: AffectModel, start: Mapping[str, StageOutputs]) -> None:
    """Copies weights of earlier stages into parts of a model.

    Args:
        model: Is changed.
        start: Part of the model to the stage; "" stands for all parts that both have.

    Raises:
        UserError: If a stage lacks a part that is named, or has it in another shape.
    """
    own = model.state_dict()
    for part, stage in sorted(start.items()):  # "" first, so that what is named overrides it
        state = read_payload(stage.checkpoint)[WEIGHTS]
        theirs = {k.removeprefix(PREFIX): v for k, v in state.items() if k.startswith(PREFIX)}
        wanted = [key for key in own if not part or f"{key}.".startswith(f"{part}.")]
        if not part:
            wanted = [key for key in wanted if key in theirs]
        bad = [k for k in wanted if k not in theirs or theirs[k].shape != own[k].shape]
        if bad or not wanted:
            raise UserError(
                f"'{part or 'the model'}' cannot start from stage '{stage.name}': it has no"
                f" {bad[0] if bad else part} of this shape there; give both stages the same"
                " model settings or leave the part out of start"
            )
        own |= {key: theirs[key] for key in wanted}
    model.load_state_dict(own)


def provenance(settings: TrainSettings, data: AffectDataModule) -> dict[str, Any]:
    """What a model comes from: corpora, clips, labels seen, code and versions."""
    root = settings.data.root
    corpora = [root.name if root else "", *data.extra]
    judges = judged_by(data) if settings.keep == "best" else []
    held_out = data.datasets[VALIDATION]
    return {
        "corpus": " + ".join(corpora),
        "train_clips": [clip.id for clip in data.datasets[TRAIN].clips],
        "validation_clips": [clip.id for clip in held_out.clips],
        "content": data.content(),
        "learnt": learnt(data),
        "tasks": sorted({*labels_seen(data), *data.inputs.tasks()}),
        "selected": judges,
        TRAINED: joined_clips(
            [
                clips_by_task(data.shown(TRAIN), labels_seen(data)),
                *data.inputs.trained(),
            ]
        ),
        JUDGED: clips_by_task(data.shown(VALIDATION), judges),
        "git": git_revision(),
        "versions": library_versions(),
    }


def tasks_learnt(tasks: Tasks) -> list[str]:
    """Tasks that are given any weight."""
    return [name for name, task in tasks.items() if task.weight]


def labels_seen(data: AffectDataModule) -> list[str]:
    """Tasks whose labels are trained on: those with weight, or of which such a one is made."""
    dataset, tasks = data.datasets[TRAIN], data.tasks
    wanted = {tasks[name].made_of or name for name in tasks_learnt(tasks)}
    return [n for n in tasks if n in wanted and labelled_frames(dataset, tasks[n]).any()]


def learnt(data: AffectDataModule) -> list[str]:
    """Tasks whose heads are trained: with weight, and labels or a teacher that knows them."""
    taught = {task for teacher in data.inputs.teachers for task in teacher.tasks}
    known = taught | set(labels_seen(data))
    return [n for n in tasks_learnt(data.tasks) if (data.tasks[n].made_of or n) in known]


def judged_by(data: AffectDataModule) -> list[str]:
    """Tasks that are learnt and have labels held out: the best epoch is that of their scores."""
    dataset, tasks = data.datasets[VALIDATION], data.tasks
    return [n for n in learnt(data) if labelled_frames(dataset, tasks[n]).any()]
