"""AFEW-VA: valence and arousal of every frame of film clips (Kossaifi et al. 2017).

Data flow: `001/001.json` > numbers of frames, values -10 to 10 > labels in [-1, 1] > Clip.

Its pictures count from 00000, the rows of labels are frames from 1: picture 00000 is frame 1 and so
row 0. No split is published: every clip is a training clip.

Letters: F frames of one file.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from features.errors import UserError
from fusion.abaw.reading.keys import MOST_FRAMES
from fusion.abaw.reading.tables import fail
from fusion.corpora.registry import register
from fusion.tasks.clips import Clip
from fusion.tasks.labels import FrameLabels, TaskLabels

SCALE = 10.0
"""Valence and arousal are whole numbers from -SCALE to SCALE."""


def find(root: Path, files: Sequence[Path]) -> list[Path]:
    """Files such as `001/001.json`, at any depth."""
    return [
        file
        for file in files
        if file.suffix == ".json" and file.stem.isdecimal() and file.stem == file.parent.name
    ]


@register("AFEW-VA", layout="files such as 001/001.json", find=find)
def read(paths: Sequence[Path]) -> list[Clip]:
    """One clip for each file; its person is the actor if the file names one.

    Raises:
        UserError: If a file is not as expected, or two have the same id.
    """
    clips: dict[str, Clip] = {}
    seen: dict[str, Path] = {}
    for path in paths:
        name = path.stem
        if name in seen:
            raise UserError(f"{path}: '{name}' is also {seen[name]}; remove one of them")
        seen[name] = path
        content = _load(path)
        group = content.get("actor")
        labels = _labels(content, path)
        clips[name] = Clip(name, name, "train", labels, group if isinstance(group, str) else name)
    return list(clips.values())


def _load(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        fail(path, error.lineno, f"not JSON ({error.msg}); unpack the file again")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file; unpack it again") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: not an annotation of AFEW-VA; unpack it again")
    return content


def _labels(content: dict[str, object], path: Path) -> FrameLabels:
    """Labels of the frames of one file; a number that is not in it is not labelled."""
    frames = content.get("frames")
    if not isinstance(frames, dict) or not frames:
        raise UserError(f"{path}: no 'frames' in it; unpack the file again")
    rows = np.zeros((len(frames), 2))
    places = np.zeros(len(frames), np.int64)
    for i, (number, frame) in enumerate(frames.items()):
        if not number.isdecimal() or int(number) >= MOST_FRAMES:
            raise UserError(f"{path}: '{number}' is no number of a frame; unpack the file again")
        try:
            places[i], rows[i] = int(number), (frame["valence"], frame["arousal"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path}: frame {number} lacks a number for valence or arousal; mend it"
            ) from error
        if not (np.abs(rows[i]) <= SCALE).all():
            raise UserError(
                f"{path}: frame {number} has {rows[i, 0]:g}, {rows[i, 1]:g};"
                f" valence and arousal are -10 to 10; mend it"
            )
    values = (rows / SCALE).astype(np.float32)
    labels = {"va": TaskLabels(values, np.ones(len(rows), bool))}
    return FrameLabels(len(rows), labels).spread(places)
