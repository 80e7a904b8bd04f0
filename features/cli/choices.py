"""Settings that are a choice by name with settings of its own: `gru`, or `{name: gru, layers: 3}`.

In a file either spelling; on the command line `--temporal gru --temporal.layers 3`. Up to the
point where whoever knows the names reads them they are plain mappings, since what can be chosen may
come from a plugin.

Data flow: words or YAML > a mapping with a name > `read_options` > the choice's own dataclass.
"""

import dataclasses
import difflib
import inspect
import json
import sys
from argparse import SUPPRESS, ArgumentError
from collections.abc import Mapping
from typing import Any, TypeVar

from jsonargparse import ArgumentParser
from jsonargparse.typing import register_type

from features.cli.list_options import bracketed
from features.errors import UsageError

S = TypeVar("S")
NAME = "name"
"""Key of the name among the settings of a choice."""


class Named:
    """A bare name where a mapping with one is meant; the parser puts the mapping in its place."""


def _mapping(text: object) -> dict[str, Any]:
    if not isinstance(text, str) or not text.replace("-", "_").isidentifier():
        raise ValueError(f"expected a name, or a mapping with a name: {text}")
    return {NAME: text}


register_type(Named, dict, _mapping, type_check=lambda value, _: isinstance(value, dict))
Choice = dict[str, Any] | Named | str
"""Type of such a setting. Text is for those who write Python; the parser makes mappings of it."""


def read_choice(said: object, where: str) -> dict[str, Any]:
    """The mapping, with its name, of a choice in any spelling.

    Raises:
        UsageError: If it has no name.
    """
    if isinstance(said, str):
        return {NAME: said}
    if not isinstance(said, Mapping) or not isinstance(said.get(NAME), str):
        raise UsageError(f"{where} needs a name, as in {{{NAME}: NAME}}: {said}")
    return dict(said)


def read_options(kind: type[S], said: Mapping[str, Any], where: str, owner: str) -> S:
    """The own settings of a choice, checked as those of a command are.

    Args:
        kind: Their dataclass.
        said: Values by name, of their types or as text of the command line.
        where: The choice's dotted name, for complaints.
        owner: What has been chosen, for complaints.

    Raises:
        UsageError: For an unknown or ill-typed setting; names the nearest right one.
    """
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in said:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            has = f"{owner} has {', '.join(known) or 'none'}"
            hint = f"did you mean '{where}.{near[0]}'?" if near else has
            raise UsageError(f"unknown setting '{where}.{key}' of {owner}; {hint}")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, where)
    words = [
        f"--{where}.{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in said.items()
    ]
    try:
        values: Any = parser.parse_args(bracketed(words, kind, f"--{where}."))
    except ArgumentError as error:
        raise UsageError(" ".join(str(error).split())) from error
    return kind(**{key: values[f"{where}.{key}"] for key in known})


def hide_older_names(parser: ArgumentParser, settings: type, before: str = "") -> None:
    """Keeps older names of settings out of help and defaults; they are taken still.

    Older names are parameters of a dataclass that are no fields of it (`InitVar`). What of them is
    given is printed by `--print_config`, which leaves out what help does.
    """
    fields = {field.name: field.type for field in dataclasses.fields(settings)}
    older = inspect.signature(settings).parameters.keys() - fields.keys()
    printing = any(word.startswith("--print_config") for word in sys.argv)
    for action in parser._actions:
        if action.dest in {f"{before}{name}" for name in older}:
            action.default = SUPPRESS
            action.help = action.help if printing else SUPPRESS
    for name, kind in fields.items():
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            hide_older_names(parser, kind, f"{before}{name}.")
