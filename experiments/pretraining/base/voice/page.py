"""The page of what voices tell: tables and what they mean."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from experiments.pages import table
from experiments.pretraining.base.voice import tables
from experiments.pretraining.base.voice.tables import Labels

HEAD = """# What voices tell

Written by `python -m experiments.pretraining.base.voice_probe --data DIR`. Standardised logistic
regression on whole clips (mean and deviation over tokens, C = 2 / features), always told of
speakers that it has not heard; ± is a standard error over speakers (jackknife). RAVDESS is without
actor 01, who is the audio-visual test. EmoDB's padding is cut off. "prosody" has quantiles too, and
pitch where voiced. The teacher hears each clip with a second of silence instead of 30 s of it.
"""
WITHIN = """## Expressions, unseen speakers of the same corpus

Mean recall over the corpus's expressions (RAVDESS 7 and nEMO 6 of ABAW's seven, EmoDB 6, URDU 4),
five folds by speaker. Calm and boredom have none.
"""
ACROSS = """## Expressions, a corpus that was not heard

Trained on the other three, on the expressions that training and test have.
"""
OWN = """The same, each corpus standardised by itself (the tested one by its own unlabelled clips):
"""
TOGETHER = """## Expressions, one fit of all four corpora

Unseen speakers; first as it is, then with each corpus standardised by itself.
"""
GAP = """## RAVDESS's eight emotions: what is lost to the teacher

Accuracy, folds of `labels.csv`; by regression, and by Fisher's discriminant (shrinkage .3).
"""
CALM = """## Is calm neutral?

RAVDESS, unseen actors.
"""
AROUSAL = """## Vocal arousal: RAVDESS's intensity, normal or strong

Area under the curve over all clips of unseen actors; and, fitted to RAVDESS alone, of anger, fear,
happiness and surprise above boredom, neutral and sadness in the other corpora, each standardised by
itself. wav2vec2 hears sound at unit variance, so it does not know how loud it is; prosody does, and
a microphone's gain shifts it.
"""
SPEECH = """## Speech activity

Each 32 ms: is there speech? Three clips of each of {people} speakers who were held out of all
training here, with pauses of 1.5 s, before a background at a ratio to the speech. The truth is the
energy of the clean sound (30 dB below its loud frames), pauses up to .2 s filled; frames beside a
border are not judged. So `energy` is right by definition where there is no background. Voicing and
energy are prosody's, smoothed over .3 s. F1 at the threshold that is best for the other half of the
speakers, and Silero's at .5; ± over speakers.
"""
SHOUTED = """Share of the speech that Silero finds at .5 in clips of RAVDESS's actors 02 to 04:
"""


def page(
    rows: Mapping[str, np.ndarray],
    labels: Labels,
    found: Sequence[Mapping[str, str]],
    loud: Iterable[Mapping[str, str]],
    people: int,
) -> str:
    """The whole page in Markdown.

    Args:
        rows: (N, D) by stream.
        labels: Of the same N voices.
        found: Rows of the table of speech activity.
        loud: Rows of the table of intensity.
        people: Speakers in the table of speech activity.
    """
    gap = list(tables.gap(rows, labels))
    parts = [
        HEAD,
        WITHIN,
        table(tables.in_corpus(rows, labels)),
        ACROSS,
        table(tables.over_corpora(rows, labels, own=False)),
        OWN,
        table(tables.over_corpora(rows, labels, own=True)),
        TOGETHER,
        table(tables.together(rows, labels, own=False)),
        table(tables.together(rows, labels, own=True)),
        GAP,
        table(gap),
        tables.closed(gap),
        CALM,
        table(tables.calm(rows, labels)),
        AROUSAL,
        table(tables.arousal(rows, labels)),
        SPEECH.format(people=people),
        table(found),
        SHOUTED,
        table(loud),
    ]
    return "\n".join(f"{part.rstrip()}\n" for part in parts)
