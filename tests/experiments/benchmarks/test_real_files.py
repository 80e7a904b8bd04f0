from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from experiments.benchmarks.real_files import Expected, check, command, expectations
from experiments.benchmarks.real_files import RealFilesSettings as Settings
from features.errors import UserError
from tests.media import write_sound, write_video
from tests.shared import shared_data

COUNT = 20


def pictures() -> list[np.ndarray]:
    """Smooth noise, another in each frame: no two alike, nor alike when mirrored."""
    random = np.random.default_rng(0)
    fields = gaussian_filter(random.normal(size=(COUNT, 64, 96)), (0, 6, 6))
    grey = np.clip(128 + 60 * fields / fields.std(), 0, 255).astype(np.uint8)
    return [np.repeat(one[..., None], 3, axis=2) for one in grey]


def noise() -> np.ndarray:
    return (0.1 * np.random.default_rng(1).normal(size=round(COUNT / 25 * 44_100))).astype("f4")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images, sound = pictures(), noise()
    write_video(tmp_path / "base.mp4", images, sound=sound)
    part = slice(5, 15)
    write_video(tmp_path / "part.mkv", images[part], sound=sound[8820:26_460])
    write_video(tmp_path / "mirrored.mp4", [image[:, ::-1] for image in images], sound=sound)
    write_video(tmp_path / "slipped.mkv", images, sound=np.roll(sound, 8820))
    (tmp_path / "junk.mp4").write_bytes(b"no video" * 100)
    (tmp_path / "expected.csv").write_text(
        "file,frames,width,height,sound_s,outcome\n"
        "base.mp4,20,96,64,0.82,ok\npart.mkv,10,96,64,0.42,ok\n"
        "mirrored.mp4,20,96,64,0.82,ok\nslipped.mkv,19,64,96,0.82,ok\n"
        "junk.mp4,,,,,loss said\nabsent.mp4,1,2,3,4,ok\n"
    )
    return tmp_path


def test_what_is_not_as_expected_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = check(folder, extraction=False)
    assert wrong.keys() == {"mirrored.mp4", "slipped.mkv", "absent.mp4"}
    assert "mirrored" in wrong["mirrored.mp4"]
    assert wrong["slipped.mkv"][:2] == ["20 frames", "size 96x64"]
    assert any("+0.200 s late" in line for line in wrong["slipped.mkv"])
    said = capsys.readouterr().out
    assert "part.mkv: 10 frames 96x64, 0.4" in said
    assert "upright, slip +0.0" in said
    assert command(Settings(folder, extraction=False)) == 1


def test_a_folder_without_expectations_is_extracted_and_described(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path / "one.mp4", pictures()[:6])
    write_sound(tmp_path / "two.wav", noise(), 44_100, "pcm_s16le")
    (tmp_path / "junk.mkv").write_bytes(b"no video" * 100)
    assert command(Settings(tmp_path)) == 0
    said = capsys.readouterr().out
    assert "one.mp4: 6 frames 96x64, no sound" in said
    assert "two.wav: 0 frames, 0.80 s from +0.000 s" in said
    assert "junk.mkv: not a video or sound file" in said
    assert "3 files, 0 with expectations, 0 differ" in said


def test_a_table_in_a_readme_tells_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(
        "# odd\n\n| file | KB | frames declared/decoded | audio |\n|---|---|---|---|\n"
        "| a.mp4 | 1 | 0/60 | aac 44100 |\n| b.mp4 | 1 | 98/95 | none  |\n| c.mp4 | 1 | 50/- | |\n"
    )
    assert expectations(tmp_path) == {
        "a.mp4": Expected(60),
        "b.mp4": Expected(95, sound=0.0),
    }


def test_an_absent_folder_is_named() -> None:
    with pytest.raises(UserError, match="no files in it"):
        check(Path("no/such/folder"))


@pytest.mark.parametrize("kind", ["cases", "odd"])
def test_real_files_are_read_as_expected(kind: str) -> None:
    assert check(shared_data() / kind, extraction=False) == {}
