"""What of a recipe can be trained on the labels that there are, told before any of it is.

Data flow: recipe + labels of its clips > stages that have something to learn, each without the
tasks that nothing teaches it > the recipe that is trained, and lines that say what is left out.

A stage is left out if no training clip has a label of its tasks and no teacher knows them, if no
clip held out has one to choose its epoch by, or if it is fed by stages alone that are left out.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from features.errors import UserError
from fusion.corpora import read_corpus
from fusion.data.loading.datamodule import AffectDataModule
from fusion.data.loading.multi_corpus import Source
from fusion.data.loading.splits import TRAIN, VALIDATION
from fusion.losses.config import check_loss
from fusion.model.settings import check_settings
from fusion.streams.clip_tracks import find_track
from fusion.tasks.base import Task
from fusion.tasks.registry import Tasks
from fusion.training.config import CHECKPOINT, Stage, TrainSettings, stage_settings


@dataclass(frozen=True)
class LabelledTasks:
    """Tasks of which clips with tracks have a label.

    Attributes:
        train: Clips that are trained on, of all corpora.
        held_out: Clips that are validated on.
        dims: Stream name to dimensions, of all streams of the recipe.
    """

    train: frozenset[str]
    held_out: frozenset[str]
    dims: Mapping[str, int]


def fit_recipe(
    settings: TrainSettings, known: Callable[[str], Iterable[str]]
) -> tuple[TrainSettings, list[str]]:
    """The recipe without what cannot be trained, and lines that say what that is.

    Args:
        settings: With root and store filled in.
        known: File of a checkpoint > tasks that it can teach.

    Raises:
        UserError: If nothing can be trained, the store lacks a stream of any stage, or a stage's
            settings make no sense.
    """
    own_settings = [stage_settings(settings, stage) for stage in settings.stages]
    labels = _Labels(own_settings)
    learnt: dict[str, frozenset[str]] = {}
    stages, lines, lacking = list[Stage](), list[str](), set[str]()
    every: dict[str, Task] = {}
    for stage, own in zip(settings.stages, own_settings, strict=True):
        there = labels.of(own)
        teachers = [one for one in stage.teachers if one.endswith(CHECKPOINT) or one in learnt]
        taught = {t for one in teachers for t in learnt.get(one, ()) or known(one)}
        made = own.made_tasks()
        every |= made
        wanted = {name for name, task in made.items() if task.weight}
        tasks = frozenset(wanted & (_with_made(there.train, made) | taught))
        lost = [name for name in stage.feeds if not _is_there(name, learnt)]
        feeds = [name for name in stage.feeds if name not in lost]
        fault = _fault(wanted, tasks, there, made, own.keep == "best")
        if not fault and not own.data.streams and not feeds:
            fault = f"it is fed by {', '.join(lost)} alone" if lost else ""
        lacking |= wanted - tasks
        if fault:
            lines.append(f"stage '{stage.name}' is left out: {fault}")
            continue
        start = {part: name for part, name in stage.start.items() if _is_there(name, learnt)}
        fitted = replace(
            stage,
            settings=_without(stage, wanted - tasks, own),
            start=start,
            feeds=feeds,
            teachers=teachers,
        )
        lines += _remarks(stage, fitted)
        _check(own, there.dims, feeds)
        learnt[stage.name] = tasks
        stages.append(fitted)
    if not stages:
        raise UserError(
            f"{settings.data.root}: {lines[0]}, and so are all others; see data.root, data.extra"
            " and the weights under tasks"
        )
    lacking = {task for task in lacking if not any(task in tasks for tasks in learnt.values())}
    if lacking:
        lines.append(
            f"not learnt, so that what the model says of it means nothing: {_names(lacking)}"
        )
    return replace(settings, stages=stages, answers=_answers(settings, learnt, every)), lines


class _Labels:
    """Labels of the data of stages, each read once."""

    def __init__(self, stages: Iterable[TrainSettings]) -> None:
        self._streams = list(dict.fromkeys(name for own in stages for name in own.data.streams))
        self._known: dict[str, LabelledTasks] = {}

    def of(self, own: TrainSettings) -> LabelledTasks:
        """Labels of the clips of a stage with these settings."""
        data = replace(own.data, streams=self._streams)
        where = (data.root, data.store, data.extra, data.challenge, data.fold, data.folds)
        if str(where) not in self._known:
            assert data.root is not None
            clips = read_corpus(data.root, data.challenge)
            module = AffectDataModule(clips, data.tracks(), data)
            self._known[str(where)] = LabelledTasks(
                _tasks(module.sources[TRAIN], self._streams),
                _tasks(module.sources[VALIDATION], self._streams),
                {name: spec.dim for name, spec in module.specs.items()},
            )
        return self._known[str(where)]


def _tasks(sources: Iterable[Source], streams: Iterable[str]) -> frozenset[str]:
    """Tasks of which a clip with a track has a label."""
    return frozenset(
        task
        for one in sources
        if any(find_track(one.store, stream, one.own) for stream in streams)
        for task in one.clip.labels.tasks()
    )


def _with_made(tasks: frozenset[str], made: Tasks) -> frozenset[str]:
    """Tasks of which there are labels, and those that are made of these."""
    return tasks | {name for name, task in made.items() if task.made_of in tasks}


def _is_there(name: str, learnt: Mapping[str, object]) -> bool:
    return name.endswith(CHECKPOINT) or name in learnt


def _fault(
    wanted: Iterable[str],
    tasks: Iterable[str],
    there: LabelledTasks,
    made: Tasks,
    chosen: bool,
) -> str:
    """Why a stage cannot be trained; empty if it can."""
    if not set(tasks):
        return f"no training clip has a label of {_needed(wanted, made)}, and no teacher knows it"
    if chosen and not set(tasks) & _with_made(there.held_out, made):
        return f"no validation clip has a label of {_needed(tasks, made)} to choose its epoch by"
    return ""


def _without(stage: Stage, tasks: Iterable[str], own: TrainSettings) -> dict[str, Any]:
    """Settings of a stage with a weight of 0 for some tasks."""
    if not set(tasks):
        return stage.settings
    none = {name: {**(own.tasks[name] or {}), "weight": 0.0} for name in sorted(tasks)}
    return {**stage.settings, "tasks": {**stage.settings.get("tasks", {}), **none}}


def _remarks(stage: Stage, fitted: Stage) -> list[str]:
    """What a stage does without, for others are left out."""
    said = list[str]()
    parts = {part: name for part, name in stage.start.items() if part not in fitted.start}
    said += [f"'{part}' does not start from '{name}'" for part, name in parts.items()]
    for what in ("feeds", "teachers"):
        lost = [name for name in getattr(stage, what) if name not in getattr(fitted, what)]
        said += [f"no '{name}' among its {what}" for name in lost]
    return [f"stage '{stage.name}': {', '.join(said)}"] if said else []


def _check(own: TrainSettings, dims: Mapping[str, int], feeds: list[str]) -> None:
    """Raises UserError for settings of a stage that make no model."""
    own.data.check(fed=bool(feeds))
    tasks = own.made_tasks()
    check_settings(own.model, {name: dims[name] for name in own.data.streams}, feeds, tasks)
    check_loss(own.loss, tasks)


def _answers(
    settings: TrainSettings, learnt: Mapping[str, frozenset[str]], every: Tasks
) -> dict[str, list[str]]:
    """Stages that may answer each task: those named that learn it, else the last that does."""
    answers = {}
    for task, names in settings.answers.items():
        able = [name for name, tasks in learnt.items() if task in tasks]
        chosen = [name for name in names if name in able] or able[-1:]
        if chosen or not every[task].made_of:
            answers[task] = chosen or [list(learnt)[-1]]  # an answer that means nothing
    return answers


def _needed(tasks: Iterable[str], made: Tasks) -> str:
    """Tasks whose labels are needed."""
    return _names({made[task].made_of or task for task in tasks})


def _names(names: Iterable[str]) -> str:
    return ", ".join(name.upper() for name in sorted(names))
