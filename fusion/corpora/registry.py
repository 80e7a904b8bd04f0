"""The data sets that are known: each registers its reader by name, and nothing else lists them.

    @register("EmoDB", layout="sound files such as 03a01Fa.wav", find=find)
    def read(paths: Sequence[Path]) -> list[Clip]: ...

Every module of fusion.corpora.readers is imported when data sets are first asked for; any other
module adds its own by being imported (the setting `plugins`).
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fusion.corpora import readers
from fusion.tasks.clips import Clip

Find = Callable[[Path, Sequence[Path]], list[Path]]
"""Root and all visible files below it > the files that hold (or tell) the labels; none if the
folder is not this data set."""
Read = Callable[[Sequence[Path]], list[Clip]]
"""Those files > clips. A reader that gives a clip no `origin` leaves it to say what can be told of
any data set: its name, the persons of `people.csv`, the expressions that it has."""


@dataclass(frozen=True)
class DataSet:
    """How a data set is recognised and read.

    Attributes:
        name: What to call it.
        layout: What shows that a folder is this data set, for messages.
        find: The files that hold its labels.
        read: Those files > clips.
        kinds: Readers of one kind of labels alone, by what `data.challenge` calls it, of a data
            set whose folder may hold several.
        near_miss: Root > why a folder that looks like it is not, as the end of a message.
    """

    name: str
    layout: str
    find: Find
    read: Read
    kinds: Mapping[str, Read] = field(default_factory=dict)
    near_miss: Callable[[Path], str] = lambda root: ""


_known: dict[str, DataSet] = {}


def register(
    name: str,
    *,
    layout: str,
    find: Find,
    kinds: Mapping[str, Read] | None = None,
    near_miss: Callable[[Path], str] = lambda root: "",
) -> Callable[[Read], Read]:
    """Makes the decorated function the reader of a data set; see `DataSet`.

    Raises:
        ValueError: If another module has registered the name.
    """

    def add(read: Read) -> Read:
        other = _known.get(name)
        if other is not None and other.read.__module__ != read.__module__:
            raise ValueError(f"the data set '{name}' is also that of {other.read.__module__}")
        _known[name] = DataSet(name, layout, find, read, kinds or {}, near_miss)
        return read

    return add


def data_sets() -> list[DataSet]:
    """Those of fusion.corpora.readers and of every other module that has registered one.

    By their modules, so that it does not matter which was imported first.
    """
    for module in pkgutil.iter_modules(readers.__path__, f"{readers.__name__}."):
        importlib.import_module(module.name)
    return sorted(_known.values(), key=lambda one: one.read.__module__)
