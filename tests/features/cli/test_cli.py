"""Commands: typed settings, one-line complaints, exit statuses."""

import contextlib
import errno
import resource
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from features.cli.app import run
from features.errors import UserError
from features.store.atomic_file import write_atomically


@dataclass
class Inner:
    """Inner settings.

    Args:
        margin: A number.
    """

    margin: float = 0.5


@dataclass
class Settings:
    """Settings of a test.

    Args:
        root: A folder.
        faces: Nested ones.
    """

    root: Path | None = None
    faces: Inner = field(default_factory=Inner)


def call(command, *argv: str) -> int:
    with pytest.raises(SystemExit) as stop:
        run(Settings, command, prog="a.test", description="A test.", argv=argv)
    return int(stop.value.code or 0)


def test_overrides_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("root: here\nfaces:\n  margin: 0.1\n")
    seen: list[Settings] = []

    def command(settings: Settings) -> int:
        seen.append(settings)
        return 0

    assert call(command, "--cfg", str(config), "--faces.margin", "0.7") == 0
    assert call(command, "--faces.margin", "0.7", "--cfg", str(config)) == 0
    assert call(command, "--faces.margin", "0.7", f"--cfg={config}") == 0
    assert seen == [Settings(Path("here"), Inner(0.7))] * 3


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--faces.magin", "1"], "did you mean 'faces.margin'?"),
        (["--rot", "x"], "did you mean 'root'?"),
        (["--faces.margin", "wide"], "faces.margin"),
        (["--cfg", "absent.yaml"], "absent.yaml"),
    ],
)
def test_a_wrong_setting_gives_one_line_and_status_2(
    argv: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(lambda _: 0, *argv) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.startswith("a.test: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("text", ["faces:\n  magin: 1\n", "rot: x\n"])
def test_a_wrong_key_in_a_file_is_named_with_the_nearest(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(text)
    assert call(lambda _: 0, "--cfg", str(config)) == 2
    assert "did you mean" in capsys.readouterr().err


def raise_(error: BaseException):
    def command(_: Settings) -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (UserError("clip.mp4: broken; cut it anew"), 1, "clip.mp4: broken; cut it anew"),
        (KeyboardInterrupt(), 130, "finished work is kept"),
        (OSError(errno.ENOSPC, "No space", "x/y"), 1, "no space left on the disk"),
    ],
)
def test_mistakes_give_one_line_and_a_status(
    error: BaseException, status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(raise_(error)) == status
    out = capsys.readouterr().err
    assert says in out
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        ("EIO", "check it and run again"),
        ("ENOENT", "check the path"),
        ("ESTALE", "is mounted"),
        ("ENOTCONN", "is mounted"),
        ("ETIMEDOUT", "is mounted"),
        ("ENODEV", "is mounted"),
        ("ENXIO", "is mounted"),
        ("ENOTDIR", "give another path"),
        ("EEXIST", "give another path"),
        ("EISDIR", "give another path"),
        ("ELOOP", "give another path"),
        ("ENAMETOOLONG", "shorter"),
        ("EMFILE", "ulimit -n"),
        ("ENFILE", "end other programs"),
        ("ENOMEM", "end what else fills it"),
        ("EROFS", "choose another"),
        ("EACCES", "mend its rights"),
        ("EPERM", "mend its rights"),
        ("EDQUOT", "free some space"),
        ("EFBIG", "ulimit -f"),
    ],
)
def test_a_fault_of_a_disk_is_one_line_with_the_file_and_a_remedy(
    number: str, remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = OSError(getattr(errno, number), "as the system says it", "store/12.safetensors")
    assert call(raise_(error)) == 1
    said = capsys.readouterr().err
    assert said.startswith("a.test: ")
    assert said.endswith(" (store/12.safetensors)\n")
    assert remedy in said
    assert said.count("\n") == 1


def open_without_end(folder: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    number_open = len(list(Path("/dev/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (number_open + 8, limit[1]))
    try:
        with contextlib.ExitStack() as stack:
            for number in range(32):
                stack.enter_context((folder / str(number)).open("w"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (lambda folder: write_atomically(folder / "file/12", b""), "where a folder is needed"),
        (lambda folder: write_atomically(folder / "file/a/12", b""), "where a folder is needed"),
        (lambda folder: write_atomically(folder / "folder", b""), "where a file is needed"),
        (lambda folder: (folder / "gone").read_bytes(), "or no longer"),
        (lambda folder: (folder / "loop").read_bytes(), "leads to itself"),
        (lambda folder: (folder / ("x" * 300)).read_bytes(), "too long a name"),
        (open_without_end, "too many open files"),
    ],
)
def test_what_the_system_refuses_is_one_line_through_a_command(
    work: Callable[[Path], object],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder/inner").mkdir(parents=True)
    (tmp_path / "loop").symlink_to("loop")
    before = list(tmp_path.iterdir())

    def command(_: Settings) -> int:
        work(tmp_path)
        return 0

    assert call(command) == 1
    said = capsys.readouterr().err
    assert says in said
    assert str(tmp_path) in said
    assert said.count("\n") == 1
    assert set(tmp_path.iterdir()) >= set(before)


def test_an_error_of_the_system_that_nobody_expects_is_not_dressed_up() -> None:
    with pytest.raises(OSError, match="unexpected"):
        run(Settings, raise_(OSError(errno.EBADF, "unexpected")), prog="p", description="", argv=[])


def test_a_warning_is_one_line_without_a_place_in_the_code(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def command(_: Settings) -> int:
        warnings.warn("no unit\n was on", UserWarning, stacklevel=1)
        return 0

    assert call(command) == 0
    assert capsys.readouterr().err == "a.test: warning: no unit was on\n"


def test_a_fault_of_the_program_is_not_dressed_up() -> None:
    with pytest.raises(ZeroDivisionError):
        run(Settings, raise_(ZeroDivisionError()), prog="p", description="", argv=[])
