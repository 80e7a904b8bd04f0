"""Older names of a recipe's settings, put in their places of today; taken for one release.

Before tasks had settings of their own, those of valence-arousal, expressions, action units and
compound expressions lay under `loss` and `model`.

    older text > `modern` (of a file), `modern_option` (of a command line) > today's
"""

import logging
from collections.abc import Mapping
from typing import Any

from features.errors import UsageError
from fusion.tasks.registry import DEFAULT, FORMER

_VALUES, _CLASSES, _BINARY = DEFAULT
_COMPOUND = FORMER[0]
OLDER = {
    **{f"loss.{task}": f"tasks.{task}.weight" for task in (*DEFAULT, _COMPOUND)},
    "loss.balance": f"tasks.{_CLASSES}.balance",
    "loss.label_smoothing": f"tasks.{_CLASSES}.label_smoothing",
    "loss.au_balance": f"tasks.{_BINARY}.balance",
    "loss.au_kind": f"tasks.{_BINARY}.loss",
    "loss.va_kind": f"tasks.{_VALUES}.loss",
    "loss.compound_share": f"tasks.{_COMPOUND}.share",
    "model.va_bins": f"tasks.{_VALUES}.bins",
    "model.bin_values": f"tasks.{_VALUES}.bin_values",
    "model.compound": f"tasks.{_COMPOUND}",
}
"""Dotted name to that of today."""
logger = logging.getLogger(__name__)


def modern(settings: Mapping[str, Any], *, whole: bool = True, told: bool = True) -> dict[str, Any]:
    """Settings of a file with what has an older name in its place of today; says what is moved.

    Args:
        settings: Nested as in the file; with a `base`, what is other than in that.
        whole: Whether tasks that it does not name are those of `DEFAULT`: not so of a stage, or of
            what has a base.
        told: Whether to say so.

    >>> modern({"model": {"va_bins": 20}, "loss": {"va_kind": "ccc"}}, whole=False)
    {'model': {}, 'loss': {}, 'tasks': {'va': {'loss': 'ccc', 'bins': 20}}}
    """
    found = {k: dict(v) if isinstance(v, Mapping) else v for k, v in settings.items()}
    moved: dict[str, dict[str, Any]] = {}
    named = []
    for old, new in OLDER.items():
        section, _, key = old.partition(".")
        if isinstance(found.get(section), dict) and key in found[section]:
            _put(moved, new, found[section].pop(key))
            named.append(old)
    idle: dict[str, Any] = {}
    weight = moved.get(_COMPOUND, {}).get("weight")
    if not weight and (whole or weight is None):  # nothing was learnt of them
        idle = moved.pop(_COMPOUND, {})
        idle.pop("weight", None)
    if named:
        if told:
            _tell(named)
        start: dict[str, Any] = {name: {} for name in DEFAULT} if whole else {}
        tasks = start | dict(found.get("tasks") or {})
        found["tasks"] = tasks | {n: {**(tasks.get(n) or {}), **own} for n, own in moved.items()}
    if isinstance(found.get("stages"), list):
        known = _COMPOUND in (found.get("tasks") or {})
        found["stages"] = [_modern_stage(stage, idle, known) for stage in found["stages"]]
    return found


def modern_name(name: str) -> str:
    """A dotted setting, e.g. `loss.va`, by its name of today.

    Raises:
        UsageError: For one that is none any more.
    """
    if OLDER.get(name) == f"tasks.{_COMPOUND}":
        raise UsageError(
            f"{name}: compound expressions are a task now; in its place set"
            f" tasks.{_COMPOUND}.weight to 1"
        )
    if name in OLDER:
        _tell([name])
    return OLDER.get(name, name)


def modern_option(word: str) -> str:
    """A word of a command line, `--loss.va` or `--loss.va=0`, under its name of today."""
    option, equals, value = word.partition("=")
    if not option.startswith("--"):
        return word
    return f"--{modern_name(option.removeprefix('--'))}{equals}{value}"


def _modern_stage(stage: Any, idle: Mapping[str, Any], known: bool) -> Any:
    """A stage in today's names.

    Args:
        stage: As in the file.
        idle: What the recipe says of compound expressions without learning them itself.
        known: Whether it learns them itself.
    """
    if not isinstance(stage, Mapping) or not isinstance(stage.get("settings"), Mapping):
        return stage
    settings = modern(stage["settings"], whole=False)
    own = (settings.get("tasks") or {}).get(_COMPOUND)
    if own and own.get("weight") == 0 and not known:
        del settings["tasks"][_COMPOUND]
    elif own:
        settings["tasks"][_COMPOUND] = {**idle, **own}
    return {**stage, "settings": settings}


def _put(moved: dict[str, dict[str, Any]], new: str, value: Any) -> None:
    """A value under its dotted name of today, below `tasks`."""
    task, _, setting = new.removeprefix("tasks.").partition(".")
    own = moved.setdefault(task, {})
    if setting:  # else it only said that there is the task
        own[setting] = value


def _tell(older: list[str]) -> None:
    new = ", ".join(OLDER[name] for name in older)
    logger.warning("%s: older, goes with the next release; write %s", ", ".join(older), new)
