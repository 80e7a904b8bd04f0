"""A recipe trained: one run, or several stages, each of which uses what earlier ones have made.

Data flow: settings > runs of the stages in RUNS/NAME/STAGE > features and scores of every clip for
the stages that ask for them > RUNS/NAME/best.ckpt, in which each task is answered by the network
of the stage that does it best on the clips held out.

What a stage may take from earlier ones: their weights to start from, their features as input, their
scores as teachers. A killed run goes on in the stage, and at the clip, where it was; a stage is
refused if its settings have changed, or what it has taken.
"""

import logging
import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import UserError
from features.store.atomic_file import write_atomically
from features.store.fingerprint import library_versions, weights_hash
from fusion.corpora import read_corpus
from fusion.data.loading.datamodule import AffectDataModule
from fusion.data.loading.splits import TRAIN, VALIDATION
from fusion.data.run_identity import plain
from fusion.data.seen import JUDGED, TRAINED, joined_clips
from fusion.data.stage_outputs import FEATURES, OUTPUTS, SCORES, StageInputs, StageOutputs
from fusion.inference.checkpoint import write_assembly
from fusion.inference.payload import KEY, read_payload
from fusion.tasks.base import Task
from fusion.training.config import Stage, TrainSettings, check_training, stage_settings
from fusion.training.run import train_run, with_data
from fusion.training.run_folder import DONE, alone_in, clear, git_revision, require_stages
from fusion.training.stage_export import export_outputs, read_stage
from fusion.training.stage_tasks import fit_recipe
from fusion.training.trainer import BEST
from fusion.training.validation import score_held_out

log = logging.getLogger(__name__)

TABLE = "stages.csv"
"""Validation scores of the stages, in the folder of the run."""
OUTSIDE = "outside"
"""Folder for outputs of models that are no stages of the recipe."""


def train(settings: TrainSettings) -> Path:
    """Trains a recipe, goes on with a killed run, or finds it finished.

    Returns:
        Its checkpoint: of the epoch with the best official score on validation, or put together
        of the stages.

    Raises:
        UserError: If data is missing, settings make no sense, the folder holds another run, or
            somebody else is training it.
    """
    with alone_in(settings.runs, settings.name):
        return _train(settings)


def _train(settings: TrainSettings) -> Path:
    check_training(settings)
    if not settings.stages:
        return train_run(settings)
    settings = replace(with_data(settings), devices=1)
    folder = settings.runs / settings.name
    settings, remarks = fit_recipe(settings, lambda name: outside(name, folder).tasks)
    for remark in remarks:
        log.info("%s", remark)
    if settings.fresh:
        clear(folder)
        settings = replace(settings, fresh=False)
    require_stages(folder)
    done: dict[str, StageOutputs] = {}
    for number, stage in enumerate(settings.stages, 1):
        log.info("stage %d of %d: %s", number, len(settings.stages), stage.name)
        own = stage_settings(settings, stage)
        inputs = stage_inputs(stage, own, done, folder)
        best = train_run(own, inputs)
        done[stage.name] = read_stage(stage.name, best, best.parent / OUTPUTS)
    return put_together(settings, done)


def stage_inputs(
    stage: Stage, settings: TrainSettings, done: Mapping[str, StageOutputs], folder: Path
) -> StageInputs:
    """What a stage takes from those before it; their outputs are made where they are not there.

    Args:
        stage: Which.
        settings: Its own.
        done: The stages before it.
        folder: Of the recipe's run.
    """
    known = {need: done.get(need) or outside(need, folder) for need in stage.needs}
    inputs = StageInputs(
        feeds=tuple(known[name] for name in stage.feeds),
        teachers=tuple(known[name] for name in stage.teachers),
        start={part: known[name] for part, name in stage.start.items()},
    )
    if stage.feeds or stage.teachers:
        _make_outputs(stage, settings, inputs, done)
    return inputs


def outside(name: str, folder: Path) -> StageOutputs:
    """A model that is no stage of the recipe, named by its checkpoint."""
    path = Path(name)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint; python -m fusion.train makes one")
    own = folder / OUTSIDE / f"{path.parent.name}-{weights_hash(path)}"
    return read_stage(path.parent.name, path, own / OUTPUTS)


def _make_outputs(
    stage: Stage, settings: TrainSettings, inputs: StageInputs, done: Mapping[str, StageOutputs]
) -> None:
    """Outputs for the clips that the stage is trained and validated on."""
    root = settings.data.root
    assert root is not None
    clips, tracks = read_corpus(root, settings.data.challenge), settings.data.tracks()
    sources = AffectDataModule(clips, tracks, settings.data, inputs=inputs).sources
    fed = {one.name for one in inputs.feeds}
    for one in {one.name: one for one in (*inputs.feeds, *inputs.teachers)}.values():
        taught = one.name in {teacher.name for teacher in inputs.teachers}
        kinds = [FEATURES] * (one.name in fed) + [SCORES] * taught
        for split in (TRAIN, VALIDATION) if one.name in fed else (TRAIN,):
            export_outputs(one, sources[split], kinds, settings.data.align_window, done)


def put_together(settings: TrainSettings, done: Mapping[str, StageOutputs]) -> Path:
    """Writes the recipe's checkpoint, unless it is there; says how the stages score.

    Which stage answers a task is chosen on the clips held out, as epochs are.
    """
    folder, last = settings.runs / settings.name, settings.stages[-1].name
    best = folder / BEST
    unnamed = [task for task in done[last].says if task not in settings.answers]
    named = {**settings.answers, **{task: [last] for task in unnamed}}
    every = {task: made for one in done.values() for task, made in one.says.items()}
    named = {task: named[task] for task in every if task in named}
    scores = _scores(settings, done, named)
    answers = {task: _choice(every[task], names, scores) for task, names in named.items()}
    config = plain(settings)
    if not (folder / DONE).exists() or not _is_of(best, answers, done):
        several = [task for task, names in named.items() if len(names) > 1]
        rivals = [task for task in several if not every[task].made_of]
        provenance = _provenance(done, answers, rivals)
        paths = {task: done[name].checkpoint for task, name in answers.items()}
        write_assembly(best, paths, config=config, provenance=provenance)
        (folder / DONE).touch()
    log.info("%s", ", ".join(_told(settings, task, name) for task, name in answers.items()))
    return best


def _told(settings: TrainSettings, task: str, name: str) -> str:
    """Which stage answers a task, for the user to read."""
    stage = next(one for one in settings.stages if one.name == name)
    made = stage_settings(settings, stage).made_tasks()[task]
    return f"{task.upper()} by {name}" if made.weight else f"{task.upper()} not learnt"


def _scores(
    settings: TrainSettings, done: Mapping[str, StageOutputs], named: Mapping[str, list[str]]
) -> dict[str, dict[str, float]]:
    """Official scores on the clips held out, of the stages among which there is a choice."""
    rivals = {name for names in named.values() if len(names) > 1 for name in names}
    scores = {
        stage.name: score_held_out(
            stage_settings(settings, stage), done[stage.name].checkpoint
        ).scores()
        for stage in settings.stages
        if stage.name in rivals
    }
    if scores:
        table = pd.DataFrame(scores).T
        path = settings.runs / settings.name / TABLE
        write_atomically(path, table.to_csv(index_label="stage").encode())
        log.info("%s", table.to_string(float_format="{:.3f}".format, na_rep="-"))
    return scores


def _choice(task: Task, names: list[str], scores: Mapping[str, dict[str, float]]) -> str:
    """The stage with the best score; the first named of equal ones."""
    if len(names) == 1 or task.made_of:
        return names[0]
    return max(names, key=lambda name: _judged(scores[name].get(task.title, math.nan)))


def _judged(score: float) -> float:
    """The score that tells; least for one that has not learnt the task."""
    return -math.inf if math.isnan(score) else score


def _is_of(best: Path, answers: Mapping[str, str], done: Mapping[str, StageOutputs]) -> bool:
    """Whether a checkpoint has been put together of these very stages."""
    if not best.is_file():
        return False
    held = read_payload(best)[KEY].get("answers")
    return bool(held == {task: done[name].revision for task, name in answers.items()})


def _provenance(
    done: Mapping[str, StageOutputs], answers: Mapping[str, str], chosen: Collection[str]
) -> dict[str, Any]:
    """What the stages come from, together.

    Args:
        done: All of them.
        answers: Task to the stage that answers it.
        chosen: Tasks whose stage was chosen by labels held out.
    """
    origins = [read_payload(one.checkpoint)[KEY]["provenance"] for one in done.values()]
    lists = {
        part: sorted({item for origin in origins for item in origin.get(part, ())})
        for part in ("train_clips", "validation_clips", "tasks", "selected")
    }
    lists["selected"] = sorted({*lists["selected"], *chosen})
    corpora = sorted({origin["corpus"] for origin in origins}, key=len)
    return {
        "corpus": corpora[-1],
        **lists,
        "learnt": [task for task, name in answers.items() if task in done[name].tasks],
        **{
            part: joined_clips(origin.get(part, {}) for origin in origins)
            for part in (TRAINED, JUDGED)
        },
        "git": git_revision(),
        "versions": library_versions(),
    }
