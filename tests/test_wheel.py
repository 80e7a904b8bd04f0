"""What users install: a wheel that works without the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


def modules(*folders: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("setuptools", minversion="77", reason="nothing to build a wheel with")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    left = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for name in ("features", "fusion", "configs", "experiments"):
        shutil.copytree(ROOT / name, source / name, ignore=left)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    words = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "-q", "-w", str(out), "."]
    subprocess.run([sys.executable, "-m", "pip", *words], cwd=source, check=True)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as site-packages would be."""
    folder = tmp_path_factory.mktemp("site")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def call(installed: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_features_and_fusion_are_all_that_is_installed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"features", "fusion"}
    held = {name for name in names if name.endswith(".py")}
    assert held == modules("features", "fusion") | {"fusion/recipes/__init__.py"}


def test_recipes_weights_and_pages_are_in_it(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    own = ("features/encoders/weights", "fusion/reporting/page/assets")
    for folder, place in (("configs", "fusion/recipes"), *zip(own, own, strict=True)):
        found = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
        files = [path for path in found if path.suffix != ".pyc"]
        assert files
        assert {f"{place}/{path.relative_to(ROOT / folder).as_posix()}" for path in files} <= held


def test_a_recipe_goes_by_its_name_far_from_the_checkout(installed: Path, tmp_path: Path) -> None:
    done = call(installed, tmp_path, "-m", "fusion.train", "--cfg", "mtl", "--print_config")
    assert done.stdout.startswith("name: mtl\n"), done.stderr
    (tmp_path / "own.yaml").write_text("base: fpn\nname: own\n")
    done = call(installed, tmp_path, "-m", "fusion", "train", "own.yaml", "--print_config")
    assert done.stdout.startswith("name: own\n"), done.stderr
    code = "import features, fusion; print(features.__file__, fusion.__file__)"
    places = call(installed, tmp_path, "-c", code).stdout.split()
    assert all(Path(place).is_relative_to(installed) for place in places)


def test_without_data_the_remedy_is_named(installed: Path, tmp_path: Path) -> None:
    done = call(installed, tmp_path, "-m", "fusion", "extract")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("affuse extract: no data: give a folder by --data.root")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_command_is_there(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
    assert "affuse = fusion.cli:main" in archive.read(name).decode()
