"""Which tasks there are, and how they are made from a recipe.

A task is known by its name: `fusion/tasks/NAME.py` is looked at when it is asked for, and a task
of another package when its module has been imported (the setting `plugins`).
"""

import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from features.cli.app import updated
from features.errors import UserError
from fusion.tasks.base import Task

DEFAULT = ("va", "expr", "au")
"""Tasks of ABAW's multi-task challenge: what recipes, files and checkpoints that name none have."""
FORMER = ("compound",)
"""Further tasks that files from before they named their tasks may hold."""
_KNOWN: dict[str, type[Task[Any, Any]]] = {}

T = TypeVar("T", bound=type[Task[Any, Any]])
Tasks = Mapping[str, Task[Any, Any]]
"""Tasks by name, in the order of their columns."""


def register(task: T) -> T:
    """Class decorator: makes a task known by its name.

    Raises:
        ValueError: If another class has the name.
    """
    other = _KNOWN.setdefault(task.name, task)
    if other is not task and other.__module__ != task.__module__:
        raise ValueError(f"two tasks are called '{task.name}': {other} and {task}")
    _KNOWN[task.name] = task
    return task


def known_tasks() -> list[str]:
    """Names of all tasks, those of ABAW first."""
    import fusion.tasks

    for module in pkgutil.iter_modules(fusion.tasks.__path__):
        if not module.ispkg:
            importlib.import_module(f"fusion.tasks.{module.name}")
    return [*DEFAULT, *sorted(_KNOWN.keys() - set(DEFAULT))]


def task_type(name: str) -> type[Task[Any, Any]]:
    """The class of a task.

    Raises:
        UserError: If there is none of this name; says the nearest.
    """
    if name not in _KNOWN:
        known = known_tasks()
        if name not in _KNOWN:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise UserError(
                f"tasks: there is no task '{name}'; did you mean '{near}'? known are"
                f" {', '.join(known)}"
            )
    return _KNOWN[name]


def make_task(name: str, settings: Mapping[str, Any] | None = None) -> Task[Any, Any]:
    """A task with its settings; what they do not say has its default.

    Raises:
        UserError: For an unknown task or setting, or a value that makes no sense.
    """
    kind = task_type(name)
    if not settings:
        return kind()
    return kind(updated(kind.Settings(), settings, f"tasks.{name}"))


def make_tasks(settings: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Task[Any, Any]]:
    """Tasks of a recipe: name to settings.

    Raises:
        UserError: As `make_task`, and if two of them have a column of one name.
    """
    made = {name: make_task(name, own) for name, own in settings.items()}
    owners: dict[str, str] = {}
    for name, task in made.items():
        for column in task.columns:
            if owners.setdefault(column, name) != name:
                raise UserError(
                    f"tasks.{name} and tasks.{owners[column]} both have '{column}'; rename one"
                )
    return made


def default_tasks() -> dict[str, Task[Any, Any]]:
    """`DEFAULT` with their default settings."""
    return {name: make_task(name) for name in DEFAULT}


def task_called(word: str) -> str:
    """The name of the task that has this name or title, in any case.

    Raises:
        UserError: If there is none; says the nearest.
    """
    titles = {task_type(name).title.lower(): name for name in known_tasks()}
    name = titles.get(word.lower(), word.lower())
    task_type(name)
    return name


def sources_of(names: Iterable[str]) -> list[str]:
    """Tasks of whose labels these are learnt: themselves, and those that they are made of."""
    return list(dict.fromkeys(each for n in names for each in (made_of(n), n) if each))


def made_of(name: str) -> str:
    """Task of whose labels this one is made; empty: its own, or it is not known here."""
    try:
        return task_type(name).made_of
    except UserError:
        return ""


def title_of(name: str) -> str:
    """As people call a task; of one that is not known here, its name in capitals."""
    try:
        return task_type(name).title
    except UserError:
        return name.upper()
