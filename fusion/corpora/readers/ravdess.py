"""RAVDESS: the names of its files are its labels (Livingstone and Russo 2018).

Data flow: `01-01-05-01-02-01-12.mp4` > codes > one emotion of RAVDESS's own eight, for the task
`emotions`, and the expression that it is in ABAW's list, both for the whole clip > Clip.

The seven codes: modality (01 sound and picture, 02 picture, 03 sound), speech or song, emotion,
intensity, statement, repetition, actor. No split is published: every clip is a training clip, and
`data.fold` holds actors out.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from features.media.kinds import SOUND_SUFFIXES, VIDEO_SUFFIXES
from fusion.corpora.registry import register
from fusion.tasks.clips import Clip
from fusion.tasks.emotions import emotion_of_clip
from fusion.tasks.expr import expression_of_clip

NAME = re.compile(r"0(?P<modality>[123])-0[12]-0(?P<emotion>[1-8])(-0[12]){3}-(?P<actor>\d\d)")
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""RAVDESS's own, in the order of the codes, which count from 1."""
EXPRESSIONS = {
    "neutral": "Neutral",
    "happy": "Happiness",
    "sad": "Sadness",
    "angry": "Anger",
    "fearful": "Fear",
    "disgust": "Disgust",
    "surprised": "Surprise",
}
"""Emotion to expression; calm has no counterpart and is no expression."""


def find(root: Path, files: Sequence[Path]) -> list[Path]:
    """Media files with names of RAVDESS, at any depth."""
    known = VIDEO_SUFFIXES | SOUND_SUFFIXES
    return [f for f in files if f.suffix.lower() in known and NAME.fullmatch(f.stem)]


@register("RAVDESS", layout="files such as 01-01-05-01-02-01-12.mp4", find=find)
def read(paths: Sequence[Path]) -> list[Clip]:
    """One clip for each performance.

    Of a performance that is there in several modalities the fullest counts: a clip of its sound
    alone would be the same sound again, without the frames that give the clock.
    """
    fullest: dict[str, str] = {}
    for stem in sorted(path.stem for path in paths):  # 01, sound and picture, comes first
        fullest.setdefault(stem.partition("-")[2], stem)
    return [_clip(stem) for stem in fullest.values()]


def _clip(stem: str) -> Clip:
    name = NAME.fullmatch(stem)
    assert name is not None
    emotion = EMOTIONS[int(name["emotion"]) - 1]
    labels = emotion_of_clip(emotion, EMOTIONS, beside=expression_of_clip(EXPRESSIONS.get(emotion)))
    return Clip(stem, stem, "train", labels, f"Actor_{name['actor']}")
