"""The encoder `hf-image`: which models it runs, and what it takes from them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    ResNetConfig,
    ResNetModel,
    ViTConfig,
    ViTForImageClassification,
    ViTMAEConfig,
    ViTModel,
    Wav2Vec2Config,
)

from features.encoders.base import VisualEncoder
from features.encoders.visual.hf_image import HfImageEncoder, HfImageSettings
from features.errors import UserError

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
VIT = ViTConfig(image_size=24, patch_size=8, **SMALL)


def crops(count: int) -> np.ndarray:
    noise = np.random.default_rng(1).integers(0, 256, (count, 32, 32, 3))
    return noise.astype(np.uint8)


def save(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def built(folder: Path, margin: float = 0.0) -> HfImageEncoder:
    return HfImageEncoder(HfImageSettings(model=str(folder)), margin=margin)


def by_model(model: Any, encoder: HfImageEncoder, faces: np.ndarray) -> Any:
    with torch.no_grad():
        return model.eval()(encoder._input.batch(faces))


def test_a_pooled_output_is_taken_where_there_is_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ViTModel(VIT)
    encoder = built(save(model, tmp_path))
    expected = by_model(model, encoder, crops(3)).pooler_output
    np.testing.assert_allclose(encoder.encode_faces(crops(3))["hf-image"], expected, atol=1e-5)


def test_a_classifier_without_a_pooling_layer_gives_the_mean_over_its_tokens(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    model = ViTForImageClassification(VIT)
    encoder = built(save(model, tmp_path))
    expected = by_model(model.vit, encoder, crops(3)).last_hidden_state.mean(1)
    np.testing.assert_allclose(encoder.encode_faces(crops(3))["hf-image"], expected, atol=1e-5)


def test_a_convolutional_model_gives_its_mean_over_positions(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1]))
    encoder = built(save(model, tmp_path))
    values = encoder.encode_faces(crops(2))["hf-image"]
    expected = by_model(model, encoder, crops(2)).last_hidden_state.mean((2, 3))
    assert (encoder.input, encoder.streams) == ("face 224x224 RGB", {"hf-image": 12})
    np.testing.assert_allclose(values, expected, atol=1e-5)


def test_no_faces_give_no_rows_and_a_face_is_the_same_alone(tmp_path: Path) -> None:
    encoder = built(save(ViTModel(VIT), tmp_path))
    assert isinstance(encoder, VisualEncoder)
    assert encoder.encode_faces(crops(0))["hf-image"].shape == (0, 16)
    together = encoder.encode_faces(crops(5))["hf-image"]
    alone = encoder.encode_faces(crops(5)[3:4])["hf-image"]
    np.testing.assert_allclose(together[3:4], alone, atol=1e-5)


def complaint(model: str) -> str:
    with pytest.raises(UserError) as error:
        HfImageEncoder(HfImageSettings(model=model))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_models_of_text_are_refused(tmp_path: Path) -> None:
    folder = save(BertModel(BertConfig(vocab_size=8, **SMALL)), tmp_path)
    assert "'bert' model, which does not take pictures alone" in complaint(str(folder))


@pytest.mark.parametrize("config", [Wav2Vec2Config(), CLIPConfig(), ViTMAEConfig()])
def test_models_of_sound_of_text_beside_pictures_or_masked_ones_are_refused(
    tmp_path: Path, config: Any
) -> None:
    config.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    said = complaint(str(tmp_path))
    assert "does not take pictures alone" in said or "--mae.model" in said


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    path = save(ViTModel(VIT), tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "--hf_image.model DIR" in complaint(str(tmp_path))


def test_without_a_model_the_option_is_named(tmp_path: Path) -> None:
    assert "--hf_image.model" in complaint("")
    status = HfImageEncoder.status(HfImageSettings())
    assert (status.word, "--hf_image.model" in status.remedy) == ("needs weights", True)
    ready = HfImageEncoder.status(HfImageSettings(model=str(save(ViTModel(VIT), tmp_path))))
    assert ready.word == "ready"
