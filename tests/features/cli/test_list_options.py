"""Lists are given as `a,b`, with and without brackets, in every command."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from features.cli.app import parse
from features.cli.list_options import bracketed
from features.extract import ExtractSettings
from fusion.ensemble import EnsembleSettings
from fusion.submit import SubmitSettings
from fusion.training.config import TrainSettings


@dataclass
class Inner:
    """Inner.

    Args:
        names: Names.
        pairs: Pairs.
    """

    names: tuple[str, ...] = ()
    pairs: list[tuple[int, float]] = field(default_factory=list)


@dataclass
class Settings:
    """Settings.

    Args:
        numbers: Numbers.
        maybe: Perhaps.
        files: Files.
        inner: Nested.
        text: No list.
    """

    numbers: list[int] = field(default_factory=list)
    maybe: list[float] | None = None
    files: list[Path] = field(default_factory=list)
    inner: Inner = field(default_factory=Inner)
    text: str = ""


def parsed(*argv: str) -> Settings:
    return parse(Settings, prog="t", description="", argv=argv)


@pytest.mark.parametrize("spelling", ["1,2", "[1,2]", "[1, 2]", "1, 2", "1,2,"])
@pytest.mark.parametrize("joined", [True, False])
def test_both_spellings_are_the_same_list(spelling: str, joined: bool) -> None:
    words = [f"--numbers={spelling}"] if joined else ["--numbers", spelling]
    assert parsed(*words, "--text", "1,2") == Settings(numbers=[1, 2], text="1,2")


def test_a_single_value_is_a_list_of_one() -> None:
    assert parsed("--numbers", "3").numbers == [3]
    assert parsed("--inner.names", "a").inner.names == ("a",)
    assert parsed("--files", "/a b/c").files == [Path("/a b/c")]


def test_values_stay_what_they_are() -> None:
    made = parsed("--inner.names", "1,true,a.b", "--maybe", "-1,.5", "--files=x,y")
    assert made.inner.names == ("1", "true", "a.b")
    assert made.maybe == [-1.0, 0.5]
    assert made.files == [Path("x"), Path("y")]


def test_none_and_nothing_can_be_said() -> None:
    assert parsed("--maybe", "null").maybe is None
    assert parsed("--numbers=").numbers == []
    assert parsed("--numbers", "[]").numbers == []


def test_lists_of_more_than_values_keep_their_brackets() -> None:
    assert parsed("--inner.pairs", "[[1,.5],[2,1.0]]").inner.pairs == [(1, 0.5), (2, 1.0)]


def test_an_option_without_a_value_does_not_eat_the_next_one() -> None:
    assert bracketed(["--numbers", "--text", "a,b"], Settings) == ["--numbers", "--text", "a,b"]


def test_the_commands_take_it() -> None:
    made = parse(
        TrainSettings,
        prog="t",
        description="",
        argv=[
            "--seeds",
            "1,2",
            "--data.streams=a,b",
            "--model.order",
            "va,au,expr",
            "--loggers",
            "csv,wandb",
        ],
    )
    assert (made.seeds, made.data.streams) == ([1, 2], ["a", "b"])
    assert (made.model.order, made.loggers) == (("va", "au", "expr"), ["csv", "wandb"])
    encoders = parse(
        ExtractSettings,
        prog="t",
        description="",
        argv=["--encoders", "expression,wav2vec2", "--wav2vec2.layers", "3,4"],
    )
    assert (encoders.encoders, encoders.wav2vec2.layers) == (["expression", "wav2vec2"], [3, 4])
    members = parse(EnsembleSettings, prog="t", description="", argv=["--members", "a/b.ckpt,c"])
    assert members.members == [Path("a/b.ckpt"), Path("c")]
    ids = parse(SubmitSettings, prog="t", description="", argv=["--unequal", "12,13_left"])
    assert ids.unequal == ["12", "13_left"]


def test_a_shell_leaves_it_alone(tmp_path: Path) -> None:
    (tmp_path / "1").touch()  # which `[1,2]` without quotes would become in bash
    code = "import sys; from tests.features.cli.test_list_options import parsed;"
    code += "print(parsed(*sys.argv[1:]).numbers)"
    line = f"cd {tmp_path} && {sys.executable} -c '{code}' --numbers 1,2"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.stdout.strip() == "[1, 2]"
