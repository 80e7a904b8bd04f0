"""What makes a run what it is: the settings that touch its result, and what it was trained on.

Data flow: settings as plain values > less those without effect > compared with a checkpoint's;
labels and tracks of each clip > fingerprints > compared with those that a checkpoint names.

Where files lie, how they are loaded and how long a run may last is no part of it.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from features.store.fingerprint import fingerprint, tracks_content
from fusion.data.loading.multi_corpus import Source
from fusion.streams.clip_tracks import clip_tracks

Values = Mapping[str, Any]
"""Settings as plain values, nested as in a recipe."""
RULES = 1
"""To be raised when equal labels and tracks train another model."""
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
    "model.bin_values": lambda c: not c["model"]["va_bins"],
    "loss.va_kind": lambda c: not c["loss"]["va"],
    "loss.au_kind": lambda c: not c["loss"]["au"],
    "loss.au_balance": lambda c: not c["loss"]["au"],
    "loss.balance": lambda c: not c["loss"]["expr"],
    "loss.label_smoothing": lambda c: not c["loss"]["expr"],
    "loss.compound_share": lambda c: not c["loss"]["compound"],
    "loss.teaching": lambda c: not c["inputs"]["teachers"],
    "loss.truth": _without_soft_teaching,
    "loss.temperature": _without_soft_teaching,
    "patience": lambda c: c["keep"] == "last",
}
"""Setting to whether it has no effect, given all of them."""
_PLACES = ("data.root", "data.store", "data.extra")
"""Where things lie; of no matter where it is known what they are."""


def changed_settings(new: Values, old: Values, *, places: bool) -> list[str]:
    """Dotted names of the settings by which a run would be another one.

    Args:
        new: All settings of the run that is asked for.
        old: Of the one that is there, with the same keys.
        places: Whether it matters where the data lies.
    """
    ignored = () if places else _PLACES
    return [
        name
        for name in _names(new)
        if name not in ignored
        and _at(new, name) != _at(old, name)
        and not (_is_inert(name, new) and _is_inert(name, old))
        and not (name in LASTS and _at(new, name) > _at(old, name))
    ]


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


def content_of(sources: list[Source], streams: list[str]) -> dict[str, str]:
    """Clip to the fingerprint of its labels and tracks; of a clip's several sets of labels, all.

    Args:
        sources: Clips, with where their tracks lie.
        streams: Streams that are looked at.
    """
    parts: dict[str, list[Any]] = {}
    for one in sources:
        tracks = tracks_content(clip_tracks(one.store, one.own, streams))
        labels = {name: _hash(rows) for name, rows in vars(one.clip.labels).items()}
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
