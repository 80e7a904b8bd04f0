"""BAH: ambivalence and hesitancy in answers to questions (ABAW 8, 10 and 11).

Data flow: `split/train.txt`, `val.txt`, `test.txt` > video, class of the whole video > Clip;
without such lists `annotation.yml` (edition 8) > class of each frame > Clip.

A person is a participant, of up to seven videos. The private test set comes with a list of the same
form, whose classes mean nothing: do not score it.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from features.errors import UserError
from fusion.abaw.clip_challenges import AMBIVALENCE
from fusion.abaw.reading.clip_tables import (
    SPLIT_NAMES,
    read_ambivalence,
    read_ambivalent_frames,
)
from fusion.corpora.registry import register
from fusion.corpora.whole_clips import of_class, of_classes
from fusion.tasks.clips import Clip

LISTS = ("train.txt", "val.txt", "test.txt")
FRAMES = "annotation.yml"
_LINE = re.compile(rb"[^,\n]+_Question_\d[^,\n]*\.mp4,\s*-?\d+\s*(?:,|\r?\n|$)")
_WORDS = re.compile(r"[a-z]+")


def find(root: Path, files: Sequence[Path]) -> list[Path]:
    """Lists of BAH's videos, at any depth; without any, annotations of its frames."""
    lists = [f for f in files if f.name in LISTS and _begins_with(f, _LINE)]
    frames = re.compile(rb"[^\n]*_Question_\d[^\n]*\.mp4['\"]?:")
    return lists or [f for f in files if f.name == FRAMES and _begins_with(f, frames)]


@register(
    "BAH", layout="split/train.txt with lines such as 1_Question_1_Video.mp4,0,text", find=find
)
def read(paths: Sequence[Path]) -> list[Clip]:
    """One clip for each video.

    Raises:
        UserError: If a line is not as it should be, or a video is there twice.
    """
    clips: dict[str, Clip] = {}
    for path in paths:
        for clip in _framewise(path) if path.name == FRAMES else _listed(path):
            if clip.id in clips:
                raise UserError(f"{path}: '{clip.id}' is in another list too; remove one of them")
            clips[clip.id] = clip
    return list(clips.values())


def _listed(path: Path) -> list[Clip]:
    table, split = read_ambivalence(path), SPLIT_NAMES[path.stem]
    return [
        Clip(name, name, split, of_class(label, AMBIVALENCE), person)
        for name, label, person in zip(table.index, table["label"], table["person"], strict=True)
    ]


def _framewise(path: Path) -> list[Clip]:
    """The split is what a folder above the file is called, e.g. `ABAW-8th-BAH-train-data`."""
    words = [word for part in path.parts[::-1] for word in _WORDS.findall(part.lower())]
    split = next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), "train")
    return [
        Clip(name, name, split, of_classes(frames, AMBIVALENCE), name.partition("_Question_")[0])
        for name, frames in read_ambivalent_frames(path).items()
    ]


def _begins_with(path: Path, pattern: re.Pattern[bytes]) -> bool:
    with path.open("rb") as file:
        return pattern.match(file.readline(4096)) is not None
