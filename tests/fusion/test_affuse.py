"""`affuse`: one command for all, which loads only the one that is asked for."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from fusion.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]


def called(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(argv)
    said = capsys.readouterr()
    return int(stop.value.code or 0), said.out, said.err


def test_the_list_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = called(capsys, "--help")
    assert status == 0
    for name, (_, purpose) in COMMANDS.items():
        assert f"  {name:<10}{purpose}\n" in out
    assert called(capsys) == (2, out, "")
    version = importlib.metadata.version("affuse")
    assert called(capsys, "--version") == (0, f"affuse {version}\n", "")


def test_every_module_that_is_a_command_is_in_it() -> None:
    commands = {
        f"{package}.{path.stem}"
        for package in ("features", "fusion")
        for path in (ROOT / package).glob("*.py")
        if '__name__ == "__main__"' in path.read_text() and path.stem != "__main__"
    }
    assert len(commands) > 10
    assert commands <= {module for module, _ in COMMANDS.values()}


@pytest.mark.parametrize(
    ("name", "says"),
    [("trian", "did you mean 'train'?"), ("xyz", "affuse --help lists them")],
)
def test_an_unknown_command_gets_the_nearest(
    name: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(capsys, name) == (2, "", f"affuse: no command '{name}'; {says}\n")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_has_a_page_of_help_and_complains_under_its_name(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = called(capsys, name, "--help")
    assert status == 0
    assert out.startswith(f"usage: affuse {name} ")
    assert len(out.splitlines()) <= 60, "a page"
    assert "python -m" not in out
    status, _, err = called(capsys, name, "--nosuch", "1")
    assert status == 2
    assert err.startswith(f"affuse {name}: ")


def test_a_shipped_recipe_goes_by_its_name_anywhere(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "fusion", "train", "pasn", "--print_config"]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    out = subprocess.run(
        words, cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    ).stdout
    assert out.startswith("name: pasn\n")
    assert "head: streaming" in out
