"""RAVDESS: the names of its files are its labels (Livingstone and Russo 2018).

Data flow: `01-01-05-01-02-01-12.mp4` > codes > one expression for the whole clip > Clip.

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
from fusion.tasks.expr import expression_of_clip

NAME = re.compile(r"0(?P<modality>[123])-0[12]-0(?P<emotion>[1-8])(-0[12]){3}-(?P<actor>\d\d)")
EMOTIONS = {
    1: "Neutral",
    3: "Happiness",
    4: "Sadness",
    5: "Anger",
    6: "Fear",
    7: "Disgust",
    8: "Surprise",
}
"""Emotion code to expression; calm (2) has no counterpart and is not labelled."""


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
    labels = expression_of_clip(EMOTIONS.get(int(name["emotion"])))
    return Clip(stem, stem, "train", labels, f"Actor_{name['actor']}")
