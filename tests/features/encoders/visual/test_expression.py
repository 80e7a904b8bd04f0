"""The packaged expression encoder: what it gives, and that it is as good as its card says."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from features.encoders.registry import EncoderSettings, build_encoder, encoder_of
from features.encoders.visual.expression import WEIGHTS, ExpressionEncoder, ExpressionSettings
from features.encoders.visual.expression_net import ExpressionNet, load_expression_net, scale_grey
from features.errors import UserError
from features.faces.alignment import crop_faces
from features.faces.detect import FaceDetector, FaceSettings
from tests.media import face_frame
from tests.shared import shared_data


def encode_grey(encoder: ExpressionEncoder, faces: np.ndarray) -> dict[str, np.ndarray]:
    """Streams of grey pictures (N, 48, 48) uint8 that are framed as FER2013's."""
    return encoder._encode(scale_grey(torch.from_numpy(np.ascontiguousarray(faces)[:, None])))


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
        "expression.metric": (3, 16),
    }
    assert encoder.streams == {name: value.shape[1] for name, value in out.items()}
    np.testing.assert_allclose(np.linalg.norm(out["expression.metric"], axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(out["expression.probs"].sum(1), 1, atol=1e-5)


def test_a_crop_is_encoded_the_same_alone_and_among_others(encoder: ExpressionEncoder) -> None:
    faces = crops(5)
    together = encoder.encode_faces(faces)["expression"]
    alone = encoder.encode_faces(faces[2:3])["expression"]
    np.testing.assert_allclose(together[2:3], alone, atol=1e-4)


def test_no_crops_give_no_rows(encoder: ExpressionEncoder) -> None:
    assert {name: value.shape for name, value in encoder.encode_faces(crops(0)).items()} == {
        name: (0, dim) for name, dim in encoder.streams.items()
    }


def test_a_face_and_its_mirror_image_are_alike_only_with_the_mirror_setting(
    encoder: ExpressionEncoder,
) -> None:
    faces = np.random.default_rng(0).integers(0, 256, (2, 48, 48)).astype(np.uint8)
    one_sided = ExpressionEncoder(ExpressionSettings(mirror=False))
    assert one_sided.settings != encoder.settings
    for stream in encoder.streams:
        there, back = (encode_grey(encoder, view)[stream] for view in (faces, faces[..., ::-1]))
        np.testing.assert_allclose(there, back, atol=1e-4)
        there, back = (encode_grey(one_sided, view)[stream] for view in (faces, faces[..., ::-1]))
        assert np.abs(there - back).max() > 1e-3


def test_levels_are_the_pooled_maps_of_the_stages_fine_to_coarse() -> None:
    torch.manual_seed(0)
    net = ExpressionNet().eval()
    faces = torch.randn(2, 1, 48, 48)
    levels = net.levels(faces)
    assert [tuple(level.shape) for level in levels] == [(2, 48), (2, 96), (2, 192)]
    torch.testing.assert_close(net.embed(levels[-1]), net(faces)[0])


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
    renamed = build_encoder(
        "expression", EncoderSettings(expression=ExpressionSettings(stream="fer"))
    )
    assert list(renamed.streams) == ["fer", "fer.probs", "fer.metric"]
    assert encoder_of("expression.probs") == "expression"


def test_absent_weights_are_one_line_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="install the package anew"):
        ExpressionEncoder(weights=tmp_path / "absent.safetensors")


def test_the_shipped_weights_fit_the_network_and_are_small() -> None:
    assert WEIGHTS.stat().st_size <= 5_000_000
    assert isinstance(load_expression_net(WEIGHTS), ExpressionNet)


def test_accuracy_on_fer2013_is_what_the_card_says(encoder: ExpressionEncoder) -> None:
    folder = shared_data() / "fer2013"
    card = WEIGHTS.with_suffix(".md").read_text()
    said = re.search(r"all test pictures \| (\.\d{3})", card)
    assert said is not None
    with np.load(folder / "test.npz") as data:
        labels, images = data["to_abaw"][data["labels"]], data["images"]
    guess = np.concatenate(
        [
            encode_grey(encoder, images[start : start + 256])["expression.probs"].argmax(1)
            for start in range(0, len(images), 256)
        ]
    )
    accuracy = float((guess == labels).mean())
    assert accuracy == pytest.approx(float(said[1]), abs=0.002)
