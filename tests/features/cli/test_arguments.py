"""Inputs without their option, switches without `true`, help on a page, closed pipes."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from features.cli.app import parse, run
from features.cli.arguments import spelt_out
from features.errors import UsageError

ROOT = Path(__file__).parents[3]


@dataclass
class Inner:
    """Inner settings.

    Args:
        root: A folder.
        deep: Hardly ever needed.
    """

    root: Path | None = None
    deep: int = 3


@dataclass
class Settings:
    """Settings.

    Args:
        data: Nested.
        names: A list.
        repair: A switch.
        size: A number.
    """

    POSITIONAL: ClassVar[str] = "data.root"
    ESSENTIAL: ClassVar[tuple[str, ...]] = ("repair", "size")

    data: Inner = field(default_factory=Inner)
    names: list[str] = field(default_factory=lambda: ["a", "b"])
    repair: bool = False
    size: float = 1.5


@dataclass
class Several(Settings):
    """Settings whose inputs are a list.

    Args:
        data: Nested.
        names: A list.
        repair: A switch.
        size: A number.
    """

    POSITIONAL: ClassVar[str] = "names"
    ESSENTIAL: ClassVar[None] = None  # type: ignore[assignment]


@dataclass
class Named:
    """No inputs.

    Args:
        size: A number.
    """

    size: float = 1.5


@pytest.mark.parametrize(
    ("argv", "spelt"),
    [
        (["R", "--repair"], ["--data.root=R", "--repair=true"]),
        (["--repair", "R"], ["--data.root=R", "--repair=true"]),
        (["--repair", "false", "R"], ["--data.root=R", "--repair", "false"]),
        (["--size", "-1", "R"], ["--data.root=R", "--size", "-1"]),
        (["--size=2", "R", "--cfg", "c"], ["--data.root=R", "--size=2", "--cfg", "c"]),
        (["--size", "--repair"], ["--size", "--repair=true"]),
        (["--print_config", "R"], ["--data.root=R", "--print_config"]),
        ([], []),
    ],
)
def test_an_input_may_stand_anywhere_and_a_switch_alone(argv: list[str], spelt: list[str]) -> None:
    assert spelt_out(argv, Settings) == spelt


def test_several_inputs_are_a_list_where_the_option_takes_one() -> None:
    made = parse(Several, prog="t", description="", argv=["x y", "--size", "2", "z,1"])
    assert (made.names, made.size) == (["x y", "z,1"], 2.0)
    with pytest.raises(UsageError, match=r"'b' is one too many beside 'a' \(--data\.root\)"):
        parse(Settings, prog="t", description="", argv=["a", "b"])
    with pytest.raises(UsageError, match="x"):
        parse(Named, prog="t", description="", argv=["x"])


DOC = """`python -m features.t`: does something.

Data flow: this > that.

    python -m features.t DIR            # so
"""


def page(settings: type, capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as stop:
        run(settings, lambda _: 1, prog="affuse t", description=DOC, argv=argv)
    assert not stop.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_is_a_page_of_what_matters(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert page(Settings, capsys, "DIR", word).splitlines() == [
        "usage: affuse t [ROOT] [--OPTION VALUE ...]",
        "",
        "Does something.",
        "",
        "    affuse t DIR            # so",
        "",
        "options that matter most:",
        "  ROOT, --data.root   A folder.",
        "  --repair            A switch. [false]",
        "  --size              A number. [1.5]",
        "  --cfg               YAML file with any of these settings, or a `base` and what differs",
        "",
        "--print_config shows all settings as they would be used",
        "--help all explains the 3 others",
    ]


def test_help_all_has_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    said = page(Settings, capsys, "--help", "all")
    assert all(f"--{name}" in said for name in ("data.deep", "names", "size", "print_config"))
    assert "--names" not in page(Settings, capsys, "--help")
    assert "  NAMES, --names      A list. [a,b]\n" in page(Several, capsys, "-h")


@pytest.mark.parametrize(
    "code",
    [
        "print('x' * 100_000); return 0",
        "print('x')\n    return 0",
        "print('x', flush=True)\n    return 0",
        "raise UserError('wrong')",
    ],
    ids=["much", "little", "at once", "complaint"],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_nobody_listens_and_there_is_no_traceback(code: str, unbuffered: str) -> None:
    program = (
        "import sys\nfrom features.cli.app import run\nfrom features.errors import UserError\n"
        "from tests.features.cli.test_arguments import Settings\nsys.stdin.read()\n"
        f"def command(_):\n    {code}\n"
        "run(Settings, command, prog='t', description='', argv=sys.argv[1:])\n"
    )
    done = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered},
    )
    assert done.stdout is not None
    assert done.stdin is not None
    assert done.stderr is not None
    done.stdout.close()  # as `head` does
    done.stdin.close()
    said = done.stderr.read()
    quiet = code.startswith("print")
    assert (done.wait(), said) == ((141, "") if quiet else (1, "t: wrong\n"))


@pytest.mark.parametrize("words", [["--help"], ["--help", "all"], ["--print_config"]])
def test_help_and_settings_end_quietly_too(words: list[str]) -> None:
    line = f"{sys.executable} -m fusion train {' '.join(words)} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, check=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("141\n", "")
