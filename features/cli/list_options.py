"""Lists on the command line as people type them: `--seeds 1,2` for `--seeds '[1,2]'`.

A list in brackets has to be quoted, since shells take it for a pattern of file names: zsh refuses
it, and bash puts in its place whatever file is called so. Both spellings are taken.

Data flow: arguments + settings as a dataclass > arguments with brackets around lists.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from features.cli.arguments import option_types

_PLAIN = (int, float, bool)


def bracketed(argv: Sequence[str], settings: type, before: str = "--") -> list[str]:
    """Arguments in which every list of single values has its brackets.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Settings:
    ...     seeds: list[int]
    ...     streams: list[str]
    >>> bracketed(["--seeds", "1,2", "--streams=a,b"], Settings)
    ['--seeds', '[1,2]', '--streams=["a", "b"]']

    Args:
        argv: As they come from the shell.
        settings: Dataclass whose fields, nested ones too, are the options.
        before: What each option begins with.
    """
    types = option_types(settings, before)
    lists = {name: item for name, kind in types if (item := _item(kind)) is not None}
    lists["--plugins"] = str
    words, expected = [], None
    for word in argv:
        option, equals, value = word.partition("=")
        if expected is not None and not word.startswith("--"):
            words.append(_bracketed(word, expected))
        elif equals and option in lists:
            words.append(f"{option}={_bracketed(value, lists[option])}")
        else:
            words.append(word)
        expected = lists.get(word)
    return words


def _bracketed(text: str, item: type) -> str:
    """A list as YAML has it; what has brackets or says that there is none stays."""
    if text.strip().startswith("[") or text.strip() in ("null", "~"):
        return text
    parts = [part.strip() for part in text.split(",") if part.strip()]
    return f"[{','.join(parts)}]" if item in _PLAIN else json.dumps(parts, ensure_ascii=False)


def _item(kind: Any) -> type | None:
    """Type of the values of a list, None for what is no list of single values."""
    if get_origin(kind) in (Union, UnionType):
        found = [item for one in get_args(kind) if (item := _item(one)) is not None]
        return found[0] if len(found) == 1 else None
    if get_origin(kind) not in (list, tuple):
        return None
    arguments = [one for one in get_args(kind) if one is not Ellipsis]
    if len(arguments) != 1:
        return None
    if get_origin(arguments[0]) is Literal:
        return str
    return arguments[0] if arguments[0] in (*_PLAIN, str, Path) else None
