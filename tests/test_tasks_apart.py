"""Tasks are plug-ins: whoever trains, predicts, scores or draws names none of them."""

import ast
import re
from pathlib import Path

import pytest

import fusion

ROOT = Path(fusion.__file__).parent
MAY_NAME = ("tasks", "corpora", "abaw")
"""Rooms that know ABAW's tasks: the tasks themselves, readers of labels, the protocol."""
OLDER = {"losses/older_keys.py"}
"""Older names of settings, which were those of tasks."""
NAMES = re.compile(r"\b(va|expr|au|VA|EXPR|AU|DIMENSIONS|EXPRESSIONS|UNITS|valence|arousal)\b")
MODULES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.rglob("*.py")
    if path.relative_to(ROOT).parts[0] not in MAY_NAME
)


def names_in(code: str) -> list[str]:
    """Names and texts of code, without docstrings and comments, that are those of a task."""
    tree, found = ast.parse(code), []
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            found += NAMES.findall(node.value)
        for field in ("id", "attr", "arg", "name"):
            text = getattr(node, field, None)
            if isinstance(text, str) and NAMES.fullmatch(text):
                found.append(text)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_no_module_outside_names_a_task(module: str) -> None:
    if module in OLDER:
        return
    found = sorted(set(names_in((ROOT / module).read_text(encoding="utf-8"))))
    assert not found, f"{module} names {', '.join(found)}: ask the tasks instead"


def test_the_search_finds_what_it_is_to_find() -> None:
    code = (
        'def of(labels):\n    """Of VA."""\n    return labels.va, labels["expr"], f"AU {1}"  # va\n'
    )
    assert sorted(names_in(code)) == ["AU", "expr", "va"]
