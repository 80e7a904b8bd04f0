"""Configuration files with a base: merged, chained, or refused in one line."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from features.cli.app import parse
from features.cli.config_files import read_config
from features.errors import UsageError


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "mtl.yaml").write_text("name: mtl\nmodel: {dim: 8, heads: 2}\nseeds: [1, 2]\n")
    (folder / "small.yaml").write_text("base: mtl.yaml\nname: small\nmodel: {dim: 4}\n")
    return folder


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("base", ["mtl", "mtl.yaml", "shipped/mtl.yaml"])
def test_mappings_are_merged_with_the_bases_and_lists_replaced(
    base: str, shipped: Path, tmp_path: Path
) -> None:
    own = written(tmp_path / "own.yaml", f"base: {base}\nmodel: {{dim: 1e1}}\nseeds: [3]\n")
    assert read_config(own, shipped) == {
        "name": "mtl",
        "model": {"dim": 10.0, "heads": 2},
        "seeds": [3],
    }


def test_bases_have_bases(shipped: Path, tmp_path: Path) -> None:
    own = written(tmp_path / "own.yaml", "base: small\nmodel.heads: 1\n")
    assert read_config(own, shipped)["model"] == {"dim": 4, "heads": 1}
    assert read_config(own, shipped)["seeds"] == [1, 2]


def test_a_file_beside_a_recipe_goes_before_a_shipped_one(shipped: Path, tmp_path: Path) -> None:
    written(tmp_path / "mtl.yaml", "name: mine\n")
    assert read_config(written(tmp_path / "own.yaml", "base: mtl.yaml"), shipped)["name"] == "mine"
    assert read_config("mtl", shipped)["name"] == "mtl"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("base: own.yaml", r"own\.yaml: its bases go in a circle \(.*own\.yaml > .*own\.yaml\)"),
        ("base: round.yaml", r"own\.yaml: its bases go in a circle \(.*round\.yaml > .*\)"),
        ("base: smal", r"own\.yaml: base: .*smal: no such file; did you mean 'small'\?"),
        ("base: [mtl]", r"own\.yaml: base must be the name of one file"),
        ("base: shipped", r"shipped: no such file"),
        ("a: [", r"own\.yaml:2: not YAML"),
        ("- 1", r"own\.yaml: expected lines such as"),
    ],
    ids=["circle of one", "circle of two", "absent", "two", "folder", "no YAML", "no mapping"],
)
def test_what_makes_no_sense_is_one_line_that_names_the_file(
    text: str, says: str, shipped: Path, tmp_path: Path
) -> None:
    written(tmp_path / "round.yaml", "base: own.yaml\n")
    own = written(tmp_path / "own.yaml", text + "\n")
    with pytest.raises(UsageError, match=says) as error:
        read_config(own, shipped)
    assert "\n" not in str(error.value)


@dataclass
class Model:
    """Inner settings.

    Args:
        dim: A number.
        heads: Another.
    """

    dim: int = 1
    heads: int = 1


@dataclass
class Settings:
    """Settings.

    Args:
        name: A name.
        model: Nested ones.
        seeds: A list.
    """

    SHIPPED: ClassVar[Path]

    name: str = ""
    model: Model = field(default_factory=Model)
    seeds: list[int] = field(default_factory=list)


def call(*argv: str) -> Any:
    return parse(Settings, prog="t", description="", argv=argv)


def test_a_command_takes_shipped_names_and_shows_the_whole(
    shipped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Settings, "SHIPPED", shipped, raising=False)
    assert call("--model.dim", "5", "--cfg", "small") == Settings("small", Model(5, 2), [1, 2])
    assert call("--cfg=small", "--cfg", "{seeds: [9]}") == Settings("small", Model(4, 2), [9])
    with pytest.raises(SystemExit):
        call("--cfg", "small", "--print_config")
    assert capsys.readouterr().out == (
        "name: small\nmodel:\n  dim: 4\n  heads: 2\nseeds:\n- 1\n- 2\n"
    )
