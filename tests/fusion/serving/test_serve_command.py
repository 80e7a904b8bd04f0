"""`fusion.serve` before it serves: what it refuses, and whom it lets ask."""

import socket
from pathlib import Path

import pytest

from features.errors import UserError
from fusion import serve
from fusion.serve import ServeSettings, read_token, service_settings


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that the command complains with."""
    with pytest.raises(SystemExit) as stop:
        serve.main(argv=words)
    assert stop.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_others_may_ask_only_with_a_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--port", "0", "--folder", str(tmp_path / "served"))
    line = refused(capsys, "--host", "0.0.0.0", *words)
    assert line.startswith("fusion.serve: --host 0.0.0.0 lets others ask, which takes --token_file")
    assert not (tmp_path / "served").exists()
    (tmp_path / "token").write_text("long-enough-a-token\n")
    settings = ServeSettings(host="0.0.0.0", token_file=tmp_path / "token")
    assert service_settings(settings).token == "long-enough-a-token"


@pytest.mark.parametrize("content", [b"", b"short", "fünfzehn-oder-mehr".encode(), b"\xff" * 20])
def test_a_token_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(UserError, match=r"token: (a token has 16|no file)"):
        read_token(tmp_path / "token")
    with pytest.raises(UserError, match="no file with a token"):
        read_token(tmp_path)


@pytest.mark.parametrize("name", ["workers", "limit_mb", "queue", "keep_hours", "job_hours"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_numbers_that_make_no_sense_are_refused(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"--{name} must be above 0"):
        service_settings(ServeSettings(**{name: value}))  # type: ignore[arg-type]


def test_a_checkpoint_that_cannot_be_read_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "bad.ckpt").write_text("no checkpoint")
    with pytest.raises(UserError, match=r"bad\.ckpt: "):
        service_settings(ServeSettings(checkpoint=tmp_path / "bad.ckpt"))


def test_a_port_that_is_taken_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        line = refused(capsys, "--port", port, "--folder", str(tmp_path / "served"))
    assert line.endswith("give another --host or --port")
