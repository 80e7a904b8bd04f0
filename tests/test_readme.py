"""The literal commands of the README, run one after the other in a clean folder."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def readme_commands() -> list[str]:
    """Indented lines of the README that run a module, without their comments."""
    lines = re.findall(r"^    (python -m .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    return [line.split("#")[0].strip() for line in lines]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone would hold: the files that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    folder = tmp_path_factory.mktemp("clone")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def shell(command: str, folder: Path) -> str:
    """Runs a command of the README as typed and returns what it printed; fails if it fails."""
    words = command.split()
    assert words[0] == "python"
    env = os.environ | {"PYTHONPATH": str(folder)}
    result = subprocess.run(
        [sys.executable, *words[1:]], cwd=folder, env=env, capture_output=True, text=True
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.mark.slow
def test_the_commands_of_the_readme_run_as_written(checkout: Path) -> None:
    commands = readme_commands()
    extract, train = "python -m features.extract", "python -m fusion.train --cfg configs/mtl.yaml"
    assert {extract, train} <= set(commands)
    assert "0 failed" in shell(extract, checkout)
    assert "0 to do" in shell(extract, checkout)
    assert "validation: " in shell(train, checkout)
    own = {
        "ROOT": "data/demo",
        "SAMPLE": "data/demo/test/VA_sample_submission.txt",
        "talk.mp4": str(min((checkout / "data/demo/videos").rglob("*.mp4"))),
    }
    for command in commands:
        if command in (extract, train) or "fusion.train" in command:
            continue  # run above
        for name, real in own.items():
            command = re.sub(rf"(?<![\w/]){re.escape(name)}(?!\w)", real, command)
        shell(command, checkout)
    assert (checkout / "submission_VA.txt").exists()
    stem = Path(own["talk.mp4"]).stem
    assert [p.stem for p in (checkout / "predictions").glob("*.parquet")] == [stem]
    assert [p.stem for p in (checkout / "predictions/report").glob("*.png")] == [stem]
    assert (checkout / f"{stem}.html").stat().st_size > 100_000


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_what_a_page_links_to_is_there(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_make_lists_its_targets() -> None:
    out = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    targets = [line.split()[0] for line in out.splitlines()]
    assert targets[:6] == ["help", "setup", "demo", "demo-real", "demo-all", "test"]
