"""The packaged expression encoder: what it gives, and that it is as good as its card says."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from features.cli import UserError
from features.encoders.expression import WEIGHTS, ExpressionEncoder, ExpressionSettings
from features.encoders.expression_net import ExpressionNet, load_expression_net, scale_grey
from features.encoders.registry import EncoderSettings, build_encoder, encoder_of
from features.faces.crop import crop_faces
from features.faces.detect import FaceDetector, FaceSettings
from tests.media import face_frame
from tests.shared import shared_data


@pytest.fixture(scope="module")
def encoder() -> ExpressionEncoder:
    return ExpressionEncoder()


def crops(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, 112, 112, 3)).astype(np.uint8)


def test_streams_have_the_promised_size_and_probabilities_add_up(
    encoder: ExpressionEncoder,
) -> None:
    out = encoder.encode_faces(crops(3))
    assert {name: value.shape for name, value in out.items()} == {
        "expression": (3, 256),
        "expression.probs": (3, 7),
    }
    assert encoder.streams == {
        "expression": 256,
        "expression.probs": 7,
    }
    np.testing.assert_allclose(out["expression.probs"].sum(1), 1, atol=1e-5)


def test_a_crop_is_encoded_the_same_alone_and_among_others(encoder: ExpressionEncoder) -> None:
    faces = crops(5)
    together = encoder.encode_faces(faces)["expression"]
    alone = encoder.encode_faces(faces[2:3])["expression"]
    np.testing.assert_allclose(together[2:3], alone, atol=1e-4)


def test_a_margin_around_the_crops_does_not_change_what_is_seen() -> None:
    image = face_frame(240, 240, [(120, 120)], size=200)[None]
    landmarks = FaceDetector(FaceSettings()).detect(image)[0].landmarks[:1]
    close, loose = (
        ExpressionEncoder(margin=margin).encode_faces(
            crop_faces(image, landmarks, FaceSettings(margin=margin, size=224))
        )["expression.probs"]
        for margin in (0.0, 0.3)
    )
    np.testing.assert_allclose(close, loose, atol=0.005)


def test_streams_are_named_as_the_settings_say() -> None:
    renamed = build_encoder("expression", EncoderSettings(ExpressionSettings("fer")))
    assert list(renamed.streams) == ["fer", "fer.probs"]
    assert encoder_of("expression.probs") == "expression"


def test_absent_weights_are_one_line_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="install the package anew"):
        ExpressionEncoder(weights=tmp_path / "absent.safetensors")


def test_the_shipped_weights_fit_the_network_and_are_small() -> None:
    assert WEIGHTS.stat().st_size <= 5_000_000
    assert isinstance(load_expression_net(WEIGHTS), ExpressionNet)


def test_accuracy_on_fer2013_is_what_the_card_says() -> None:
    folder = shared_data() / "fer2013"
    card = WEIGHTS.with_suffix(".md").read_text()
    said = re.search(r"all test pictures \| (\.\d{3})", card)
    assert said is not None
    with np.load(folder / "test.npz") as data:
        labels, images = data["to_abaw"][data["labels"]], torch.from_numpy(data["images"][:, None])
    net = load_expression_net(WEIGHTS)
    with torch.inference_mode():
        guess = torch.cat([net(scale_grey(part))[1].argmax(1) for part in images.split(256)])
    accuracy = float((guess.numpy() == labels).mean())
    assert accuracy == pytest.approx(float(said[1]), abs=0.002)
