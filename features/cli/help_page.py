"""The help of a command on one page: what it does, examples, and the settings that matter.

Data flow: docstring of the command + parser of its settings > page. All settings: `--help all`.
"""

import re
import textwrap
from argparse import SUPPRESS, Action
from collections.abc import Sequence
from typing import Any

from jsonargparse import ArgumentParser

WIDTH, INDENT = 100, 22


def help_page(parser: ArgumentParser, settings: type, description: str) -> str:
    """The page.

    Args:
        parser: Of the settings.
        settings: Dataclass; `ESSENTIAL`, if it has it, names the options that are shown, in order,
            else all that are not nested are; `POSITIONAL` is the one that needs no name.
        description: Docstring of the command: its first line and indented examples are shown.
    """
    actions = {action.dest: action for action in parser._actions if action.help != SUPPRESS}
    positional = getattr(settings, "POSITIONAL", None)
    groups = {name.rpartition(".")[0] for name in actions} | {"help", "print_config"}
    plain = [name for name in actions if "." not in name and name not in groups]
    essential = getattr(settings, "ESSENTIAL", None)
    names = list(dict.fromkeys([positional or "cfg", *(essential or plain), "cfg"]))
    place = f" [{_place(positional)}]" if positional else ""
    lines = [f"usage: {parser.prog}{place} [--OPTION VALUE ...]", ""]
    lines += _described(description, parser.prog)
    lines += ["options:" if essential is None else "options that matter most:"]
    for name in names:
        lines += _row(actions[name], f"  {_place(name)}," if name == positional else " ")
    rest = len(actions.keys() - groups - set(names))
    lines += ["", "--print_config shows all settings as they would be used"]
    if rest > 0:
        lines += [f"--help all explains the {rest} others"]
    return "\n".join(lines)


def _described(description: str, prog: str) -> list[str]:
    """First line and examples of a docstring."""
    text = re.sub(r"^`[^`]*`: ", "", description)
    first = textwrap.fill(text.split("\n")[0], WIDTH)
    examples = [line for line in text.split("\n")[1:] if re.match(r"    (python|affuse) ", line)]
    if prog.startswith("affuse "):
        examples = [re.sub(r"python -m (?:fusion|features)\.", "affuse ", e) for e in examples]
    return [first[:1].upper() + first[1:], "", *examples, *([""] if examples else [])]


def _place(name: str) -> str:
    """What the usage calls an input."""
    return "RECIPE" if name == "cfg" else name.rpartition(".")[2].upper()


def _row(action: Action, before: str) -> list[str]:
    """An option with what it does and its default."""
    name = next(word for word in reversed(action.option_strings) if not word.endswith("+"))
    said = " ".join((action.help or "").split())
    if default := _shown(action.default):
        said += f" [{default}]"
    lines = textwrap.wrap(said, WIDTH - INDENT - 2)
    head = f"{before} {name}"
    if len(head) >= INDENT:
        return [head, *(" " * INDENT + line for line in lines)]
    return [f"{head:<{INDENT}}{lines[0] if lines else ''}", *(" " * INDENT + x for x in lines[1:])]


def _shown(default: Any) -> str:
    """A default as it is typed; nothing for none."""
    if default is None or default is SUPPRESS or default in ([], "", {}):
        return ""
    if isinstance(default, dict):
        return str(default.get("name", ""))
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, Sequence) and not isinstance(default, str):
        return ",".join(map(str, default))
    return str(default)
