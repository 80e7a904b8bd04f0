"""The encoder `blendshapes`: MediaPipe's models read as MediaPipe does, and what it says if not."""

import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pytest

from features.encoders.registry import EncoderSettings, build_encoder, describe_encoder
from features.encoders.visual.blendshapes import (
    PARTS,
    SUBSET,
    BlendshapesEncoder,
    BlendshapesSettings,
    reframed,
    upright,
)
from features.encoders.visual.face.encoder import BLENDSHAPES
from features.errors import UserError

HERE = importlib.util.find_spec("ai_edge_litert") is not None
runs = pytest.mark.skipif(not HERE, reason="ai-edge-litert is absent")


@pytest.fixture(scope="module")
def teacher() -> Path:
    from tests.shared import shared_data

    path = shared_data() / "teachers/face-landmarker/face_landmarker.task"
    if not (HERE and path.is_file()):
        pytest.skip(f"no {path}, or no ai-edge-litert")
    return path


@pytest.fixture(scope="module")
def encoder(teacher: Path) -> BlendshapesEncoder:
    return BlendshapesEncoder(BlendshapesSettings(model=str(teacher)))


def pictures(name: str, teacher: Path, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Some faces of a corpus as crops, and the values and presence that were made of them."""
    faces = teacher.parents[2] / "faces"
    made = np.load(faces / f"blendshapes/{name}.npz")
    images = np.load(faces / f"{name}.npz")["images"]
    chosen = np.linspace(0, len(images) - 1, count).astype(int)
    crops = np.repeat(images[chosen][..., None], 3, axis=-1)
    return crops, made["blendshapes"][chosen].astype(float), made["presence"][chosen].astype(float)


@pytest.mark.parametrize("name", ["ckplus48", "yale"])
def test_values_are_those_that_were_made_by_other_code(
    encoder: BlendshapesEncoder, teacher: Path, name: str
) -> None:
    crops, theirs, presence = pictures(name, teacher, 12)
    out = encoder.encode_faces(crops)
    ours = out["blendshapes"]
    off = np.abs(ours - theirs)
    assert off.mean() < 0.01
    assert off.mean(axis=1).max() < 0.02
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99
    np.testing.assert_allclose(out["blendshapes.presence"][:, 0], presence, atol=0.05)


def test_names_kinds_and_ranges(encoder: BlendshapesEncoder, teacher: Path) -> None:
    settings = EncoderSettings(blendshapes=BlendshapesSettings(model=str(teacher)))  # type: ignore[call-arg]
    described = describe_encoder("blendshapes", settings)
    assert described.columns["blendshapes"] == BLENDSHAPES
    assert described.streams == {"blendshapes": 52, "blendshapes.presence": 1} == encoder.streams
    assert described.revision == "64184e229b263107"
    crops, _, _ = pictures("yale", teacher, 2)
    out = build_encoder("blendshapes", settings).encode_faces(crops)
    assert {name: (v.shape, v.dtype.name) for name, v in out.items()} == {
        "blendshapes": ((2, 52), "float32"),
        "blendshapes.presence": ((2, 1), "float32"),
    }
    assert all(((v >= 0) & (v <= 1)).all() for v in out.values())
    empty = encoder.encode_faces(crops[:0])
    assert {name: value.shape for name, value in empty.items()} == {
        "blendshapes": (0, 52),
        "blendshapes.presence": (0, 1),
    }


def test_what_is_no_face_has_no_presence(encoder: BlendshapesEncoder, teacher: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 112, 112, 3)).astype(np.uint8)
    out = encoder.encode_faces(np.concatenate([noise, np.zeros_like(noise)]))
    assert out["blendshapes.presence"].max() < 0.01
    assert np.isfinite(out["blendshapes"]).all()


def test_a_model_that_is_another_is_refused(teacher: Path, tmp_path: Path) -> None:
    swapped = tmp_path / "swapped.task"
    with zipfile.ZipFile(teacher) as task, zipfile.ZipFile(swapped, "w") as other:
        for part, name in zip(PARTS, reversed(PARTS), strict=True):
            other.writestr(part, task.read(name))
    with pytest.raises(UserError, match=r"swapped\.task: its models are of another kind; give"):
        BlendshapesEncoder(BlendshapesSettings(model=str(swapped)))


# Without the file --------------------------------------------------------------------------------


def test_points_are_as_many_as_the_model_takes() -> None:
    assert len(SUBSET) == len(set(SUBSET)) == 146
    assert sorted(SUBSET) == SUBSET
    assert SUBSET[-1] == 477


@pytest.mark.parametrize(("margin", "side"), [(0.0, 112), (0.25, 140), (0.5, 168), (1.0, 224)])
def test_crops_of_any_margin_show_the_same(margin: float, side: int) -> None:
    crop = np.zeros((side, side, 3), np.uint8)
    middle = side // 2
    crop[middle - 40 : middle + 40, middle - 40 : middle + 40] = 200
    picture = reframed(crop, margin)
    assert abs(picture.shape[0] - 168) <= 2
    assert picture.shape[0] == picture.shape[1]
    assert abs(int((picture[picture.shape[0] // 2, :, 0] == 200).sum()) - 80) <= 1


def test_the_second_look_has_the_eyes_level_and_the_face_in_the_middle() -> None:
    across, down = np.array([40.0, 30.0]), np.array([-30.0, 40.0])
    points = np.tile([150.0, 100.0], (478, 1))
    centre = points[0].copy()
    points[33], points[263] = centre - across, centre + across
    points[152] = centre + 2 * down
    picture = np.zeros((260, 300, 3), np.uint8)
    for x, y in points[[33, 263]].astype(int):
        picture[y - 3 : y + 4, x - 3 : x + 4] = 255
    rows, columns = np.nonzero(upright(picture, points)[..., 0] > 128)
    left, right = columns < columns.mean(), columns > columns.mean()
    assert abs(rows[left].mean() - rows[right].mean()) < 1
    assert columns[right].mean() - columns[left].mean() > 50


def test_it_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if HERE:
        for model, begin in (("", "give"), (str(tmp_path / "no.task"), "no such file: ")):
            status = BlendshapesEncoder.status(BlendshapesSettings(model=model))
            assert status.word == "needs weights"
            assert status.remedy.startswith(begin)
            assert status.remedy.endswith("face_landmarker.task by --blendshapes.model FILE")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"^blendshapes: needs ai-edge-litert: pip install 'aff"):
        BlendshapesEncoder()


@runs
@pytest.mark.parametrize("content", ["text", "other", "damaged"])
def test_a_file_that_is_none_is_refused_with_its_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.task"
    if content == "text":
        path.write_text("no zip")
    else:
        with zipfile.ZipFile(path, "w") as task:
            for part in PARTS if content == "damaged" else ("hand_detector.tflite",):
                task.writestr(part, b"no model")
    with pytest.raises(UserError) as error:
        BlendshapesEncoder(BlendshapesSettings(model=str(path)))
    assert str(error.value).startswith(f"{path}: cannot read the models (")
    assert str(error.value).endswith(
        "; give MediaPipe's face_landmarker.task by --blendshapes.model FILE"
    )
