"""The packaged face encoder: what it gives, when it says not to trust it, what its card says."""

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from features import extract_file
from features.encoders import __main__ as encoders_command
from features.encoders.base import revision_of
from features.encoders.registry import EncoderSettings, build_encoder, describe_encoder, encoder_of
from features.encoders.visual.expression_net import scale_grey
from features.encoders.visual.face.encoder import (
    BLENDSHAPES,
    COLUMNS,
    WEIGHTS,
    FaceEncoder,
    FaceEncoderSettings,
)
from features.encoders.visual.face.model import FaceModel, fold_norms
from features.encoders.weights_io import load_weights
from features.errors import UserError
from features.faces.alignment import crop_faces
from features.faces.detect import FaceDetector, FaceSettings
from tests.media import face_frame, write_video
from tests.shared import shared_data

CARD = WEIGHTS.with_suffix(".md")


@pytest.fixture(scope="module")
def encoder() -> FaceEncoder:
    return FaceEncoder()


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """The demo's own face as an aligned crop (112, 112, 3)."""
    image = face_frame(240, 240, [(120, 120)], size=200)[None]
    landmarks = FaceDetector(FaceSettings()).detect(image)[0].landmarks[:1]
    return crop_faces(image, landmarks, FaceSettings())[0]


def crops(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, 112, 112, 3)).astype(np.uint8)


def test_streams_have_the_size_and_range_that_they_promise(encoder: FaceEncoder) -> None:
    out = encoder.encode_faces(crops(3))
    assert {name: value.shape for name, value in out.items()} == {
        "face": (3, 256),
        "face.expression": (3, 8),
        "face.votes": (3, 8),
        "face.blendshapes": (3, 52),
        "face.units": (3, 16),
        "face.smile": (3, 1),
        "face.pose": (3, 3),
        "face.validity": (3, 1),
    }
    assert {value.dtype for value in out.values()} == {np.dtype(np.float32)}
    for end in ("expression", "votes"):
        np.testing.assert_allclose(out[f"face.{end}"].sum(1), 1, atol=1e-5)
    for end in ("expression", "blendshapes", "units", "smile", "validity"):
        assert out[f"face.{end}"].min() >= 0
        assert out[f"face.{end}"].max() <= 1


def test_every_value_has_a_name(encoder: FaceEncoder) -> None:
    described = describe_encoder("face", EncoderSettings())
    assert described.streams == encoder.streams
    for name, dim in described.streams.items():
        assert len(set(described.columns[name])) == dim
    assert described.columns["face.expression"][0] == "Neutral"
    assert BLENDSHAPES[25] == "jawOpen"
    assert (BLENDSHAPES[1], BLENDSHAPES[44]) == ("browDownLeft", "mouthSmileLeft")


def test_no_crops_give_no_rows(encoder: FaceEncoder) -> None:
    assert {name: value.shape for name, value in encoder.encode_faces(crops(0)).items()} == {
        name: (0, dim) for name, dim in encoder.streams.items()
    }


def test_a_crop_is_encoded_the_same_alone_and_among_others_and_anew(encoder: FaceEncoder) -> None:
    faces = crops(70)
    together, again = encoder.encode_faces(faces), FaceEncoder().encode_faces(faces)
    alone = encoder.encode_faces(faces[66:67])
    for name in encoder.streams:
        np.testing.assert_array_equal(together[name], again[name])
        np.testing.assert_allclose(together[name][66:67], alone[name], rtol=1e-3, atol=1e-4)


def test_folding_the_norms_changes_nothing() -> None:
    plain, folded = FaceModel(), FaceModel()
    for model in (plain, folded):
        load_weights(model, WEIGHTS, "")
        model.eval()
    fold_norms(folded.net)
    assert not [m for m in folded.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    faces = torch.rand(2, 1, 48, 48) * 2 - 1
    for ours, theirs in zip(folded(faces).values(), plain(faces).values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_a_margin_around_the_crops_does_not_change_what_is_seen() -> None:
    image = face_frame(240, 240, [(120, 120)], size=200)[None]
    landmarks = FaceDetector(FaceSettings()).detect(image)[0].landmarks[:1]
    close, loose = (
        FaceEncoder(margin=margin).encode_faces(
            crop_faces(image, landmarks, FaceSettings(margin=margin, size=224))
        )["face.expression"]
        for margin in (0.0, 0.3)
    )
    np.testing.assert_allclose(close, loose, atol=0.02)


def small(crop: np.ndarray) -> np.ndarray:
    less = cv2.resize(crop, (9, 9), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(less, (112, 112), interpolation=cv2.INTER_LINEAR))


def blurred(crop: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), 10))


def masked(crop: np.ndarray) -> np.ndarray:
    crop = crop.copy()
    crop[60:] = (120, 160, 170)
    return crop


def dark(crop: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 8, crop.shape)
    return np.clip(crop * 0.04 + noise, 0, 255).astype(np.uint8)


def absent(crop: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, crop.shape).astype(np.uint8)


@pytest.mark.parametrize("damage", [absent, blurred, dark, masked, small])
def test_a_face_that_cannot_be_read_has_a_lower_validity(
    encoder: FaceEncoder, face: np.ndarray, damage: Callable[[np.ndarray], np.ndarray]
) -> None:
    sharp, damaged = encoder.encode_faces(np.stack([face, damage(face)]))["face.validity"][:, 0]
    assert sharp > 0.5
    assert damaged < sharp - 0.2


def test_the_astronaut_smiles(encoder: FaceEncoder, face: np.ndarray) -> None:
    out = encoder.encode_faces(face[None])
    columns = {name: list(COLUMNS[name.removeprefix("face")]) for name in out}
    assert columns["face.expression"][out["face.expression"].argmax()] == "Happiness"
    assert out["face.smile"][0, 0] > 0.5
    assert out["face.units"][0, columns["face.units"].index("AU12")] > 0.5
    assert out["face.blendshapes"][0, columns["face.blendshapes"].index("mouthSmileLeft")] > 0.3
    assert np.abs(out["face.pose"][0]).max() < 20


def test_frames_without_a_face_are_masked_in_every_stream(tmp_path: Path) -> None:
    with_face = [face_frame(160, 160, [(80, 80)])] * 15
    video = write_video(tmp_path / "v.mp4", with_face + [np.full_like(with_face[0], 128)] * 15)
    tracks = extract_file(video, encoders=["face"])
    for name in FaceEncoder.describe(FaceEncoderSettings()).streams:
        valid = tracks[name, "main"].valid
        assert len(valid) == 30
        assert valid[:12].all()
        assert not valid[18:].any()


def test_streams_are_named_as_the_settings_say() -> None:
    settings = EncoderSettings()
    settings.face = FaceEncoderSettings(stream="me")
    renamed = build_encoder("face", settings)
    assert list(renamed.streams)[:2] == ["me", "me.expression"]
    assert list(renamed.columns) == list(renamed.streams)
    assert encoder_of("face.units") == "face"


def test_absent_weights_are_one_line_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="install the package anew"):
        FaceEncoder(weights=tmp_path / "absent.safetensors")


def test_the_weights_are_those_of_the_card_and_all_packaged_ones_stay_small() -> None:
    assert revision_of(WEIGHTS, "") in CARD.read_text(encoding="utf-8")
    assert WEIGHTS.stat().st_size <= 4_800_000
    packaged = WEIGHTS.parent.rglob("*.safetensors")
    assert sum(path.stat().st_size for path in packaged) <= 14_000_000


def test_the_check_of_the_command_runs_it(capsys: pytest.CaptureFixture[str]) -> None:
    encoders_command.check("face", EncoderSettings())
    assert "face.blendshapes" in capsys.readouterr().out


def test_figures_on_fer2013_are_what_the_card_says(encoder: FaceEncoder) -> None:
    with np.load(shared_data() / "fer2013/test.npz") as data:
        labels, images = data["to_abaw"][data["labels"]], data["images"]
    said = re.search(r"`face\.expression` on FER2013's test part: (\.\d{3})", CARD.read_text())
    assert said is not None
    guess = np.concatenate(
        [
            encoder._encode(scale_grey(part))["face.expression"][:, :7].argmax(1)
            for part in torch.from_numpy(images[:, None]).split(256)
        ]
    )
    assert float((guess == labels).mean()) == pytest.approx(float(said[1]), abs=0.002)
