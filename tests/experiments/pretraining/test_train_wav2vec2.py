"""The distillation of the packaged wav2vec2: what is matched with what, and that it learns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2Config, WhisperFeatureExtractor

from experiments.pretraining import train_wav2vec2
from experiments.pretraining.distil_data import (
    GAP,
    HOP,
    RATE,
    Speech,
    pack,
    packed,
    without_padding,
)
from experiments.pretraining.loop import Loop
from experiments.pretraining.train_wav2vec2 import (
    Student,
    add_noise,
    batches,
    crop_batch,
    distance,
    losses,
    plan_batches,
    standardise,
    student_config,
    write,
)
from features.encoders.audio.wav2vec2 import Wav2Vec2Encoder, Wav2Vec2Settings


def numbered_speech() -> Speech:
    """Clips whose samples and targets both tell where in the clip they are."""
    tokens = [30, 60, 90, 400]
    sounds = [np.repeat(np.arange(n, dtype=np.float32), HOP) for n in tokens]
    targets = np.concatenate([np.arange(n) for n in tokens])[:, None, None].repeat(3, axis=1)
    starts = np.concatenate([[0], np.cumsum(tokens)])
    return Speech(sounds, starts, targets.astype(np.float16))


def tiny_config() -> Wav2Vec2Config:
    return Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=16,
        conv_dim=(8,) * 7,
        num_conv_pos_embedding_groups=2,
        num_conv_pos_embeddings=16,
        layerdrop=0.0,
        vocab_size=8,
    )


def test_a_target_belongs_to_the_sound_at_its_own_token() -> None:
    speech = numbered_speech()
    rng = np.random.default_rng(1)
    for clips in plan_batches(speech, rng, size=600):
        sound, truth = crop_batch(speech, clips, rng)
        assert sound.shape == (len(clips), (truth.shape[1] - 1) * HOP + 400)
        np.testing.assert_array_equal(sound[:, :-80:HOP], truth[:, :, 0, 0])


def test_every_clip_is_in_one_batch_and_batches_are_bounded() -> None:
    speech = numbered_speech()
    groups = plan_batches(speech, np.random.default_rng(0), size=200)
    assert sorted(clip for group in groups for clip in group) == [0, 1, 2, 3]
    assert all(group for group in groups)
    assert max(len(g) * min(max(speech.tokens(c) for c in g), 250) for g in groups) <= 250


def test_packing_puts_each_clip_where_its_place_says() -> None:
    mel = WhisperFeatureExtractor()
    rng = np.random.default_rng(0)
    sounds = [rng.normal(0, 0.1, n).astype(np.float32) for n in (RATE, 2 * RATE)]
    features, places = pack(mel, sounds)
    assert places == [0, 50 + GAP]
    assert features.shape == (1, 80, 3000)
    alone = mel(sounds[1], sampling_rate=RATE, return_tensors="np", padding="do_not_pad")
    start = 2 * places[1]
    np.testing.assert_array_equal(features[0, :, start : start + 200], alone.input_features[0])


def test_clips_share_the_teachers_time_in_order_and_within_its_limit() -> None:
    sounds = [np.zeros(n * HOP) for n in (40, 40, 40, 200, 10)]
    assert list(packed(sounds, limit=100)) == [[0, 1], [2], [3], [4]]


def test_silent_padding_is_cut_off() -> None:
    sound = np.concatenate([np.ones(100), np.full(50, 1e-4)]).astype(np.float32)
    assert len(without_padding(sound)) == 100
    assert len(without_padding(np.zeros(9, np.float32))) == 9


def test_distance_is_zero_for_the_truth_and_grows_with_wrong_direction() -> None:
    truth = torch.randn(2, 5, 3, 8, generator=torch.Generator().manual_seed(0))
    assert distance(truth, truth).item() == pytest.approx(0, abs=1e-6)
    assert distance(-truth, truth) > distance(0.5 * truth, truth)


def test_noise_lies_below_the_voice() -> None:
    rng = np.random.default_rng(0)
    sound = torch.from_numpy(rng.normal(0, 0.2, (64, 4000)).astype(np.float32))
    added = add_noise(sound, rng) - sound
    share = added.std(dim=1) / sound.std(dim=1)
    assert (share == 0).any()
    assert 0.02 < share.max() < 0.85  # both kinds at -5 dB: .56 * sqrt(2)


def test_standard_sounds_have_zero_mean_and_unit_variance_and_silence_stays_finite() -> None:
    sound = torch.stack([torch.linspace(0, 1, 500), torch.zeros(500)])
    out = standardise(sound)
    assert out[0].mean().item() == pytest.approx(0, abs=1e-5)
    assert out[0].var(unbiased=False).item() == pytest.approx(1, abs=1e-4)
    assert torch.isfinite(out).all()


def test_a_student_learns_its_teacher_and_is_written_as_a_checkpoint_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_wav2vec2, "student_config", tiny_config)
    rng = np.random.default_rng(0)
    pitch = np.repeat(rng.choice([100.0, 1000.0], 60), HOP * 4)
    sound = np.sin(2 * np.pi * np.cumsum(pitch) / RATE).astype(np.float32)
    truth = np.where(pitch[::HOP] > 500, 1.0, -1.0)[:, None, None].repeat(3, 1).repeat(4, 2)
    speech = Speech([sound], np.array([0, len(truth)]), truth.astype(np.float16))
    torch.manual_seed(0)
    student = Student(4)
    average = torch.optim.swa_utils.AveragedModel(student)
    optimizer = torch.optim.AdamW(student.parameters(), lr=5e-3)
    loop = Loop(student, optimizer, average=average, clip=1.0)
    found = [loop.epoch(epoch, *batches(speech, 0, epoch), losses)["loss"] for epoch in range(30)]
    assert found[-1] < 0.7 * found[0]
    write(student.model, tmp_path)
    encoder = Wav2Vec2Encoder(Wav2Vec2Settings(model=str(tmp_path)))
    assert encoder.encode_sound([sound[:RATE]]).values["wav2vec2"].shape == (49, 16)


def test_the_student_is_small_and_on_the_token_grid_of_wav2vec2() -> None:
    config = student_config()
    assert config.inputs_to_logits_ratio == HOP
    count = sum(p.numel() for p in train_wav2vec2.Wav2Vec2Model(config).parameters())
    assert 2 * count <= 5_000_000
