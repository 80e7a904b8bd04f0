"""Settings that are a choice by name with settings of its own, older names, and plugins."""

from dataclasses import InitVar, dataclass, field
from pathlib import Path

import pytest

from features.cli.app import parse, updated
from features.cli.choices import Choice, read_choice, read_options
from features.errors import UsageError, UserError


@dataclass(frozen=True)
class Inner:
    part: Choice = field(default_factory=lambda: {"name": "plain"})
    depth: InitVar[int | None] = None

    def __post_init__(self, depth: int | None) -> None:
        if depth is not None:
            object.__setattr__(self, "part", {**read_choice(self.part, "part"), "depth": depth})


@dataclass
class Settings:
    inner: Inner = field(default_factory=Inner)


@dataclass(frozen=True)
class Options:
    depth: int = 2
    names: tuple[str, ...] = ()


def part_of(*argv: str) -> object:
    return parse(Settings, prog="t", description="", argv=argv).inner.part


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return f"--cfg={path}"


@pytest.mark.parametrize("spelling", ["deep", "{name: deep}"])
def test_a_bare_name_is_a_mapping_to_which_options_add(tmp_path: Path, spelling: str) -> None:
    cfg = written(tmp_path / "a.yaml", f"inner: {{part: {spelling}}}")
    assert part_of(cfg) == {"name": "deep"}
    assert part_of(cfg, "--inner.part.depth", "3") == {"name": "deep", "depth": 3}
    assert part_of(cfg, "--inner.part", "other", "--inner.part.x=1") == {"name": "other", "x": 1}
    assert part_of("--inner.part.depth", "3") == {"name": "plain", "depth": 3}


def test_another_name_takes_nothing_along() -> None:
    one = updated(Settings(), {"inner": {"part": {"name": "deep", "depth": 3}}}, "a")
    assert updated(one, {"inner": {"part": {"x": 1}}}, "a").inner.part == {
        "name": "deep", "depth": 3, "x": 1,
    }  # fmt: skip
    for other in ("other", {"name": "other"}):
        assert updated(one, {"inner": {"part": other}}, "a").inner.part == {"name": "other"}


def test_older_names_are_taken_but_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert part_of("--inner.depth", "4") == {"name": "plain", "depth": 4}
    with pytest.raises(SystemExit):
        part_of("--help", "all")
    assert "--inner.part" in (said := capsys.readouterr().out)
    assert "--inner.depth" not in said


def test_options_are_checked_as_those_of_commands_are() -> None:
    read = read_options(Options, {"depth": "3", "names": "a,b"}, "part", "deep")
    assert read == Options(3, ("a", "b"))
    assert read_options(Options, {"names": ["a"]}, "part", "deep") == Options(names=("a",))
    with pytest.raises(UsageError, match=r"'part.dept' of deep; did you mean 'part.depth'"):
        read_options(Options, {"dept": 3}, "part", "deep")
    with pytest.raises(UsageError, match=r"'part.zzz' of deep; deep has depth, names"):
        read_options(Options, {"zzz": 3}, "part", "deep")
    with pytest.raises(UsageError, match=r"part.depth.*many"):
        read_options(Options, {"depth": "many"}, "part", "deep")
    with pytest.raises(UsageError, match="part needs a name"):
        read_choice({"depth": 3}, "part")


def test_plugins_are_imported_before_settings_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a_plugin_of_a_test.py").write_text("print('here I am')")
    monkeypatch.chdir(tmp_path)
    part_of("--plugins", "a_plugin_of_a_test")
    assert capsys.readouterr().out == "here I am\n"
    with pytest.raises(UserError, match=r"no module 'not_there.at_all'.*PYTHONPATH"):
        part_of("--plugins", "a_plugin_of_a_test,not_there.at_all")


def test_what_a_plugin_lacks_is_its_own_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_plugin_in_want.py").write_text("import not_there_either")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_there_either"):
        part_of("--plugins", "a_plugin_in_want")
