"""The space of a search, and its values in a recipe.

Data flow: YAML file (dotted key: {low, high, log} or {choices}) > Dimensions > values by key
> settings.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from features.cli.app import updated
from features.cli.config_files import find_config, read_mapping
from features.errors import UserError
from fusion.losses.older_keys import modern_name
from fusion.model.older_settings import modern_key
from fusion.training.config import RECIPES, TrainSettings

if TYPE_CHECKING:
    from optuna import Trial

S = TypeVar("S")

SEARCH = "search"
"""Folder of a search within RUNS/NAME; a run that is trained anew leaves it alone."""
_WHERE_AND_WHAT = "name runs fresh seed seeds folds devices plugins"
_WHICH_DATA = "data.root data.store data.cache data.fold data.folds"
FIXED = frozenset(f"{_WHERE_AND_WHAT} {_WHICH_DATA}".split())
"""Settings that decide what a score means, or where things lie: no part of a search."""


@dataclass(frozen=True)
class Dimension:
    """One setting that is searched: a range, or choices.

    Attributes:
        key: Dotted, e.g. `optimizer.lr`.
        low, high: Ends of the range; whole numbers for a setting that is one.
        log: Whether the range is even in its logarithm.
        choices: Instead of a range, values as JSON text, so that lists can be chosen too.
    """

    key: str
    low: float = 0
    high: float = 0
    log: bool = False
    choices: tuple[str, ...] = ()

    def suggest(self, trial: "Trial") -> Any:
        """Optuna's value of this setting for a trial."""
        if self.choices:
            return json.loads(trial.suggest_categorical(self.key, list(self.choices)))
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.key, self.low, self.high, log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, log=self.log)


def read_space(path: Path, recipe: TrainSettings) -> list[Dimension]:
    """Reads and checks a space.

    Args:
        path: Of a file, or the name of a shipped space, e.g. `mtl`.
        recipe: Whose settings are searched.

    Raises:
        UserError: If the file is absent or ill-formed, or a key or value cannot be in the recipe.
    """
    content = read_mapping(find_config(str(path), RECIPES / "spaces"))
    if not content:
        raise UserError(f"{path}: expected lines such as 'optimizer.lr: {{low: 1e-4, high: 1e-2}}'")
    return [_dimension(f"{path}: {key}", str(key), spec, recipe) for key, spec in content.items()]


def _dimension(where: str, key: str, spec: Any, recipe: TrainSettings) -> Dimension:
    """One checked line of the space."""
    key = modern_key(modern_name(key), recipe.model)
    current = _current(where, key, recipe)
    if key in FIXED:
        raise UserError(f"{where} cannot be searched; take it out")
    if isinstance(spec, dict) and set(spec) == {"choices"}:
        choices = spec["choices"]
        if not isinstance(choices, list) or not choices:
            raise UserError(f"{where}: choices must be a list of values")
        made = Dimension(key, choices=tuple(json.dumps(one) for one in choices))
        values = choices
    elif isinstance(spec, dict) and {"low", "high"} <= set(spec) <= {"low", "high", "log"}:
        made = _range(where, key, spec, whole=type(current) is int)
        values = [made.low, made.high]
    else:
        raise UserError(f"{where}: give {{low, high}}, {{low, high, log: true}} or {{choices}}")
    for value in values:
        _require_legal(where, key, value, recipe)
    return made


def _range(where: str, key: str, spec: Mapping[str, Any], whole: bool) -> Dimension:
    try:
        low, high = float(spec["low"]), float(spec["high"])
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: low and high must be numbers") from error
    log = spec.get("log", False)
    rules = {
        "low must be below high": low < high,
        "log must be true or false": isinstance(log, bool),
        "low must be above 0 with log": not log or low > 0,
        "low and high must be whole numbers": not whole or low % 1 == high % 1 == 0,
    }
    for complaint, fine in rules.items():
        if not fine:
            raise UserError(f"{where}: {complaint}")
    return Dimension(key, int(low) if whole else low, int(high) if whole else high, log)


def _current(where: str, key: str, recipe: TrainSettings) -> Any:
    """The recipe's value of a dotted key; UserError, with the nearest right one, if unknown."""
    value: Any = recipe
    for part in key.split("."):
        inner = _inner(value)
        if part not in inner:
            near = difflib.get_close_matches(key, _keys(recipe), n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise UserError(f"{where} is no setting of a training run{hint}")
        value = inner[part]
    if is_dataclass(value):
        raise UserError(f"{where} is a group of settings; name one of them, such as {key}.NAME")
    return value


def _inner(value: Any) -> dict[str, Any]:
    """What a group of settings, or a choice with settings of its own, holds; empty for others."""
    if isinstance(value, TrainSettings):
        return vars(value) | {"tasks": {n: t.settings for n, t in value.made_tasks().items()}}
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return dict(value) if isinstance(value, Mapping) else {}


def _keys(settings: Any, prefix: str = "") -> list[str]:
    """All dotted keys."""
    keys: list[str] = []
    for name, value in _inner(settings).items():
        keys += [prefix + name] * (not is_dataclass(value)) + _keys(value, f"{prefix}{name}.")
    return keys


def _require_legal(where: str, key: str, value: Any, recipe: TrainSettings) -> None:
    """UserError if the recipe cannot have the value."""
    change = value
    for part in reversed(key.split(".")):
        change = {part: change}
    updated(recipe, change, where)


def with_values(settings: S, values: Mapping[str, Any]) -> S:
    """The settings with other values at dotted keys."""
    for key, value in values.items():
        settings = _with_value(settings, key.split("."), value)
    return settings


def _with_value(settings: Any, path: list[str], value: Any) -> Any:
    name, *rest = path
    known = _inner(settings)
    if isinstance(settings, Mapping):
        inner = _with_value(known.get(name) or {}, rest, value) if rest else value
        return {**known, name: inner}
    inner = _with_value(getattr(settings, name), rest, value) if rest else value
    return replace(settings, **{name: inner})
