"""Rows of voices, and the page that is written of them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from experiments.kept import Cache
from experiments.pretraining.base.voice.hearing import Ear, hear, prosody, wav2vec2, whisper
from experiments.pretraining.base.voice.mixtures import RATE
from experiments.pretraining.base.voice.page import page
from experiments.pretraining.base.voice.tables import Labels, closed, gap, streams, together
from experiments.pretraining.base.voices import CORPORA, EXPRESSIONS, Voice
from tests.shared import shared_data

WORDS = ["neutral", "calm", "angry", "happy", "sad", "fearful", "disgust", "surprised"]
OTHERS = ["neutral", "boredom", "anger", "happiness", "sadness", "fear", "disgust", "surprise"]


def voices() -> list[Voice]:
    """Three people of each corpus (RAVDESS five, one a fold), all emotions twice."""
    people = {corpus: range(2, 20, 4) if corpus == "ravdess" else range(3) for corpus in CORPORA}
    return [
        Voice(
            id=f"{corpus}_{person}_{word}_{take}",
            corpus=corpus,
            person=f"{corpus}_{person:02d}",
            split="train",
            emotion=word,
            expression=EXPRESSIONS.get(word, ""),
            arousal=float(take) if corpus == "ravdess" else None,
            sound=Path("none"),
        )
        for corpus in CORPORA
        for person in people[corpus]
        for word in (WORDS if corpus == "ravdess" else OTHERS)
        for take in range(2)
    ]


@pytest.fixture(scope="module")
def rows() -> dict[str, np.ndarray]:
    """Rows in which the teacher tells the emotion, wav2vec2 less so, and prosody the arousal."""
    rng, all_of_them = np.random.default_rng(0), voices()
    told = np.eye(8)[[(WORDS + OTHERS).index(v.emotion) % 8 for v in all_of_them]]
    arousal = np.array([[v.arousal or 0.0] for v in all_of_them])

    def noisy(x: np.ndarray, noise: float) -> np.ndarray:
        return x + noise * rng.normal(size=x.shape)

    layers = ("stream", *(f"layer{n}" for n in range(5)))
    return streams(
        {"stream": noisy(arousal, 1), "prosody": noisy(arousal, 0.1)},
        {name: noisy(told, 0.6) for name in layers},
        {name: noisy(told, 0.05) for name in layers},
    )


def test_the_page_has_every_table(rows):
    found, loud = [{"background": "clean"}], [{"emotion": "angry"}]
    text = page(rows, Labels.of(voices()), found, loud, people=3)
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# What voices tell",
        "## Expressions, unseen speakers of the same corpus",
        "## Expressions, a corpus that was not heard",
        "## Expressions, one fit of all four corpora",
        "## RAVDESS's eight emotions: what is lost to the teacher",
        "## Is calm neutral?",
        "## Vocal arousal: RAVDESS's intensity, normal or strong",
        "## Speech activity",
    ]
    assert "nan ±" not in text
    assert "± nan" not in text
    assert "| constant | 0.143 |" in text


def test_what_is_lost_is_counted_from_the_teacher(rows):
    table = {row["stream"]: row for row in gap(rows, Labels.of(voices()))}
    assert table["Whisper tiny (teacher)"]["logistic regression"] == "1.000 ± 0.000"
    lost = float(table["wav2vec2"]["less the teacher"].split()[0])
    assert lost < -0.05
    accuracy = float(table["wav2vec2"]["logistic regression"].split()[0])
    assert accuracy - 1 == pytest.approx(lost, abs=0.002)


def test_half_of_the_gap_is_closed_or_it_is_said_that_it_is_not():
    def row(stream: str, figure: float) -> dict[str, str]:
        told = f"{figure:.3f} ± 0.010"
        return {"stream": stream, "logistic regression": told, "discriminant": told}

    ends = [row("wav2vec2", 0.6), row("Whisper tiny (teacher)", 0.7)]
    for reached, word in ((0.66, "0.060, half"), (0.63, "0.030, not half")):
        assert closed([*ends, row("both", reached)]).count(f"`both` makes good {word}") == 2


def test_one_fit_is_scored_on_each_corpus(rows):
    for row in together(rows, Labels.of(voices()), own=True):
        assert list(row) == ["stream", *CORPORA]


def test_people_are_heard_once_and_in_the_order_of_the_voices(tmp_path):
    for name in ("a", "b", "c"):
        soundfile.write(tmp_path / f"{name}.flac", np.full(RATE, 0.1 * (1 + ord(name) % 3)), RATE)
    heard: list[int] = []

    def describe(sounds: list[np.ndarray]) -> list[dict[str, np.ndarray]]:
        heard.append(len(sounds))
        return [{"level": sound[:1]} for sound in sounds]

    said = [
        Voice(name, "nemo", person, "train", "anger", "Anger", None, tmp_path / f"{name}.flac")
        for name, person in (("a", "p"), ("b", "q"), ("c", "p"))
    ]
    for _ in range(2):
        rows = hear(said, Ear("ear", ["1"], describe), Cache(tmp_path / "cache"))
        np.testing.assert_allclose(rows["level"][:, 0], [0.2, 0.3, 0.1], atol=1e-3)
    assert heard == [2, 1]


def test_real_encoders_give_rows_of_finite_numbers():
    sound = 0.1 * np.sin(np.arange(RATE) * 2 * np.pi * 150 / RATE).astype(np.float32)
    (said,) = prosody().describe([sound])
    (heard,) = wav2vec2().describe([sound])
    assert set(heard) == {"stream", *(f"layer{n}" for n in range(5))}
    for row in (*said.values(), *heard.values()):
        assert row.ndim == 1
        assert np.isfinite(row).all()
    np.testing.assert_allclose(  # the stream is the mean of the four layers of the transformer
        heard["stream"][:192],
        np.mean([heard[f"layer{n}"][:192] for n in range(1, 5)], 0),
        atol=1e-4,
    )


def test_the_teacher_hears_a_clip_of_any_length_and_nothing_of_the_one_before():
    ear = whisper(shared_data() / "encoders/whisper-tiny.en-encoder")
    rng = np.random.default_rng(0)
    short, long = (0.1 * rng.normal(size=n).astype(np.float32) for n in (RATE // 2, 31 * RATE))
    first, _, again = ear.describe([short, long, short])
    assert set(first) == {f"layer{n}" for n in range(5)}
    np.testing.assert_allclose(first["layer4"], again["layer4"], atol=1e-5)
