"""What makes a run what it is: the settings that touch its result, and what it was trained on.

Data flow: settings as plain values > less those without effect > compared with a checkpoint's;
labels and tracks of each clip > fingerprints > compared with those that a checkpoint names.

Where files lie, how they are loaded and how long a run may last is no part of it.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from features.store.fingerprint import fingerprint, tracks_content
from fusion.data.loading.multi_corpus import Source
from fusion.streams.clip_tracks import clip_tracks

Values = Mapping[str, Any]
"""Settings as plain values, nested as in a recipe."""
RULES = 2
"""To be raised when equal labels and tracks train another model."""
_NOT_CONFIG = ("fresh", "runs", "devices", "seeds", "folds")
"""Settings that make no other run: where it lies, how long it lasts, what others are trained."""
LASTS = ("epochs", "patience")
"""Settings that say how long a run lasts: with more of either it goes on."""


def _without_kernel(config: Values) -> bool:
    alone = config["model"]["temporal"]["name"] in ("transformer", "gru", "lstm", "none")
    return alone and not config["model"]["tcn_levels"]


def _without_soft_teaching(config: Values) -> bool:
    return not config["inputs"]["teachers"] or config["loss"]["teaching"] != "soft"


_INERT: dict[str, Callable[[Values], bool]] = {
    "name": lambda c: True,
    "loggers": lambda c: True,
    "plugins": lambda c: True,
    "data.workers": lambda c: True,
    "data.cache": lambda c: True,
    "data.folds": lambda c: c["data"]["fold"] is None,
    "data.adapt_prior": lambda c: c["data"]["adapt"] != "causal",
    "model.kernel": _without_kernel,
    "model.order": lambda c: c["model"]["head"] != "streaming",
    "model.mutual": lambda c: c["model"]["head"] != "streaming",
    "model.scales": lambda c: c["model"]["head"] != "scales",
    "loss.teaching": lambda c: not c["inputs"]["teachers"],
    "loss.truth": _without_soft_teaching,
    "loss.temperature": _without_soft_teaching,
    "patience": lambda c: c["keep"] == "last",
}
"""Setting to whether it has no effect, given all of them."""
_LEARNING = ("loss", "balance", "label_smoothing", "share")
"""Settings of a task that shape no model; without effect where it has no weight."""
_PLACES = ("data.root", "data.store", "data.extra")
"""Where things lie; of no matter where it is known what they are."""


def plain(settings: Any) -> dict[str, Any]:
    """All settings that make a run what it is, as plain values."""
    values = asdict(settings) if is_dataclass(settings) else dict(settings)  # type: ignore[arg-type]
    return {key: plain_values(value) for key, value in values.items() if key not in _NOT_CONFIG}


def plain_values(value: Any) -> Any:
    """A value with lists for tuples and absolute paths as text, as checkpoints have it."""
    if isinstance(value, dict):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    return str(value.resolve()) if isinstance(value, Path) else value


def changed_settings(new: Values, old: Values, *, places: bool) -> list[str]:
    """Dotted names of the settings by which a run would be another one.

    Args:
        new: All settings of the run that is asked for.
        old: Of the one that is there, with the same keys.
        places: Whether it matters where the data lies.
    """
    ignored = () if places else _PLACES
    changed = [
        name
        for name in _names(new)
        if name not in ignored
        and not name.startswith("tasks.")
        and _at(new, name) != _at(old, name)
        and not (_is_inert(name, new) and _is_inert(name, old))
        and not (name in LASTS and _at(new, name) > _at(old, name))
    ]
    return changed + changed_tasks(new["tasks"], old["tasks"])


def changed_tasks(new: Mapping[str, Values], old: Mapping[str, Values]) -> list[str]:
    """Dotted names of the settings of tasks by which a run would be another one.

    Args:
        new: Task to all its settings, of the run that is asked for.
        old: Of the one that is there.
    """
    changed = [f"tasks.{task}" for task in new.keys() ^ old.keys()]
    for task in new.keys() & old.keys():
        ours, theirs = new[task], old[task]
        changed += [
            f"tasks.{task}.{name}"
            for name in ours.keys() | theirs.keys()
            if ours.get(name) != theirs.get(name)
            and not (_is_idle(name, ours) and _is_idle(name, theirs))
        ]
    return sorted(changed)


def _is_idle(name: str, task: Values) -> bool:
    """Whether a setting of a task has no effect, given all of them."""
    if name == "bin_values":
        return not task.get("bins")
    return name in _LEARNING and not task.get("weight")


def same_model(new: Values, old: Values) -> bool:
    """Whether two sets of model settings, as plain values, make the same model."""
    names = [f"model.{name}" for name in new]
    plain: dict[str, Any] = {"data": {}, "loss": {}, "inputs": {"teachers": {}}}
    ours, theirs = plain | {"model": new}, plain | {"model": old}
    return new.keys() == old.keys() and all(
        _at(ours, name) == _at(theirs, name) or (_is_inert(name, ours) and _is_inert(name, theirs))
        for name in names
    )


def _is_inert(name: str, config: Values) -> bool:
    rule = _INERT.get(name)
    return rule is not None and rule(config)


def _names(config: Values) -> list[str]:
    """Dotted names, one level deep, of all settings."""
    nested = {key: value for key, value in config.items() if isinstance(value, Mapping)}
    inner = [f"{key}.{name}" for key, values in nested.items() for name in values]
    return [key for key in config if key not in nested] + inner


def _at(config: Values, name: str) -> Any:
    section, _, key = name.rpartition(".")
    return config[section].get(key) if section else config.get(key)


def content_of(sources: list[Source], streams: list[str], tasks: Collection[str]) -> dict[str, str]:
    """Clip to the fingerprint of its labels and tracks; of a clip's several sets of labels, all.

    Args:
        sources: Clips, with where their tracks lie.
        streams: Streams that are looked at.
        tasks: Those whose labels are looked at.
    """
    parts: dict[str, list[Any]] = {}
    for one in sources:
        tracks = tracks_content(clip_tracks(one.store, one.own, streams))
        labels = {
            task: [_hash(each.values), _hash(each.mask)]
            for task, each in one.clip.labels.of_tasks(tasks).by_task.items()
        }
        times = getattr(one.clip.labels, "times", None)
        labels |= {} if times is None else {"times": [_hash(times)]}
        parts.setdefault(one.clip.id, []).append([one.clip.group, labels, tracks])
    return {name: fingerprint(every, version=RULES) for name, every in parts.items()}


def _hash(rows: np.ndarray) -> str:
    return f"{rows.shape} {hashlib.sha256(rows.tobytes()).hexdigest()}"


def changed_content(new: Mapping[str, str], old: Mapping[str, str]) -> list[str]:
    """Clips that have other labels or tracks than before, or are new, or are gone."""
    return sorted(name for name in new.keys() | old.keys() if new.get(name) != old.get(name))


_NOT_RECIPE = ("name", "loggers", "inputs", "precision", "stages", "answers", "plugins", *LASTS)
_NOT_RECIPE_DATA = ("root", "store", "cache", "extra", "workers", "fold", "folds")
"""Settings that the runs of all folds of a recipe, and one on the whole, need not share."""


def recipe_of(config: Values) -> str:
    """Fingerprint of the recipe that a checkpoint was trained by, whatever it was trained on."""
    kept = {key: value for key, value in config.items() if key not in _NOT_RECIPE}
    data = {k: v for k, v in config.get("data", {}).items() if k not in _NOT_RECIPE_DATA}
    return fingerprint([], {**kept, "data": data}, version=str(RULES))
