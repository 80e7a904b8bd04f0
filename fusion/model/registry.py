"""Blocks of the model by name: one file a block, with settings that are its own.

A block is a frozen dataclass of settings that says whether they make sense (`check`) and makes the
module (`build`). Whoever defines one registers it, here or in a plugin:

    @fusions.register("mean")
    @dataclass(frozen=True)
    class Mean(FusionSettings):
        scale: float = 1.0

        def build(self, shape: FusionShape) -> nn.Module:
            return MeanFusion(...)

Then `model.fusion: mean`, and `model.fusion: {name: mean, scale: 2.0}`.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from typing import Any, ClassVar, Generic, TypeVar

from features.cli.choices import NAME, read_choice, read_options
from features.errors import UserError

B = TypeVar("B", bound="Block")
T = TypeVar("T", bound="type[Block]")


@dataclass(frozen=True)
class Block:
    """Settings of a block.

    Attributes:
        setting: The model's setting that names it.
        name: What it is registered by.
    """

    setting: ClassVar[str] = ""
    name: ClassVar[str] = ""

    def plain(self) -> dict[str, Any]:
        """Name and settings as plain values."""
        values = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}
        return {NAME: self.name, **values}

    def require(self, option: str, fine: bool, rule: str) -> None:
        """Raises UserError, naming a setting and its value, unless it is fine."""
        if not fine:
            value = self.plain()[option]
            raise UserError(f"{self.setting}.{option} {value} must be {rule}")

    def require_among(self, option: str, choices: Iterable[str]) -> None:
        """Raises UserError if a setting is none of some names."""
        known = list(choices)
        self.require(option, getattr(self, option) in known, f"one of {', '.join(known)}")


class Registry(Generic[B]):
    """Blocks of one kind by name.

    Args:
        setting: The model's setting that names one.
    """

    def __init__(self, setting: str) -> None:
        self.setting = setting
        self._kinds: dict[str, type[B]] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that has a block known by a name.

        Raises:
            UserError: If another block has it.
        """

        def add(kind: T) -> T:
            known = self._kinds.get(name, kind)
            if (known.__module__, known.__qualname__) != (kind.__module__, kind.__qualname__):
                raise UserError(
                    f"{self.setting} {name}: both {known.__module__} and {kind.__module__} have a"
                    " block of this name; rename one"
                )
            kind.name = name
            self._kinds[name] = kind  # type: ignore[assignment]
            return kind

        return add

    @property
    def names(self) -> list[str]:
        """All that can be named."""
        return list(self._kinds)

    def kind(self, name: str) -> type[B]:
        """The settings dataclass of a block.

        Raises:
            UserError: If there is none of this name.
        """
        if name not in self._kinds:
            raise UserError(
                f"{self.setting} {name} must be one of {', '.join(self._kinds)};"
                " one of a plugin's is known with --plugins MODULE"
            )
        return self._kinds[name]

    def read(self, said: object) -> B:
        """A block from its name, or from a mapping with its name and those settings that are given.

        Raises:
            UserError: For an unknown name, or an unknown or ill-typed setting.
        """
        options = read_choice(said, self.setting)
        name = options.pop(NAME)
        kind: Any = self.kind(name)  # mypy takes no type variable for hashable
        block: B = _read(kind, json.dumps(options), self.setting, name)
        return block

    def options(self, name: str) -> list[str]:
        """Names of a block's settings."""
        return [field.name for field in fields(self.kind(name))]


@lru_cache(maxsize=256)
def _read(kind: Any, options: str, setting: str, name: str) -> Any:
    """A block from its settings as JSON; kept, since a parser takes 10 ms and blocks are frozen."""
    return read_options(kind, json.loads(options), setting, name)
