"""Older names of model settings, and of those in older checkpoints, in their places of today.

Until format 2 of checkpoints the settings of all blocks lay beside each other (`model.reach`), most
of them without effect. They are taken for one release.
"""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

from features.cli.choices import NAME, read_choice

logger = logging.getLogger(__name__)

OLDER = {
    "fusion": ("leader", "reach", "levels", "heads"),
    "temporal": ("layers", "stride", "positions", "heads"),
}
"""Block to settings that were the model's."""
_INERT: tuple[object, ...] = ("", "none", (), [])
"""Values that meant nothing, as numbers did, where a block had no use for them."""


def older_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that have older names, and are given."""
    names = {name for names in OLDER.values() for name in names}
    return {name: values[name] for name in sorted(names) if values.get(name) is not None}


@cache
def tell(names: tuple[str, ...]) -> None:
    """Says once in the log what older names are called now."""
    now = [f"model.{kind}.{name}" for kind, own in OLDER.items() for name in own if name in names]
    logger.warning(
        "%s: settings of a block are the block's own now (%s), in place of the older names, which"
        " go with the next release",
        ", ".join(f"model.{name}" for name in names),
        ", ".join(now),
    )


def moved(kind: str, said: object, older: Mapping[str, Any]) -> dict[str, Any]:
    """A complete block, with settings under older names in their places.

    Args:
        kind: `fusion` or `temporal`.
        said: The block in any spelling.
        older: Settings under older names; what the block has no use for had no effect.

    Raises:
        UserError: For a block that there is not, or a setting that it has not.
    """
    # Here, so that settings can be read without torch.
    from fusion.model.fusion import fusions
    from fusion.model.temporal import temporals

    registry: Any = fusions if kind == "fusion" else temporals
    block = read_choice(said, registry.setting)
    name = block[NAME]
    for old in OLDER[kind]:
        new = "scales" if (old, name) == ("layers", "pyramid") else old
        value = older.get(old)
        idle = value is None or isinstance(value, int) or value in _INERT
        if old in older and not (idle and new not in registry.options(name)):
            block[new] = value
    return dict(registry.read(block).plain())


def modern(model: Mapping[str, Any]) -> dict[str, Any]:
    """Model settings of a checkpoint of any format, in their places of today."""
    older = older_settings(model)
    rest = {name: value for name, value in model.items() if name not in older}
    flat = [kind for kind in OLDER if kind in rest and (older or isinstance(rest[kind], str))]
    return rest | {kind: moved(kind, rest[kind], older) for kind in flat}


def modern_key(key: str, model: object) -> str:
    """A dotted setting by its name of today, given the model's settings, which tell the blocks."""
    for kind, names in OLDER.items():
        for old in names:
            new = "scales" if "scales" in getattr(model, kind) and old == "layers" else old
            if key == f"model.{old}" and new in getattr(model, kind):
                tell((old,))
                return f"model.{kind}.{new}"
    return key
