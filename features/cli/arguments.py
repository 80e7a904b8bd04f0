"""Arguments as people type them: an input without its option's name, switches without `true`.

Data flow: arguments + settings as a dataclass > arguments with every value at its option.

    affuse predict talk.mp4 --format csv     # PredictSettings.POSITIONAL is `input`
    affuse verify tracks --repair            # `repair` is true or false
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from features.errors import UsageError

ALONE = ("-h", "--help", "--print_config")
"""Options that take no value, or only one with `=`."""
TRUTH = ("true", "false", "yes", "no", "null")
"""What may follow a switch as its value."""


def spelt_out(argv: Sequence[str], settings: type) -> list[str]:
    """Arguments in which inputs have their option and switches their value.

    Args:
        argv: As they come from the shell.
        settings: Dataclass whose fields, nested ones too, are the options; `POSITIONAL`, if it has
            one, is the dotted name of the option that words without one belong to.

    Raises:
        UsageError: For several such words where the option takes one value.
    """
    options = dict(option_types(settings))
    words, named, inputs = list(argv), list[str](), list[str]()
    while words:
        word = words.pop(0)
        value = words[0] if words and not words[0].startswith("--") else None
        if not word.startswith("-"):
            inputs.append(word)
        elif "=" in word or word in ALONE:
            named.append(word)
        elif options.get(word) is bool and (value is None or value.lower() not in TRUTH):
            named.append(f"{word}=true")
        else:
            named += [word, *words[: value is not None]]
            del words[: value is not None]
    return [*_at_option(inputs, options, getattr(settings, "POSITIONAL", None)), *named]


def option_types(settings: type, before: str = "--") -> Iterator[tuple[str, Any]]:
    """Each option of the dataclass, nested ones too, with its type."""
    hints = get_type_hints(settings)
    for field in fields(settings):
        kind, name = hints[field.name], f"{before}{field.name}"
        if is_dataclass(kind) and isinstance(kind, type):
            yield from option_types(kind, f"{name}.")
        else:
            yield name, kind


def holds_list(kind: Any) -> bool:
    """Whether a type is that of a list, or of one or none."""
    if get_origin(kind) in (Union, UnionType):
        return any(holds_list(one) for one in get_args(kind))
    return get_origin(kind) in (list, tuple)


def _at_option(inputs: list[str], options: dict[str, Any], positional: str | None) -> list[str]:
    """Words without an option, at the option that they belong to."""
    if not inputs or positional is None:
        return inputs
    if holds_list(options.get(f"--{positional}")):
        return [f"--{positional}={json.dumps(inputs, ensure_ascii=False)}"]
    if len(inputs) > 1:
        raise UsageError(
            f"'{inputs[1]}' is one too many beside '{inputs[0]}' (--{positional}); see --help"
        )
    return [f"--{positional}={inputs[0]}"]
