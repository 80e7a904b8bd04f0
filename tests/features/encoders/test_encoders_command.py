"""`python -m features.encoders`, and what it reads: pictures of any kind, names of devices."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike
from PIL import Image

from features.cli.app import run
from features.encoders import __main__ as module
from features.encoders.base import READY, Status, Tokens
from features.encoders.registry import ENCODERS, encoder_names
from features.errors import UserError
from tests.media import plain_frames, tone, write_sound, write_video


class FakeFace:
    """Mean colour of a crop."""

    name, input, revision, licence = "expression", "face 8x8 RGB", "cafe", "none needed"
    trained_on, streams = "nothing", {"colour": 3, "red": 1}
    settings: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, settings: object = None, **_: object) -> None: ...

    @classmethod
    def status(cls, settings: object) -> Status:
        return READY

    def encode_faces(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        colour = crops.mean((1, 2)).astype(np.float32)
        return {"colour": colour, "red": colour[:, :1]}


class FakeEar:
    """Loudness of every 100 samples; streams are known only after loading."""

    name, revision, licence, trained_on, rate = "prosody", "beef", "none", "nothing", 8000
    token_rate = 80.0
    settings: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, settings: object = None, **_: object) -> None:
        self.input, self.streams = "sound 8000 Hz", {"loudness": 1}

    @classmethod
    def status(cls, settings: Any) -> Status:
        return Status("needs extra", f"pip install 'affuse[{settings.stream}]'")

    def encode_sound(self, blocks: Iterable[np.ndarray], dtype: DTypeLike = np.float32) -> Tokens:
        samples = np.concatenate(list(blocks))
        rows = samples[: len(samples) // 100 * 100].reshape(-1, 100)
        loud = np.sqrt((rows**2).mean(1, keepdims=True))
        return Tokens({"loudness": loud}, (np.arange(len(loud)) + 0.5) / self.token_rate)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMED", 1e-9)


@pytest.fixture
def _fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENCODERS, "expression", FakeFace)
    monkeypatch.setitem(ENCODERS, "prosody", FakeEar)


fakes = pytest.mark.usefixtures("_fakes")


def call(*argv: object) -> int:
    with pytest.raises(SystemExit) as stop:
        run(
            module.EncodersSettings,
            module.command,
            prog="features.encoders",
            description="",
            argv=[str(word) for word in argv],
        )
    return int(stop.value.code or 0)


def complaint(capsys: pytest.CaptureFixture[str], *argv: object, status: int = 1) -> str:
    assert call(*argv) == status
    error = capsys.readouterr().err
    assert error.startswith("features.encoders: ")
    assert error.count("\n") == 1
    return error


def said(capsys: pytest.CaptureFixture[str], *argv: object) -> dict[str, list[str]]:
    """First column of what a check prints to the others."""
    assert call(*argv) == 0
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines() if "  " in line]
    return {row[0]: [cell.strip() for cell in row[1:] if cell] for row in rows}


@fakes
def test_the_table_has_a_line_for_each_encoder_with_its_status(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call("--prosody.stream", "voice") == 0
    table, remedies = capsys.readouterr().out.split("\n\n")
    lines = table.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == ["name", *ENCODERS]
    face, ear = lines[names.index("expression")], lines[names.index("prosody")]
    cells = ["ready", "face 8x8 RGB", "per face", "colour:3 red:1", "cafe", "none needed"]
    assert [cell.strip() for cell in face.split("  ") if cell][1:] == cells
    assert ear.split()[1:] == ["needs", "extra", "-", "-", "-", "-", "-"]
    assert len({line.index(cell) for line, cell in zip(
        (lines[0], face, ear), ("status", "ready", "needs"), strict=True)}) == 1  # fmt: skip
    assert "prosody: pip install 'affuse[voice]'" in remedies.splitlines()


@fakes
def test_what_cannot_be_loaded_is_called_broken_and_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise UserError("face.safetensors: cut short; get it again")

    monkeypatch.setattr(FakeFace, "__init__", fail)
    assert call() == 0
    table, remedies = capsys.readouterr().out.split("\n\n")
    (line,) = [line for line in table.splitlines() if line.startswith("expression ")]
    assert line.split()[1] == "broken"
    assert "expression: face.safetensors: cut short; get it again" in remedies.splitlines()


@fakes
def test_a_visual_check_prints_what_the_encoder_is_and_gives(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = said(capsys, "--check", "expression")
    assert out["revision"] == ["cafe"]
    assert out["licence"] == ["none needed"]
    assert out["trained on"] == ["nothing"]
    assert "pictures a second, 16 at a time" in out["speed"][0]
    assert out["colour"][0] == "16 x 3"
    assert out["red"][0] == "16 x 1"
    mean = float(module.synthetic_crops().mean())
    assert float(out["colour"][1]) == pytest.approx(mean, abs=1e-3)


@fakes
def test_a_picture_is_taken_whole_as_one_crop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "face.png"
    Image.new("RGB", (30, 60), (10, 20, 60)).save(path)
    out = said(capsys, "--check", "expression", "--file", path)
    assert out["colour"][:2] == ["1 x 3", "30.0000"]
    assert out["red"][:3] == ["1 x 1", "10.0000", "0.0000"]


@fakes
@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_sound_of_any_rate_is_heard_at_the_encoders(
    rate: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_sound(tmp_path / "a.wav", tone(1.5, rate, peak=0.5), rate, "pcm_s16le")
    out = said(capsys, "--check", "prosody", "--file", path)
    assert out["loudness"][0] == "120 x 1"
    assert float(out["loudness"][1]) == pytest.approx(0.5 / 2**0.5, abs=0.002)
    assert "for 1.50 s" in out["speed"][0]


@fakes
def test_silence_and_sound_too_short_for_a_token_are_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_sound(tmp_path / "s.wav", np.zeros(8000, "f4"), 8000, "pcm_s16le")
    assert said(capsys, "--check", "prosody", "--file", path)["loudness"][:2] == [
        "80 x 1",
        "0.0000",
    ]
    path = write_sound(tmp_path / "t.wav", tone(0.01, 8000), 8000, "pcm_s16le")
    out = said(capsys, "--check", "prosody", "--file", path)
    assert out["loudness"] == ["0 x 1", "-", "-", "-"]


@fakes
def test_sound_of_a_video_is_heard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_video(tmp_path / "v.mp4", plain_frames(25), sound=tone(1.0))
    assert "loudness" in said(capsys, "--check", "prosody", "--file", path)


@fakes
def test_checksums_tell_outputs_apart_and_repeat(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sums = []
    for value in (10, 10, 11):
        path = tmp_path / f"{value}.png"
        Image.new("RGB", (9, 9), (value,) * 3).save(path)
        sums.append(said(capsys, "--check", "expression", "--file", path)["colour"][-1])
    assert sums[0] == sums[1] != sums[2]
    assert len(sums[0]) == 16


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=8))
@settings(max_examples=50, derandomize=True)
def test_checksum_depends_on_the_float16_values_alone(values: list[float]) -> None:
    exact = np.array(values, np.float32)
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float16).astype(np.float32)
    assert module.checksum(exact) == module.checksum(rounded)
    assert module.checksum(-0.0 * exact) == module.checksum(0.0 * exact)
    assert module.checksum(exact) != module.checksum(np.append(exact, np.float32(0)))


def test_speed_leaves_the_first_run_out_where_there_are_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([0.0, 0.9, 1.0, 1.2, 2.0, 2.2])
    monkeypatch.setattr(module, "TIMED", 1.0)
    monkeypatch.setattr(module, "perf_counter", lambda: next(clock))
    assert module.timed(dict, 4)[1] == pytest.approx(4 / 0.2)
    alone = iter([0.0, 2.0])
    monkeypatch.setattr(module, "perf_counter", lambda: next(alone))
    assert module.timed(dict, 4)[1] == pytest.approx(2)


@pytest.mark.parametrize("name", ["expression", "prosody"])
def test_the_packaged_encoders_pass_their_check(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = said(capsys, "--check", name)
    assert said(capsys, "--check", name)[name] == first[name]
    rows = "16 x " if name in encoder_names("faces") else "100 x "
    assert first[name][0].startswith(rows)


@fakes
def test_values_that_are_not_finite_fail_the_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = {"colour": np.array([[1.0, np.nan]], np.float32)}
    monkeypatch.setattr(FakeFace, "encode_faces", lambda *_: broken)
    assert "stream 'colour' holds values that are not finite" in complaint(
        capsys, "--check", "expression"
    )


@pytest.mark.parametrize(
    ("name", "near"), [("expresion", "'expression'"), ("wav2vec", "'wav2vec2'"), ("zzz", "prosody")]
)
def test_an_unknown_encoder_names_the_nearest(
    name: str, near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    error = complaint(capsys, "--check", name)
    assert f"unknown encoder '{name}'" in error
    assert near in error


def test_settings_of_the_encoder_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    error = complaint(capsys, "--check", "wav2vec2", "--wav2vec2.modl", "x", status=2)
    assert "did you mean 'wav2vec2.model'?" in error
    error = complaint(capsys, "--check", "wav2vec2", "--wav2vec2.model", "/no/such/folder")
    assert "/no/such/folder" in error
    assert "--wav2vec2.model DIR" in error


def test_a_file_without_a_check_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--check NAME" in complaint(capsys, "--file", "a.png", status=2)


@fakes
@pytest.mark.parametrize("name", ["expression", "prosody"])
@pytest.mark.parametrize("kind", ["absent", "folder", "empty", "text"])
def test_a_file_that_is_neither_picture_nor_sound_is_one_line(
    name: str, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "some.file"
    if kind == "folder":
        path.mkdir()
    elif kind != "absent":
        path.write_text({"empty": "", "text": "hello"}[kind])
    error = complaint(capsys, "--check", name, "--file", path)
    assert str(path) in error
    assert {"expression": "takes face 8x8 RGB", "prosody": "takes sound 8000 Hz"}[name] in error


@fakes
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff", ".bmp", ".gif"])
def test_a_picture_for_ears_is_one_line(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"face{suffix}"
    Image.new("RGB", (32, 32)).save(path)
    error = complaint(capsys, "--check", "prosody", "--file", path)
    assert f"{path}: " in error
    assert "'prosody' takes sound 8000 Hz" in error


@fakes
def test_sound_or_video_for_eyes_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (
        write_sound(tmp_path / "a.wav", tone(0.2), 44_100, "pcm_s16le"),
        write_video(tmp_path / "v.mp4", plain_frames(5)),
    ):
        error = complaint(capsys, "--check", "expression", "--file", path)
        assert "not a picture" in error
        assert "'expression' takes face 8x8 RGB" in error
