"""Mixtures with known truth, and what detectors of speech score on them."""

import numpy as np
import pytest

from experiments.pretraining.base.voice.detectors import compare, f1, fitted_f1
from experiments.pretraining.base.voice.mixtures import (
    CONDITIONS,
    HOP,
    PAUSE,
    RATE,
    mixtures,
    speech_frames,
)

BURST = np.concatenate([np.zeros(RATE), 0.3 * np.ones(RATE), np.zeros(RATE)]) * np.sin(
    np.arange(3 * RATE)
)


def test_loud_frames_are_speech_and_short_pauses_belong_to_it():
    assert speech_frames(BURST).sum() == pytest.approx(RATE / HOP, abs=2)
    broken = BURST.copy()
    broken[RATE + 4000 : RATE + 6500] = 0  # .16 s
    np.testing.assert_array_equal(speech_frames(broken), speech_frames(BURST))
    broken[RATE + 4000 : RATE + 10000] = 0  # .38 s
    assert speech_frames(broken).sum() < 0.8 * speech_frames(BURST).sum()


def test_every_background_has_its_ratio_to_the_speech_and_the_same_truth():
    found = {mixture.condition: mixture for mixture in mixtures("p", [BURST, BURST], 0)}
    assert list(found) == list(CONDITIONS)
    clean = found["clean"]
    for name, ratio in (("noise 10 dB", 10), ("music 0 dB", 0), ("claps 0 dB", 0)):
        behind = (found[name].sound - clean.sound).reshape(-1, HOP)
        speech = clean.sound.reshape(-1, HOP)[clean.speech]
        assert 10 * np.log10((speech**2).mean() / (behind**2).mean()) == pytest.approx(ratio, abs=1)
        np.testing.assert_array_equal(found[name].speech, clean.speech)


def test_the_truth_lies_where_the_clips_are():
    clean = next(iter(mixtures("p", [BURST], 0)))
    first = clean.speech.argmax() * HOP / RATE
    assert first == pytest.approx(PAUSE + 1, abs=0.1)
    assert not clean.judged[clean.speech.argmax()]  # a border
    assert clean.judged.mean() > 0.9
    assert np.abs(clean.sound.reshape(-1, HOP)[~clean.speech & clean.judged]).max() < 1e-6


def test_a_detector_that_knows_has_everything_and_one_that_guesses_half():
    rng = np.random.default_rng(0)

    def detect(sound):
        frames = sound[: len(sound) // HOP * HOP].reshape(-1, HOP)
        return {"Silero": (np.abs(frames).max(1) > 0.01) * 1.0, "chance": rng.random(len(frames))}

    rows = compare({f"p{i}": [BURST] for i in range(2)}, detect)
    clean = next(row for row in rows if row["background"] == "clean")
    assert clean["Silero AUC"] == "1.000 ± 0.000"
    assert clean["Silero F1 at .5"] == "1.000 ± 0.000"
    assert float(clean["chance AUC"].split()[0]) == pytest.approx(0.5, abs=0.1)


def test_the_threshold_of_a_person_is_chosen_on_others():
    truths = [np.array([False, True] * 10)] * 2
    scores = [np.array([0.1, 0.5] * 10), np.array([0.5, 0.9] * 10)]
    assert fitted_f1(truths, scores) == [0.0, pytest.approx(2 / 3)]  # alone each would have 1
    assert f1(np.array([True, False]), np.array([True, True])) == pytest.approx(2 / 3)
