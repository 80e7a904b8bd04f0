from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from experiments.studies.encoders.baselines import (
    XCEPTION_TO_ABAW,
    MiniXception,
    PatternLda,
    PixelPca,
    Spectrum,
    XceptionNet,
    _same_pool,
)
from experiments.studies.encoders.probe_data import FaceSet
from features.encoders.base import VisualEncoder
from features.errors import UserError
from tests.shared import shared_data


def face_set(faces: np.ndarray, people: np.ndarray) -> FaceSet:
    index = np.arange(len(faces))
    return FaceSet("made", faces, np.full(len(faces), -1), people, index, "key")


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "model.safetensors"
    save_file(XceptionNet().state_dict(), path)
    return path


def test_mini_xception_has_the_documented_size() -> None:
    net = XceptionNet()
    assert sum(w.numel() for w in net.state_dict().values()) == 58423
    assert len(net.state_dict()) == 80
    maps, probs = net(torch.zeros(2, 1, 64, 64))
    assert maps.shape == (2, 128, 4, 4)
    assert probs.sum(1).tolist() == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize(("side", "out", "before"), [(60, 30, 0), (15, 8, 1), (8, 4, 0)])
def test_pool_pads_as_tensorflow_does(side: int, out: int, before: int) -> None:
    x = torch.arange(side**2, dtype=torch.float32).reshape(1, 1, side, side) - 1e6
    pooled = _same_pool(x)
    assert pooled.shape[-1] == out
    last = 2 - before  # index of the last pixel that the first window sees
    assert pooled[0, 0, 0, 0] == x[0, 0, last, last]


def test_mini_xception_agrees_with_its_published_accuracy() -> None:
    data = shared_data()
    encoder = MiniXception(data / "encoders/mini-xception/model.safetensors")
    with np.load(data / "fer2013/test.npz") as z:
        truth, faces = z["to_abaw"][z["labels"]][::6], z["images"][::6]
    probs = encoder.encode_grey(faces)["xception.probs"]
    assert (probs.argmax(1) == truth).mean() == pytest.approx(0.654, abs=0.05)


def test_classes_are_put_into_the_order_of_abaw() -> None:
    own = ["Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Neutral"]
    abaw = ["Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"]
    assert [own[k] for k in XCEPTION_TO_ABAW] == abaw


def test_weights_of_another_network_are_one_line(weights: Path) -> None:
    save_file({n: w for n, w in load_file(weights).items() if n != "head.conv.bias"}, weights)
    with pytest.raises(UserError, match=r"lacks weight 'head.conv.bias'.*--data"):
        MiniXception(weights)


def test_pca_keeps_what_varies() -> None:
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(3, 48 * 48))
    mix = rng.normal(size=(60, 3)) @ patterns
    mix = 128 + 20 * mix / mix.std()
    faces = mix.clip(0, 255).astype(np.uint8).reshape(60, 48, 48)
    encoder = PixelPca(face_set(faces, np.arange(60)), dim=10)
    vectors = encoder.encode_grey(faces)["pixels"]
    assert vectors.mean(0) == pytest.approx(0, abs=1e-3)
    assert vectors[:, :3].var() > 50 * vectors[:, 3:].var()


def test_pixels_do_not_know_the_light() -> None:
    faces = noise(30, 48, 48) // 2
    encoder = PixelPca(face_set(faces, np.arange(30)), dim=5)
    brighter = encoder.encode_grey(faces + 50)["pixels"]
    assert brighter == pytest.approx(encoder.encode_grey(faces)["pixels"], abs=1e-4)


def textured(people: int, each: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Crops (N, 112, 112, 3) in which each person has a texture of one's own."""
    rng = np.random.default_rng(seed)
    waves = rng.uniform(0.2, 1.5, (people, 2))
    y, x = np.mgrid[:112, :112]
    who = np.repeat(np.arange(people), each)
    shift = rng.uniform(0, 6, len(who))
    crops = [
        128 + 60 * np.sin(waves[p, 0] * x + waves[p, 1] * y + s)
        for p, s in zip(who, shift, strict=True)
    ]
    grey = np.stack(crops) + rng.normal(0, 10, (len(who), 112, 112))
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=3), who


def test_pattern_lda_knows_people_it_was_not_trained_on() -> None:
    encoder = PatternLda(face_set(*textured(8, 6, seed=0)))
    crops, who = textured(5, 4, seed=1)
    vectors = encoder.encode_faces(crops)["identity"]
    apart = ((vectors[:, None] - vectors[None]) ** 2).sum(2) + np.diag(np.full(len(who), np.inf))
    assert (who[apart.argmin(1)] == who).mean() > 0.9


def test_visual_baselines_take_an_empty_batch_and_do_not_mind_their_neighbours(
    weights: Path,
) -> None:
    framed = face_set(noise(40, 48, 48), np.arange(40))
    crops = noise(5, 112, 112, 3, seed=3)
    lda = PatternLda(face_set(*textured(4, 4, seed=0)))
    for encoder in (PixelPca(framed, dim=8), MiniXception(weights), lda):
        encode: VisualEncoder = encoder  # type: ignore[assignment]
        none = encode.encode_faces(crops[:0])
        assert {k: v.shape for k, v in none.items()} == {
            k: (0, d) for k, d in encoder.streams.items()
        }
        alone, all_of_them = encode.encode_faces(crops[2:3]), encode.encode_faces(crops)
        for name in encoder.streams:
            assert all_of_them[name][2] == pytest.approx(alone[name][0], abs=1e-4)


def test_other_training_pictures_are_another_revision() -> None:
    faces = face_set(noise(20, 48, 48), np.arange(20))
    other = replace(faces, key="other")
    assert PixelPca(faces, dim=4).revision != PixelPca(other, dim=4).revision


@pytest.mark.parametrize("name", ["log-mel", "MFCC"])
def test_spectra_have_fifty_tokens_a_second(name: str) -> None:
    encoder = Spectrum(name)
    sound = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    tokens = encoder.encode_sound([sound[:5000], sound[5000:]])
    assert tokens.values[name].shape == (49, encoder.streams[name])
    assert np.diff(tokens.times) == pytest.approx(0.02)
    assert len(encoder.encode_sound([sound[:100]]).times) == 0
    assert len(encoder.encode_sound([]).times) == 0


def test_log_mel_hears_pitch_where_it_is() -> None:
    times = np.arange(16000) / 16000
    tones = [np.sin(2 * np.pi * hertz * times).astype(np.float32) for hertz in (300, 3000)]
    low, high = (Spectrum("log-mel").encode_sound([t]).values["log-mel"].mean(0) for t in tones)
    assert low.argmax() < high.argmax()
    assert np.isfinite(Spectrum("log-mel").encode_sound([0 * tones[0]]).values["log-mel"]).all()


def test_functional_pool_would_pad_otherwise() -> None:
    x = torch.rand(1, 1, 60, 60)
    assert not torch.equal(_same_pool(x), functional.max_pool2d(x, 3, 2, 1))
