import json
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from features.encoders.audio.prosody import RATE, ProsodyEncoder, ProsodySettings
from features.encoders.base import READY, AudioEncoder
from features.errors import UserError
from tests.shared import shared_data

PROSODY = ProsodyEncoder()


def columns(sound: np.ndarray, *names: str, encoder: ProsodyEncoder = PROSODY) -> list[np.ndarray]:
    values = encoder.encode_sound([sound.astype(np.float32)]).values["prosody"]
    return [values[:, next(iter(encoder.columns.values())).index(name)] for name in names]


def hertz(pitch: np.ndarray) -> np.ndarray:
    return 150 * 2**pitch


def seconds(length: float) -> np.ndarray:
    return np.arange(round(length * RATE)) / RATE


def noise(length: float, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).normal(size=round(length * RATE))


def buzz(phase: np.ndarray) -> np.ndarray:
    """A voice-like sound of ten harmonics; `phase` in cycles, (N,)."""
    return 0.05 * sum(np.sin(2 * np.pi * k * phase) / k for k in range(1, 11))


@pytest.mark.parametrize("frequency", [65, 110, 225, 390, 640])
def test_pitch_of_a_steady_tone(frequency: float) -> None:
    for sound in (0.1 * np.sin(2 * np.pi * frequency * seconds(1)), buzz(frequency * seconds(1))):
        pitch, voiced = columns(sound, "pitch", "voiced")
        assert voiced.all()
        np.testing.assert_allclose(hertz(pitch), frequency, rtol=0.005)


def test_pitch_of_a_glide_at_the_times_of_the_tokens() -> None:
    t = seconds(5)  # longer than two batches
    sound = buzz(100 * t + 25 * t**2)  # 100 Hz rising by 50 Hz a second
    pitch, slope, voiced = columns(sound, "pitch", "pitch.slope", "voiced")
    truth = 100 + 50 * PROSODY.encode_sound([sound]).times
    assert voiced.all()
    np.testing.assert_allclose(hertz(pitch)[2:-2], truth[2:-2], rtol=0.02)
    np.testing.assert_allclose(slope[5:-5], np.gradient(np.log2(truth))[5:-5], rtol=0.25)


def test_a_missing_fundamental_is_still_the_pitch() -> None:
    t = seconds(1)
    sound = 0.05 * sum(np.sin(2 * np.pi * 120 * k * t) for k in range(3, 9))
    np.testing.assert_allclose(hertz(columns(sound, "pitch")[0]), 120, rtol=0.01)


def test_a_noisy_voice_is_voiced_and_noise_is_not() -> None:
    pitch, voiced = columns(buzz(180 * seconds(3)) + 0.2 * noise(3), "pitch", "voiced")
    assert voiced.mean() > 0.95
    assert np.mean(np.abs(hertz(pitch) / 180 - 1)[voiced > 0] < 0.03) > 0.99
    pitch, voiced, slope = columns(noise(3), "pitch", "voiced", "pitch.slope")
    assert not voiced.any()
    assert not pitch.any()
    assert not slope.any()


def test_the_hum_of_a_silent_room_is_not_voiced() -> None:
    assert not columns(1e-4 * np.sin(2 * np.pi * 100 * seconds(1)), "voiced")[0].any()


def test_energy_is_in_decibels_and_its_slope_per_token() -> None:
    t = seconds(2)
    sound = 10 ** (-(60 - 20 * t) / 20) * np.sin(2 * np.pi * 1000 * t)  # 20 dB a second
    energy, slope = columns(sound, "energy", "energy.slope")
    truth = -60 + 20 * PROSODY.encode_sound([sound]).times - 3.01
    np.testing.assert_allclose(energy[2:-2], truth[2:-2], atol=0.1)
    np.testing.assert_allclose(slope[5:-5], 20 * 0.02, atol=0.02)


def test_a_tone_lights_up_its_mel_band_and_tilts_the_spectrum() -> None:
    mel = [f"mel.{i}" for i in range(40)]
    low, low_tilt = (np.argmax(columns(f, *mel), 0) for f in (tone(300), tone(3000)))
    assert (low < low_tilt).all()
    assert columns(tone(300), "alpha_ratio")[0].min() > 20
    assert columns(tone(3000), "alpha_ratio")[0].max() < -20


def tone(frequency: float) -> np.ndarray:
    return 0.1 * np.sin(2 * np.pi * frequency * seconds(0.5))


def test_loudness_moves_all_mel_bands_alike() -> None:
    mel = [f"mel.{i}" for i in range(40)]
    loud, quiet = (np.array(columns(gain * noise(1), *mel)) for gain in (1, 0.1))
    np.testing.assert_allclose(loud - quiet, 20, atol=1e-3)


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(0, 90_000), max_size=6), length=st.integers(0, 90_000))
def test_blocks_do_not_matter(cuts: list[int], length: int) -> None:
    sound = (buzz(150 * seconds(6)) + noise(6))[:length].astype(np.float32)
    whole = PROSODY.encode_sound([sound])
    parts = PROSODY.encode_sound(iter(np.split(sound, sorted(cuts))))
    np.testing.assert_array_equal(parts.values["prosody"], whole.values["prosody"])
    np.testing.assert_array_equal(parts.times, whole.times)
    assert len(whole.times) == length // 320


def test_a_sound_does_not_depend_on_what_comes_much_later() -> None:
    first, second = noise(2.5, seed=1), noise(3.5, seed=2)
    alone = PROSODY.encode_sound([first]).values["prosody"]
    followed = PROSODY.encode_sound([np.concatenate([first, second])]).values["prosody"]
    np.testing.assert_allclose(followed[: len(alone) - 5], alone[:-5], atol=1e-4)


@pytest.mark.parametrize("samples", [0, 319, 320, 500, 16000])
def test_silence_and_short_sound_are_finite(samples: int) -> None:
    tokens = PROSODY.encode_sound([np.zeros(samples, np.float32)])
    values = tokens.values["prosody"]
    assert values.shape == (samples // 320, 47)
    assert values.dtype == np.float32
    assert np.isfinite(values).all()
    assert (values[:, PROSODY.columns["prosody"].index("energy")] == -100).all()
    np.testing.assert_allclose(tokens.times, (np.arange(len(values)) + 0.5) * 0.02)


def test_describes_itself() -> None:
    encoder = ProsodyEncoder(ProsodySettings(mel_bands=24, stream="voice"))
    assert isinstance(encoder, AudioEncoder)
    assert encoder.streams == {"voice": 31} == {"voice": len(encoder.columns["voice"])}
    assert json.dumps(encoder.settings) != json.dumps(PROSODY.settings)


@pytest.mark.filterwarnings("ignore:At least one mel filterbank")
@pytest.mark.parametrize(
    "wrong", [{"mel_bands": 0}, {"mel_bands": 200}, {"pitch_min": 700.0}, {"voicing": 1.0}]
)
def test_senseless_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"--prosody.{next(iter(wrong))}"):
        ProsodyEncoder(ProsodySettings(**wrong))


@pytest.mark.parametrize(("actor", "low", "high"), [("01", 80, 160), ("02", 150, 260)])
def test_real_calm_voices_have_a_plausible_pitch(actor: str, low: float, high: float) -> None:
    folder = shared_data() / "ravdess/audio" / f"Actor_{actor}"
    for clip in sorted(folder.glob("03-01-0[12]-01-*.flac"))[::2]:
        pitch, voiced = columns(soundfile.read(clip)[0], "pitch", "voiced")
        assert 0.1 < voiced.mean() < 0.7
        assert low < np.median(hertz(pitch[voiced > 0])) < high


def test_states_its_input_and_is_always_ready() -> None:
    assert ProsodyEncoder.status(ProsodySettings()) == READY
    assert (PROSODY.input, PROSODY.token_rate) == ("sound 16000 Hz", 50)
