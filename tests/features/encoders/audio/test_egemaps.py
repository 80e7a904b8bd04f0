import importlib.util
import json

import numpy as np
import pytest

from features.encoders.audio.egemaps import EgemapsEncoder, EgemapsSettings
from features.encoders.base import READY, AudioEncoder
from features.errors import UserError

RATE = 16000


@pytest.fixture
def without_opensmile(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "opensmile" else find(name)
    )


@pytest.fixture
def encoder() -> EgemapsEncoder:
    pytest.importorskip("opensmile", reason="opensmile is absent: pip install 'affuse[egemaps]'")
    return EgemapsEncoder()


def voice(seconds: float) -> np.ndarray:
    """Ten harmonics of a pitch that wavers about 150 Hz, louder and softer, and a little noise."""
    t = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * (150 * t + 3 * np.sin(t))
    buzz = sum(np.sin(k * phase) / k for k in range(1, 11)) * (1.2 + np.sin(3 * t))
    noise = np.random.default_rng(0).normal(size=len(t))
    return (0.05 * buzz + 0.002 * noise).astype(np.float32)


def test_absent_opensmile_is_one_line_with_the_remedy(without_opensmile: None) -> None:
    status = EgemapsEncoder.status(EgemapsSettings())
    assert (status.word, status.remedy) == ("needs extra", "pip install 'affuse[egemaps]'")
    with pytest.raises(UserError, match=r"^egemaps needs opensmile: pip install") as error:
        EgemapsEncoder()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("setting", [{"hop": 0.0}, {"hop": 0.015}, {"window": 0.05}])
def test_senseless_settings_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(UserError, match=f"--egemaps.{next(iter(setting))}"):
        EgemapsEncoder(EgemapsSettings(**setting))


def test_describes_itself(encoder: EgemapsEncoder) -> None:
    assert isinstance(encoder, AudioEncoder)
    assert EgemapsEncoder.status(EgemapsSettings()) == READY
    assert (encoder.input, encoder.rate, encoder.token_rate) == ("sound 16000 Hz", RATE, 10)
    assert encoder.streams == {"egemaps": 88} == {"egemaps": len(encoder.columns["egemaps"])}
    assert "audEERING Research License Agreement" in encoder.licence
    assert json.dumps(encoder.settings)


def test_a_window_has_the_functionals_that_opensmile_gives_for_that_clip(
    encoder: EgemapsEncoder,
) -> None:
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    sound = voice(3)
    values = encoder.encode_sound([sound]).values["egemaps"]
    for token in (0, 7, 20):
        start = token * 1600
        clip = smile(sound[start : start + RATE], RATE)[0, :, 0]
        for column in (
            "F0semitoneFrom27.5Hz_sma3nz_amean",
            "loudness_sma3_amean",
            "spectralFlux_sma3_amean",
            "F1frequency_sma3nz_amean",
        ):
            at = encoder.columns["egemaps"].index(column)
            # The clip lacks the sound around the window, which smoothing hears: not quite equal.
            assert values[token, at] == pytest.approx(clip[at], rel=0.1), column


def test_tokens_follow_the_sound_at_their_times(encoder: EgemapsEncoder) -> None:
    sound = voice(6)
    sound[: 3 * RATE] *= 0.1
    tokens = encoder.encode_sound([sound])
    np.testing.assert_allclose(tokens.times, 0.5 + 0.1 * np.arange(51))
    loudness = tokens.values["egemaps"][:, encoder.columns["egemaps"].index("loudness_sma3_amean")]
    middle = (loudness[:20].mean() + loudness[-20:].mean()) / 2
    assert tokens.times[np.argmax(loudness > middle)] == pytest.approx(3, abs=0.25)


def test_stretches_and_blocks_do_not_matter(
    encoder: EgemapsEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = voice(5.23)
    whole = encoder.encode_sound([sound]).values["egemaps"]
    monkeypatch.setattr("features.encoders.audio.egemaps.STRETCH", 3.0)
    parts = encoder.encode_sound(iter(np.split(sound, [1, 7000, 7000, 33000])))
    remembers = np.array(["jitter" in c or "shimmer" in c for c in encoder.columns["egemaps"]])
    close = np.isclose(parts.values["egemaps"], whole, rtol=1e-3, atol=1e-3)
    assert close[:, ~remembers].all()
    assert close[:, remembers].mean() > 0.5


@pytest.mark.parametrize(
    ("samples", "tokens"), [(0, 0), (1600, 0), (15999, 0), (16000, 1), (17599, 1), (17600, 2)]
)
def test_silence_is_finite_and_short_sound_has_no_token(
    encoder: EgemapsEncoder, samples: int, tokens: int
) -> None:
    values = encoder.encode_sound([np.zeros(samples, np.float32)]).values["egemaps"]
    assert values.shape == (tokens, 88)
    assert np.isfinite(values).all()


def test_window_and_hop_are_settings(encoder: EgemapsEncoder) -> None:
    other = EgemapsEncoder(EgemapsSettings(window=2.0, hop=0.5, stream="voice"))
    tokens = other.encode_sound([voice(4.4)])
    assert tokens.values["voice"].shape == (5, 88)
    np.testing.assert_allclose(tokens.times, 1 + 0.5 * np.arange(5))
    assert other.settings != encoder.settings
