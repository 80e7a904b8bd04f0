"""The encoder `mae`: nothing is masked, old and new layouts of checkpoints, what it sees."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    ResNetConfig,
    ResNetModel,
    ViTConfig,
    ViTForImageClassification,
    ViTMAEConfig,
    ViTMAEForPreTraining,
    ViTModel,
)

from features.encoders.base import VisualEncoder, description_of
from features.encoders.visual.mae import MaeEncoder, MaeSettings
from features.encoders.visual.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from features.errors import UserError

SMALL: dict[str, Any] = {
    "image_size": 24,
    "patch_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
DECODER: dict[str, Any] = {
    "decoder_hidden_size": 8,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 8,
}
OLD_NAMES = {
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
    "vit.layers.": "vit.encoder.layer.",
}
"""The names in the files on the hub, which transformers translates."""


def autoencoder(**sizes: Any) -> ViTMAEForPreTraining:
    torch.manual_seed(0)
    net = ViTMAEForPreTraining(ViTMAEConfig(**SMALL, **DECODER, **sizes))
    with torch.no_grad():  # biases start at 0, which would hide lost ones
        for weight in net.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return net


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mae")
    autoencoder().save_pretrained(folder)
    return folder


def crops(count: int, side: int = 30) -> np.ndarray:
    noise = np.random.default_rng(1).integers(0, 256, (count, side, side, 3))
    return noise.astype(np.uint8)


def encode(folder: Path, faces: np.ndarray, margin: float = 0.0, **settings: Any) -> np.ndarray:
    encoder = MaeEncoder(MaeSettings(model=str(folder), **settings), margin=margin)
    return encoder.encode_faces(faces)["mae"]


def plain_vit(folder: Path, faces: np.ndarray) -> np.ndarray:
    """Tokens (N, 1 + P, D) of an ordinary ViT with the autoencoder's weights."""
    weights = ViTMAEForPreTraining.from_pretrained(folder).vit.state_dict()
    vit = ViTModel(ViTConfig(**SMALL), add_pooling_layer=False).eval()
    vit.load_state_dict(weights)
    seen = np.stack([cv2.resize(f, (24, 24), interpolation=cv2.INTER_AREA) for f in faces])
    x = (seen / 255.0 - IMAGENET_MEAN) / IMAGENET_STD
    with torch.no_grad():
        batch = torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float32))
        return vit(batch).last_hidden_state.numpy()


def test_an_autoencoder_gives_what_a_plain_vit_of_its_weights_gives(checkpoint: Path) -> None:
    faces = crops(3)
    tokens = plain_vit(checkpoint, faces)
    np.testing.assert_allclose(
        encode(checkpoint, faces, pool="mean"), tokens[:, 1:].mean(1), atol=1e-5
    )
    np.testing.assert_allclose(encode(checkpoint, faces, pool="cls"), tokens[:, 0], atol=1e-5)


def test_two_runs_give_the_same(checkpoint: Path) -> None:
    encoder = MaeEncoder(MaeSettings(model=str(checkpoint)))
    first, second = (encoder.encode_faces(crops(2))["mae"] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_files_of_the_hubs_layout_give_the_same(checkpoint: Path, tmp_path: Path) -> None:
    autoencoder().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    for new, old in OLD_NAMES.items():
        weights = {name.replace(new, old): weight for name, weight in weights.items()}
    assert "vit.encoder.layer.0.attention.attention.query.weight" in weights
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    np.testing.assert_array_equal(encode(tmp_path, crops(2)), encode(checkpoint, crops(2)))


def test_a_vit_classifier_gives_the_features_under_its_classifier(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = ViTForImageClassification(ViTConfig(**SMALL)).eval()
    net.save_pretrained(tmp_path)
    encoder = MaeEncoder(MaeSettings(model=str(tmp_path), pool="cls"))
    grey = np.full((1, 24, 24, 3), 128, np.uint8)
    values = encoder.encode_faces(grey)["mae"]
    x = (torch.full((1, 24, 24, 3), 128 / 255) - torch.tensor(IMAGENET_MEAN)) / torch.tensor(
        IMAGENET_STD
    )
    with torch.no_grad():
        logits = net(x.permute(0, 3, 1, 2)).logits
        ours = net.classifier(torch.from_numpy(values))
    torch.testing.assert_close(ours, logits, atol=1e-5, rtol=1e-4)


def test_no_faces_give_no_rows_and_a_face_is_the_same_alone(checkpoint: Path) -> None:
    assert encode(checkpoint, crops(0)).shape == (0, 16)
    many = crops(40)
    np.testing.assert_allclose(
        encode(checkpoint, many)[35:36], encode(checkpoint, many[35:36]), atol=1e-5
    )


def test_the_margin_around_a_crop_is_cut_off(checkpoint: Path) -> None:
    close = crops(2, side=40)
    loose = np.zeros((2, 60, 60, 3), np.uint8)
    loose[:, 10:50, 10:50] = close
    np.testing.assert_allclose(
        encode(checkpoint, loose, margin=0.5), encode(checkpoint, close), atol=1e-5
    )


def write_preprocessor(folder: Path, **values: Any) -> None:
    (folder / "preprocessor_config.json").write_text(json.dumps(values))


def test_the_preprocessors_normalisation_is_applied(checkpoint: Path, tmp_path: Path) -> None:
    autoencoder().save_pretrained(tmp_path)
    write_preprocessor(
        tmp_path, size=24, image_mean=list(IMAGENET_MEAN), image_std=list(IMAGENET_STD)
    )
    np.testing.assert_array_equal(encode(tmp_path, crops(2)), encode(checkpoint, crops(2)))
    write_preprocessor(tmp_path, size={"height": 24, "width": 24}, image_mean=0.5, image_std=0.5)
    assert np.abs(encode(tmp_path, crops(2)) - encode(checkpoint, crops(2))).max() > 0.01


def test_the_framing_in_the_preprocessor_is_the_part_that_is_seen(tmp_path: Path) -> None:
    autoencoder().save_pretrained(tmp_path)
    faces = crops(2, side=40)
    inner = encode(tmp_path, faces[:, 10:40, 4:34])
    write_preprocessor(tmp_path, face_framing=[0.1, 0.25, 0.85, 1.0])
    np.testing.assert_allclose(encode(tmp_path, faces), inner, atol=1e-5)


def test_a_grey_model_sees_grey(tmp_path: Path) -> None:
    autoencoder(num_channels=1).save_pretrained(tmp_path)
    encoder = MaeEncoder(MaeSettings(model=str(tmp_path)))
    assert encoder.input == "face 24x24 grey"
    faces = crops(2)
    grey = np.stack([cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) for face in faces])
    same = np.repeat(grey[..., None], 3, axis=3)
    np.testing.assert_allclose(
        encoder.encode_faces(faces)["mae"], encoder.encode_faces(same)["mae"], atol=0.02
    )


def test_describes_itself(checkpoint: Path) -> None:
    encoder = MaeEncoder(MaeSettings(model=str(checkpoint), stream="face"))
    assert isinstance(encoder, VisualEncoder)
    assert (encoder.input, encoder.streams) == ("face 24x24 RGB", {"face": 16})
    assert len(encoder.revision) == 16
    json.dumps(encoder.settings)
    pooled = MaeEncoder(MaeSettings(model=str(checkpoint), pool="cls"))
    assert pooled.settings != encoder.settings


def test_status_tells_what_is_on_this_disk(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    assert MaeEncoder.status(MaeSettings(model=str(checkpoint))).word == "ready"
    absent = MaeEncoder.status(MaeSettings(model="nobody/not-there"))
    assert absent.word == "needs download"
    assert "--mae.model DIR" in absent.remedy
    assert MaeEncoder.status(MaeSettings(model=str(tmp_path))).word == "needs weights"


def complaint(folder: Path) -> str:
    with pytest.raises(UserError) as error:
        MaeEncoder(MaeSettings(model=str(folder)))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_other_models_are_refused(tmp_path: Path) -> None:
    ResNetModel(ResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1])).save_pretrained(
        tmp_path
    )
    assert "'resnet' model, not ViT" in complaint(tmp_path)


@pytest.mark.parametrize(
    "values",
    [{"image_mean": [0.5, 0.4]}, {"size": {"width": 3}, "image_std": "x"}, {"face_framing": 3}],
)
def test_a_senseless_preprocessor_is_refused(tmp_path: Path, values: dict[str, Any]) -> None:
    autoencoder().save_pretrained(tmp_path)
    write_preprocessor(tmp_path, **values)
    assert "preprocessor_config.json" in complaint(tmp_path)


def test_weights_of_another_size_and_cut_files_are_refused(tmp_path: Path) -> None:
    autoencoder().save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"intermediate_size": 40}))
    assert "--mae.model DIR" in complaint(tmp_path)
    path.write_text(json.dumps(config))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "--mae.model DIR" in complaint(tmp_path)


def test_it_is_described_by_its_configuration_without_weights(checkpoint: Path) -> None:
    settings = MaeSettings(model=str(checkpoint))
    assert MaeEncoder.describe(settings) == description_of(MaeEncoder(settings))
