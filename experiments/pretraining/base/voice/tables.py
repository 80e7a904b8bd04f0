"""Rows of voices to the page of results: who tells emotion and arousal of unseen speakers.

Letters: N clips, D features.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from experiments.pretraining.base.voice.scores import (
    Fit,
    Told,
    accuracy,
    across,
    area,
    discriminant,
    recall,
    regression,
    say,
    standard_by,
    within,
)
from experiments.pretraining.base.voices import CORPORA, Voice

TEACHER = "Whisper tiny (teacher)"
WAV2VEC2, PROSODY = "wav2vec2", "prosody"
BOTH = "wav2vec2 + prosody"
LAYERS = "wav2vec2, 5 layers side by side"
JOINT = (PROSODY, WAV2VEC2, BOTH, f"{LAYERS} + prosody", TEACHER)
"""What is compared over corpora."""

AROUSED = ("anger", "fear", "happiness", "surprise")
QUIET = ("boredom", "neutral", "sadness")
"""Emotions of the upper and of the lower half of the circumplex (Russell 1980)."""


@dataclass(frozen=True)
class Labels:
    """What is known of N voices, in their order.

    Attributes:
        corpora: Names.
        people: Speakers.
        expressions: ABAW's names; empty for calm and boredom.
        emotions: The corpus's own words.
        arousal: 0 or 1, NaN where nobody said.
    """

    corpora: np.ndarray
    people: np.ndarray
    expressions: np.ndarray
    emotions: np.ndarray
    arousal: np.ndarray

    @classmethod
    def of(cls, voices: Sequence[Voice]) -> "Labels":
        """Of voices as they are read."""
        return cls(
            np.array([voice.corpus for voice in voices]),
            np.array([voice.person for voice in voices]),
            np.array([voice.expression for voice in voices]),
            np.array([voice.emotion for voice in voices]),
            np.array([np.nan if v.arousal is None else v.arousal for v in voices]),
        )

    def of_corpus(self, name: str) -> np.ndarray:
        """(N,) bool: clips of a corpus that have an expression."""
        return (self.corpora == name) & (self.expressions != "")

    @property
    def actors(self) -> np.ndarray:
        """(N,) RAVDESS's folds of four actors, -1 elsewhere; the first has three."""
        numbers = [int(p[8:]) if p.startswith("ravdess_") else -1 for p in self.people]
        return (np.array(numbers) - 1) // 4


def streams(
    prosody: Mapping[str, np.ndarray],
    heard: Mapping[str, np.ndarray],
    taught: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """What is compared, (N, D) by name.

    Args:
        prosody: Rows of `hearing.prosody`.
        heard: Rows of the packaged wav2vec2.
        taught: Rows of its teacher.
    """
    layers = np.hstack([heard[f"layer{number}"] for number in range(5)])
    teacher = np.hstack([taught[f"layer{number}"] for number in (2, 3, 4)])
    rows = {
        "prosody, mean and deviation": prosody["stream"],
        PROSODY: prosody["prosody"],
        "wav2vec2, last layer": heard["layer4"],
        WAV2VEC2: heard["stream"],
        LAYERS: layers,
        "wav2vec2 + prosody, mean and deviation": np.hstack([heard["stream"], prosody["stream"]]),
        BOTH: np.hstack([heard["stream"], prosody["prosody"]]),
        f"{LAYERS} + prosody": np.hstack([layers, prosody["prosody"]]),
        TEACHER: taught["layer4"],
        f"{TEACHER}, layers 2, 3 and last": teacher,
        f"{TEACHER} + prosody": np.hstack([taught["layer4"], prosody["prosody"]]),
    }
    return {name: x.astype(np.float64) for name, x in rows.items()}


def in_corpus(rows: Mapping[str, np.ndarray], labels: Labels) -> Iterable[dict[str, str]]:
    """Recall of the corpus's expressions by unseen speakers of it."""
    constant = {q: 1 / len(set(labels.expressions[labels.of_corpus(q)])) for q in CORPORA}
    yield {"stream": "constant"} | {q: f"{share:.3f}" for q, share in constant.items()}
    for name, x in rows.items():
        cells = {"stream": name}
        for corpus in CORPORA:
            at = labels.of_corpus(corpus)
            cells[corpus] = within(x[at], labels.expressions[at], labels.people[at]).figure(recall)
        yield cells


def over_corpora(
    rows: Mapping[str, np.ndarray], labels: Labels, own: bool
) -> Iterable[dict[str, str]]:
    """Recall in a corpus of which nothing was heard in training."""
    at = labels.expressions != ""
    known = (labels.expressions[at], labels.people[at], labels.corpora[at])
    for name in JOINT:
        cells = {"stream": name}
        for corpus in CORPORA:
            cells[corpus] = across(rows[name][at], *known, corpus, own).figure(recall)
        yield cells


def together(rows: Mapping[str, np.ndarray], labels: Labels, own: bool) -> Iterable[dict[str, str]]:
    """Recall of unseen speakers by one fit of all four corpora."""
    at = labels.expressions != ""
    names, people, corpora = labels.expressions[at], labels.people[at], labels.corpora[at]
    for name in JOINT:
        x = standard_by(rows[name][at], corpora) if own else rows[name][at]
        told = within(x, names, people)
        yield {"stream": name} | {q: told.part(corpora == q).figure(recall) for q in CORPORA}


def gap(rows: Mapping[str, np.ndarray], labels: Labels) -> Iterable[dict[str, str]]:
    """RAVDESS's eight emotions: accuracy, and how much is left to the teacher."""
    at = labels.corpora == "ravdess"
    told = {name: _eight(x, labels, at, regression) for name, x in rows.items()}
    teacher, start = told[TEACHER], told[WAV2VEC2]
    for name, one in told.items():
        other = _eight(rows[name], labels, at, discriminant)
        yield {
            "stream": name,
            "logistic regression": one.figure(accuracy),
            "less the teacher": one.less(teacher, accuracy) if one is not teacher else "",
            "less wav2vec2": one.less(start, accuracy) if one is not start else "",
            "discriminant": other.figure(accuracy),
            "less the teacher by regression": other.less(teacher, accuracy),
        }


def closed(rows: Sequence[Mapping[str, str]]) -> str:
    """What rows of `gap` say of half of the gap between wav2vec2 and the best of the teacher."""
    by_fit = []
    for fit in ("logistic regression", "discriminant"):
        scores = {row["stream"]: float(row[fit].split()[0]) for row in rows}
        own = {name: score for name, score in scores.items() if not name.startswith(TEACHER)}
        best, start = max(own, key=lambda name: own[name]), own[WAV2VEC2]
        lost = max(scores.values()) - start
        gained = own[best] - start
        half = "half of it" if gained >= lost / 2 else "not half of it"
        by_fit.append(
            f"By {fit}, wav2vec2 is {lost:.3f} below the best of the teacher; `{best}` makes good"
            f" {gained:.3f}, {half}."
        )
    return " ".join(by_fit)


def _eight(x: np.ndarray, labels: Labels, at: np.ndarray, fit: Fit) -> Told:
    return within(x[at], labels.emotions[at], labels.people[at], labels.actors[at], fit)


def arousal(rows: Mapping[str, np.ndarray], labels: Labels) -> Iterable[dict[str, str]]:
    """RAVDESS's intensity by unseen actors, and what it makes of other corpora: AUC."""
    ravdess = labels.corpora == "ravdess"
    two = ravdess & ~np.isin(labels.emotions, ["neutral", "calm"])
    for name, x in rows.items():
        cells = {"stream": name}
        for what, at in (("six emotions", two), ("with neutral and calm as 0", ravdess)):
            cells[what] = _intensity(x, labels, at).figure(area)
        for corpus in CORPORA[1:]:
            cells[corpus] = _aroused(x, labels, ravdess, labels.corpora == corpus).figure(area)
        yield cells


def _aroused(x: np.ndarray, labels: Labels, train: np.ndarray, test: np.ndarray) -> Told:
    """RAVDESS's arousal said of clips whose emotion is aroused (1) or not (0)."""
    x = standard_by(x, labels.corpora)
    test = test & np.isin(labels.emotions, [*AROUSED, *QUIET])
    said = say(x[train], labels.arousal[train].astype(int), x[test])
    return Told(np.isin(labels.emotions[test], AROUSED).astype(int), said, labels.people[test])


def _intensity(x: np.ndarray, labels: Labels, at: np.ndarray) -> Told:
    yes = labels.arousal[at].astype(int)
    return within(x[at], yes, labels.people[at], labels.actors[at])


def calm(rows: Mapping[str, np.ndarray], labels: Labels) -> Iterable[dict[str, str]]:
    """Whether calm voices are neutral ones, by the same fit with and without them."""
    at = labels.corpora == "ravdess"
    names, people, folds = labels.expressions[at], labels.people[at], labels.actors[at]
    is_calm = labels.emotions[at] == "calm"
    for stream in (WAV2VEC2, BOTH, TEACHER):
        x = rows[stream][at]
        own = within(x, np.where(is_calm, "calm", names), people, folds)
        alike = within(x, np.where(is_calm, "Neutral", names), people, folds)
        without = _without(x, names, people, folds, is_calm)
        neutral = (without.said == "Neutral")[is_calm].mean()
        yield {
            "stream": stream,
            "calm told as Neutral by a fit without calm": f"{neutral:.3f}",
            "neutral and calm told apart, AUC": _apart(x, labels, at),
            "recall of the seven, calm left out": without.part(~is_calm).figure(recall),
            "recall of the seven, calm as Neutral": alike.part(~is_calm).figure(recall),
            "recall of the seven, calm a class": own.part(~is_calm).figure(recall),
        }


def _without(
    x: np.ndarray, names: np.ndarray, people: np.ndarray, folds: np.ndarray, left: np.ndarray
) -> Told:
    """Fitted without some clips, and told of all."""
    said = np.empty(len(names), names.dtype)
    for fold in np.unique(folds):
        train = (folds != fold) & ~left
        said[folds == fold] = say(x[train], names[train], x[folds == fold])
    return Told(names, said, people)


def _apart(x: np.ndarray, labels: Labels, at: np.ndarray) -> str:
    emotions = labels.emotions[at]
    two = np.isin(emotions, ["neutral", "calm"])
    yes = (emotions[two] == "calm").astype(int)
    return within(x[two], yes, labels.people[at][two], labels.actors[at][two]).figure(area)
