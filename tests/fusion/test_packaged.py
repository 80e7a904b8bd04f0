"""The packaged model on films of which little can be told: what it says, and that it says so."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

import fusion
from features.faces.detect import FaceSettings
from fusion.data.prediction_files import read_predictions
from fusion.pretrained import PACKAGED
from tests.media import face_frame, tone, write_video

FPS, FRAMES = 10, 20
LIMIT = 1_700_000
"""Bytes that are left for it beside the encoders' weights, of 14 MB in all."""


def film(
    path: Path, *, side: int = 110, sound: np.ndarray | None = None, face: bool = True
) -> Path:
    grey = np.full((160, 192, 3), 110, np.uint8)
    frames = [
        face_frame(192, 160, [(90 + i // 4, 80)], size=side) if face else grey.copy()
        for i in range(FRAMES)
    ]
    return write_video(path, frames, fps=FPS, sound=sound)


@pytest.fixture(scope="module")
def affect() -> fusion.Affect:
    return fusion.Affect.from_pretrained(device="cpu")


def test_it_is_small_and_names_no_place_of_the_machine_that_made_it() -> None:
    assert PACKAGED.stat().st_size < LIMIT
    content = PACKAGED.read_bytes()
    assert not any(place in content for place in (b"/work", b"/home", b"/tmp", b"/root"))
    assert (PACKAGED.parent / "README.md").is_file()


def test_a_face_and_a_tone(affect: fusion.Affect, tmp_path: Path) -> None:
    (person,) = affect(film(tmp_path / "talk.mp4", sound=tone(FRAMES / FPS)))
    table = person.to_pandas()
    assert len(table) == FRAMES
    assert table.filter(like="AU12").columns.tolist() == ["AU12_p", "AU12_p_bc"]
    shown = table[
        ["valence", "arousal", "valence_sd", "Happiness_sd", "validity", "speech", "box_x0"]
    ]
    assert not shown.isna().any(axis=None)
    assert (table["valence_sd"] > 0).all()
    assert table["expression"].mode()[0] == "Happiness"  # the astronaut smiles
    assert "hardly any speech" in person.summary()


def test_a_film_without_sound(affect: fusion.Affect, tmp_path: Path) -> None:
    (person,) = affect(film(tmp_path / "mute.mp4"))
    assert person.to_pandas()["speech"].isna().all()
    assert "no sound, so that it is the face alone that tells" in person.summary()


def test_sound_alone_of_a_telephone(affect: fusion.Affect, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "call.wav", rng.standard_normal(8000 * 2) / 20, 8000)
    (person,) = affect(tmp_path / "call.wav")
    table = person.to_pandas()
    assert not table["face"].any()
    assert "AU12_p" not in table
    assert "Trust: low: no face was seen" in person.summary()


def test_neither_face_nor_sound_says_that_nothing_can_be_trusted(
    affect: fusion.Affect, tmp_path: Path
) -> None:
    (person,) = affect(film(tmp_path / "wall.mp4", face=False))
    assert person.to_pandas()["AU12_p"].isna().all()
    assert "Trust: low: no face was seen" in person.summary()


def test_a_small_face_is_said_to_be_small(tmp_path: Path) -> None:
    finds = FaceSettings(min_face=12)
    affect = fusion.Affect.from_pretrained(device="cpu", faces=finds)
    (person,) = affect(film(tmp_path / "far.mp4", side=24))
    assert person.face.any()
    assert "pixels small" in person.summary()


def test_the_command_needs_nothing_but_the_film(tmp_path: Path) -> None:
    clip = film(tmp_path / "talk.mp4", sound=tone(FRAMES / FPS))
    words = [sys.executable, "-m", "fusion.predict", str(clip), "--out", "out", "--workers", "0"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "talk: 2.0 s, face in view for 2.0 s (100%)" in done.stdout
    kept = read_predictions(tmp_path / "out/talk.parquet")
    assert {"va", "units", "pose", "quality", "speech", "box", "uncertainty"} <= set(kept.measures)
    words = [sys.executable, "-m", "fusion.measuring", "out/talk.parquet"]
    told = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "valence" in told
    assert "no trained head" in told
    names = [line.split()[0] for line in told.splitlines()]
    assert names == [n for n in read_names(tmp_path / "out/talk.parquet") if n != "expression"]


def read_names(path: Path) -> list[str]:
    return fusion.Predictions.read(path).to_pandas().columns.tolist()


def test_columns_of_the_package_are_listed_without_a_file() -> None:
    words = [sys.executable, "-m", "fusion.measuring"]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert {"Happiness", "AU12_p", "vocal_arousal", "speech", "NAME_bc"} <= {
        line.split()[0] for line in told.splitlines()
    }
