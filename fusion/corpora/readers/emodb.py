"""EmoDB: the names of its files are its labels (Burkhardt et al. 2005).

Data flow: `03a01Fa.wav` > speaker 03, sentence a01, emotion F, version a > one expression for the
whole clip > Clip.

German sentences, acted, sound alone; letters of emotions are those of the German words. No split is
published: every clip is a training clip, and `data.fold` holds speakers out.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from features.errors import UserError
from features.media.kinds import SOUND_SUFFIXES
from fusion.corpora.registry import register
from fusion.tasks.clips import Clip
from fusion.tasks.expr import expression_of_clip

NAME = re.compile(r"(?P<speaker>\d\d)[ab]\d\d(?P<emotion>[WLEAFTN])[a-z]")
EMOTIONS = {
    "W": "Anger",
    "E": "Disgust",
    "A": "Fear",
    "F": "Happiness",
    "T": "Sadness",
    "N": "Neutral",
}
"""Letter to expression; boredom (L) has no counterpart and is not labelled."""


def find(root: Path, files: Sequence[Path]) -> list[Path]:
    """Sound files with names of EmoDB, at any depth."""
    return [f for f in files if f.suffix.lower() in SOUND_SUFFIXES and NAME.fullmatch(f.stem)]


@register("EmoDB", layout="sound files such as 03a01Fa.wav", find=find)
def read(paths: Sequence[Path]) -> list[Clip]:
    """One clip for each sentence.

    Raises:
        UserError: If a sentence is there twice.
    """
    seen: dict[str, Path] = {}
    for path in paths:
        if path.stem in seen:
            raise UserError(f"{path}: '{path.stem}' is also {seen[path.stem]}; remove one of them")
        seen[path.stem] = path
    return [_clip(stem) for stem in seen]


def _clip(stem: str) -> Clip:
    name = NAME.fullmatch(stem)
    assert name is not None
    labels = expression_of_clip(EMOTIONS.get(name["emotion"]))
    return Clip(stem, stem, "train", labels, name["speaker"])
