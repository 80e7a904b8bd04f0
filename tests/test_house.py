"""The house: rooms that can be walked, each with a line that says what it is for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = sorted(
    init.parent.relative_to(ROOT).as_posix()
    for package in ("features", "fusion", "experiments")
    for init in (ROOT / package).rglob("__init__.py")
)
MOST = 12


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_at_most_twelve_modules_and_says_what_it_is_for(room: str) -> None:
    modules = [path for path in (ROOT / room).glob("*.py") if not path.stem.startswith("__")]
    assert len(modules) <= MOST
    assert ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text()))


@pytest.mark.parametrize("package", ["features", "fusion", "experiments"])
def test_every_folder_of_modules_is_a_package(package: str) -> None:
    folders = {path.parent for path in (ROOT / package).rglob("*.py")}
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_a_study_is_found_under_its_old_name_which_says_the_new_one() -> None:
    words = [sys.executable, "-m", "experiments.train_speed", "--help"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("usage: experiments.benchmarks.train_speed")
    assert done.stderr == "experiments.train_speed is experiments.benchmarks.train_speed now\n"


@pytest.mark.parametrize("name", ["nothing", "labels"])
def test_what_was_no_command_is_not_found(name: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        __import__(f"experiments.{name}")


LIBRARY = sorted(
    path.relative_to(ROOT).as_posix()
    for package in ("features", "fusion")
    for path in (ROOT / package).glob("*/**/*.py")
    if path.stem != "__main__" and path.relative_to(ROOT).parts[1] != "cli"
)


def test_only_commands_print() -> None:
    def prints(path: str) -> bool:
        calls = (
            n for n in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(n, ast.Call)
        )
        return any(isinstance(call.func, ast.Name) and call.func.id == "print" for call in calls)

    assert len(LIBRARY) > 100
    assert [path for path in LIBRARY if prints(path)] == []
