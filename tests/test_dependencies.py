"""Every package that is imported is declared in pyproject.toml."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OWN = {"features", "fusion", "experiments", "tests"}
NAMES = {"google": "protobuf"}
"""Packages that several distributions share."""
THROUGH = {"protobuf": "onnx", "pydantic": "fastapi", "starlette": "fastapi"}
"""Distributions that come with a declared one which is of no use without them."""


def normal(name: str) -> str:
    """Name of a distribution as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra in extras or project["optional-dependencies"]:
        lines += project["optional-dependencies"][extra]
    return {normal(re.split(r"[\[<>=!~; ]", line)[0]) for line in lines}


def imported(folder: Path) -> Iterator[tuple[str, Path]]:
    """Top-level packages that the modules below a folder import, wherever in them."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            else:
                continue
            for name in names:
                yield name.split(".")[0], path.relative_to(ROOT)


def undeclared(folder: str, known: set[str]) -> dict[str, str]:
    """Package to a module that imports it, of those that nothing declares."""
    installed = packages_distributions()
    found = {}
    for name, path in imported(ROOT / folder):
        if name in OWN or name in sys.stdlib_module_names:
            continue
        homes = {normal(one) for one in installed.get(name, [])} or {normal(NAMES.get(name, name))}
        homes |= {normal(NAMES[name])} if name in NAMES else set()
        if not {THROUGH.get(home, home) for home in homes} & known:
            found[name] = str(path)
    return found


@pytest.mark.parametrize("folder", ["features", "fusion"])
def test_what_users_install_declares_what_it_imports(folder: str) -> None:
    extras = (
        "emotieff",
        "blendshapes",
        "egemaps",
        "timm",
        "ray",
        "search",
        "exports",
        "statistics",
        "serve",
    )
    assert undeclared(folder, declared(*extras)) == {}


def test_what_engineers_install_declares_what_experiments_import() -> None:
    assert undeclared("experiments", declared()) == {}


def test_what_is_not_declared_is_found() -> None:
    assert "numpy" in undeclared("features", declared("timm") - {"numpy"})
