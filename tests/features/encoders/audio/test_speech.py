"""Speech activity: the network is the package's own, and it does not matter how sound is cut."""

import sys
import warnings

import numpy as np
import pytest
import torch

from features.encoders.audio import speech
from features.encoders.audio.speech import BATCH, HOP, RATE, SpeechEncoder, SpeechSettings
from features.encoders.audio.speech_net import SpeechNet
from features.encoders.base import READY, AudioEncoder
from features.errors import UserError
from features.media.sound.audio_cache import Spool

SPEECH = SpeechEncoder()


def activity(*blocks: np.ndarray) -> np.ndarray:
    return SPEECH.encode_sound(blocks).values["speech"][:, 0]


def voice(seconds: float, seed: int = 0) -> np.ndarray:
    """Syllables of a voice of 120 Hz with moving formants, four a second, in faint noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    rng, turns = np.random.default_rng(seed), np.arange(0, seconds + 1, 0.12)
    first = np.interp(time, turns, rng.uniform(300, 800, len(turns)))
    second = np.interp(time, turns, rng.uniform(900, 2200, len(turns)))
    phase = np.cumsum(120 + 15 * np.sin(2 * np.pi * 0.7 * time)) / RATE
    out = np.zeros(len(time))
    for k in range(1, 25):
        pitch = 120 * k
        gain = sum(1 / (1 + ((pitch - f) / 90) ** 2) for f in (first, second))
        out += gain * np.sin(2 * np.pi * k * phase) / k**0.5
    out *= np.clip(np.sin(2 * np.pi * 4 * time) + 0.4, 0, 1)
    return (0.1 * out + 1e-4 * rng.normal(size=len(time))).astype(np.float32)


def test_a_voice_is_speech_and_silence_noise_and_tones_are_none() -> None:
    rng, time = np.random.default_rng(0), np.arange(3 * RATE) / RATE
    assert np.median(activity(voice(3))[10:]) > 0.8
    for quiet in (0 * time, 0.05 * rng.normal(size=3 * RATE), 0.1 * np.sin(880 * np.pi * time)):
        assert activity(quiet.astype(np.float32)).max() < 0.5


def test_the_times_are_those_of_the_sound() -> None:
    sound = np.concatenate([np.zeros(2 * RATE), voice(2), np.zeros(2 * RATE)]).astype(np.float32)
    tokens = SPEECH.encode_sound([sound])
    np.testing.assert_allclose(np.diff(tokens.times), HOP / RATE)
    loud = tokens.times[tokens.values["speech"][:, 0] > 0.5]
    assert loud.min() == pytest.approx(2, abs=0.4)
    assert loud.max() == pytest.approx(4, abs=0.4)


def test_how_the_sound_is_cut_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = np.concatenate([voice(2), np.zeros(RATE, np.float32), voice(2, 1)])
    whole = activity(sound)
    cuts = np.sort(np.random.default_rng(1).integers(0, len(sound), 40))
    np.testing.assert_array_equal(activity(*np.split(sound, cuts)), whole)
    monkeypatch.setattr(speech, "BATCH", 7)  # what is remembered goes from batch to batch
    np.testing.assert_allclose(activity(*np.split(sound, cuts)), whole, atol=1e-5)


def test_every_whole_frame_is_a_token_and_less_is_none() -> None:
    assert [len(activity(np.zeros(n, np.float32))) for n in (0, 511, 512, 1535, 1536)] == [
        0,
        0,
        1,
        2,
        3,
    ]
    assert len(activity()) == 0


def test_no_more_than_a_batch_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    frames = speech._frames
    monkeypatch.setattr(
        speech, "_frames", lambda sound, count: sizes.append(len(sound)) or frames(sound, count)
    )
    second = np.zeros(RATE, np.float32)
    assert len(activity(*(second for _ in range(60)))) == 60 * RATE // HOP
    assert max(sizes) < BATCH * HOP + 2 * RATE


def test_the_network_is_the_one_of_the_package() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is going out of use
        theirs = torch.jit.load(str(speech._weights().with_name("silero_vad.jit")))
    net, own = SpeechNet().eval(), dict(theirs._model.named_parameters())
    own |= dict(theirs._model.named_buffers())
    net.load_state_dict({name: own[_name_there(name)].detach() for name in net.state_dict()})
    sound = torch.from_numpy(voice(3))[: 90 * HOP]
    frames = torch.nn.functional.pad(sound, (64, 0)).unfold(0, 64 + HOP, HOP)
    with torch.inference_mode():
        wanted = [float(theirs(part[None], RATE)) for part in sound.split(HOP)]
        np.testing.assert_allclose(net(frames)[0].numpy(), wanted, atol=1e-5)
    assert max(wanted) > 0.5


def _name_there(name: str) -> str:
    part, kind = name.split(".")
    if part.startswith("conv"):
        return f"encoder.{int(part[-1]) - 1}.reparam_conv.{kind}"
    places = {"stft_conv": "stft.forward_basis_buffer", "final_conv": f"decoder.decoder.2.{kind}"}
    return places.get(part, f"decoder.rnn.{kind}")


def test_it_follows_the_protocol_and_does_not_import_the_package() -> None:
    assert isinstance(SPEECH, AudioEncoder)
    assert SPEECH.columns == {"speech": ("speech",)}
    assert SPEECH.token_rate == 31.25
    assert "silero_vad" not in sys.modules  # it would set the number of torch's threads


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SpeechEncoder.status(SpeechSettings()) == READY
    monkeypatch.setattr(speech, "find_spec", lambda _name: None)
    assert SpeechEncoder.status(SpeechSettings()).word == "needs weights"
    with pytest.raises(UserError, match="pip install 'silero-vad"):
        SpeechEncoder()


def test_float16_and_a_spool_are_taken() -> None:
    with Spool([voice(1), voice(1, 1)]) as sound:
        tokens = SPEECH.encode_sound(sound, np.float16)
    assert tokens.values["speech"].dtype == np.float16
    assert tokens.values["speech"].shape == (62, 1)
