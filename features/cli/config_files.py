"""Configuration files: YAML that holds settings, or only what differs from a `base`.

Data flow: path or shipped name > file > its base, the base's base, ... > one mapping.

    base: mtl.yaml          # a file beside this one, or a shipped name such as mtl
    model: {dim: 256}       # mappings are merged with the base's, anything else takes its place
"""

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import yaml
from jsonargparse import get_loader

from features.cli.choices import NAME
from features.errors import UsageError

BASE = "base"
"""Key of a file that names the file whose settings it changes."""
SUFFIX = ".yaml"


class OlderKeys(Protocol):
    """Puts older names of settings in their places of today."""

    def modern(self, settings: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
        """Settings of a file; `whole` unless they only change those of a base."""
        ...

    def modern_option(self, word: str) -> str:
        """A word of a command line."""
        ...


def read_config(
    name: str, shipped: Path | None = None, older: OlderKeys | None = None
) -> dict[str, Any]:
    """Settings of a file with those of its bases, nested as in the file.

    Args:
        name: Path of a YAML file, or the name of a shipped one, e.g. `mtl`.
        shipped: Folder of the files that have names; None: there are none.
        older: Puts older names of settings in their places of today.

    Raises:
        UsageError: If a file is absent or no YAML mapping, or bases go in a circle.
    """
    return _read(find_config(name, shipped), shipped, (), older)


def inlined(argv: Sequence[str], shipped: Path | None, older: OlderKeys | None = None) -> list[str]:
    """Arguments with each `--cfg FILE` in front, and in the file's place what it and its bases say.

    They come first so that other options override them, wherever they stand. A mapping that is
    written out (`--cfg '{seed: 2}'`) stays as it is.

    Args:
        argv: As they come from the shell, lists bracketed.
        shipped: Folder of the files that have names; None: there are none.
        older: Puts older names of settings in their places of today.
    """
    files: list[str] = []
    others: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--cfg":
            value = next(words, None)
        elif word.startswith("--cfg="):
            value = word.removeprefix("--cfg=")
        else:
            others.append(older.modern_option(word) if older else word)
            continue
        files.append("--cfg" if value is None else f"--cfg={_text(value, shipped, older)}")
    return files + others


def gathered(argv: Sequence[str], defaults: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Arguments with `--FIELD.KEY.SETTING VALUE` of mappings merged into what files say of them.

    The parser itself would put `{SETTING: VALUE}` in the place of all that FIELD says of KEY.

    >>> gathered(['--cfg={"tasks": {"va": {"bins": 3}}}', "--tasks.va.weight", "0"], {"tasks": {}})
    ['--cfg={"tasks": {"va": {"bins": 3}}}', '--tasks={"va": {"bins": 3, "weight": 0}}']

    Args:
        argv: With files as `inlined` leaves them.
        defaults: Field that is a mapping to its default.
    """
    values, changed, kept = dict(defaults), set[str](), list[str]()
    words = iter(argv)
    for word in words:
        option, equals, value = word.partition("=")
        field, *path = option.removeprefix("--").split(".")
        if option == "--cfg" and value.startswith("{"):
            said = get_loader("yaml")(value)
            values |= {name: said[name] for name in defaults if name in said}
        if field not in defaults or not option.startswith("--"):
            kept.append(word)
            continue
        value = value if equals else next(words, "")
        read = get_loader("yaml")(value)
        for part in reversed(path):
            read = {part: read}
        values[field] = merged(values[field] or {}, read) if path else read
        changed.add(field)
    whole = [f"--{name}={json.dumps(values[name])}" for name in defaults if name in changed]
    return [*kept, *whole]


def find_config(name: str, shipped: Path | None, beside: Path = Path(), where: str = "") -> Path:
    """The file of a name: a path, or else a shipped file's.

    Args:
        name: As a user or another file gives it.
        shipped: Folder of the files that have names; None: there are none.
        beside: Folder that a path is seen from.
        where: What begins a complaint.

    Raises:
        UsageError: If there is none.
    """
    path = beside / name
    if path.exists() and not path.is_dir():
        return path
    known = sorted(one.stem for one in shipped.glob(f"*{SUFFIX}")) if shipped else []
    if shipped and name.removesuffix(SUFFIX) in known:
        return shipped / f"{name.removesuffix(SUFFIX)}{SUFFIX}"
    near = difflib.get_close_matches(Path(name).stem, known, n=1)
    if near:
        hint = f"did you mean '{near[0]}'?"
    else:
        hint = f"shipped ones are {', '.join(known)}" if known else "check its path"
    raise UsageError(f"{where}{path}: no such file; {hint}")


def read_mapping(path: Path) -> dict[str, Any]:
    """Content of a YAML file as it stands.

    Raises:
        UsageError: If it is no mapping; names the line that is no YAML.
    """
    try:
        content = get_loader("yaml")(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UsageError(f"{path}{line}: not YAML; look at this line and the one before") from error
    if content is None or content == "":
        return {}
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected lines such as 'name: value'")
    return content


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings with the changes in them; a choice of another name takes nothing along.

    >>> merged({"model": {"dim": 8, "heads": 2}, "seeds": [1]}, {"model": {"dim": 4}, "seeds": []})
    {'model': {'dim': 4, 'heads': 2}, 'seeds': []}
    >>> merged({"temporal": "gru"}, {"temporal": {"layers": 1}})
    {'temporal': {'name': 'gru', 'layers': 1}}
    >>> merged({"temporal": {"name": "gru", "layers": 1}}, {"temporal": {"name": "lstm"}})
    {'temporal': {'name': 'lstm'}}
    """
    result = dict(values)
    for key, change in changes.items():
        inner = result.get(key)
        if isinstance(inner, str) and isinstance(change, Mapping):
            inner = {NAME: inner}
        if isinstance(inner, Mapping) and isinstance(change, Mapping) and _alike(inner, change):
            result[key] = merged(inner, change)
        else:
            result[key] = change
    return result


def _alike(inner: Mapping[str, Any], change: Mapping[str, Any]) -> bool:
    """Whether a change is one of the same choice, where a choice it is."""
    return NAME not in inner or change.get(NAME, inner[NAME]) == inner[NAME]


def _text(value: str, shipped: Path | None, older: OlderKeys | None) -> str:
    """What the parser takes in place of a file's name."""
    if value.lstrip().startswith("{"):
        return value
    return json.dumps(read_config(value, shipped, older), ensure_ascii=False)


def _read(
    path: Path, shipped: Path | None, above: tuple[Path, ...], older: OlderKeys | None
) -> dict[str, Any]:
    """A file's settings over those of its base; `above` are the files that it is the base of."""
    if any(path.samefile(one) for one in above):
        circle = " > ".join(str(one) for one in (*above, path))
        raise UsageError(f"{path}: its bases go in a circle ({circle}); take one 'base' out")
    own = nested(read_mapping(path))
    base = own.pop(BASE, None)
    own = older.modern(own, whole=base is None) if older else own
    if base is None:
        return own
    if not isinstance(base, str):
        raise UsageError(f"{path}: base must be the name of one file, not {base!r}")
    below = _read(
        find_config(base, shipped, path.parent, f"{path}: base: "), shipped, (*above, path), older
    )
    return merged(below, own)


def nested(content: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping with `model.dim: 8` as `model: {dim: 8}`, so that it can be merged."""
    result: dict[str, Any] = {}
    for key, value in content.items():
        for part in reversed(str(key).split(".")[1:]):
            value = {part: value}
        result = merged(result, {str(key).split(".")[0]: value})
    return result
