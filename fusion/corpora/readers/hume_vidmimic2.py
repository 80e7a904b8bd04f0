"""Hume-Vidmimic2: how strongly people mimic a video's emotion, six of them a clip (ABAW 6, 8, 10).

Data flow: `train_split.csv`, `valid_split.csv` > rows > intensities of clips `00042` > Clip.

Nothing tells who is in a clip, so that every clip is a person of its own.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from features.errors import UserError
from fusion.abaw.clip_challenges import CLIP_CHALLENGES
from fusion.abaw.reading.clip_tables import read_intensities
from fusion.corpora.registry import register
from fusion.corpora.whole_clips import has_columns, of_values
from fusion.tasks.clips import Clip

SPLITS = {
    "train_split.csv": "train",
    "valid_split.csv": "validation",
    "val_split.csv": "validation",
    "test_split.csv": "test",
}
"""Of the test set nothing is published: such a file is a list, whose values are placeholders."""
KIND = CLIP_CHALLENGES["EMI"]


def find(root: Path, files: Sequence[Path]) -> list[Path]:
    """Tables of those names with the six emotions, at any depth."""
    return [f for f in files if f.name in SPLITS and has_columns(f, KIND.id_column, *KIND.columns)]


@register("Hume-Vidmimic2", layout="train_split.csv with Filename and six emotions", find=find)
def read(paths: Sequence[Path]) -> list[Clip]:
    """One clip for each row.

    Raises:
        UserError: If a row is not as it should be, or a clip is there twice.
    """
    clips: dict[str, Clip] = {}
    for path in paths:
        split, table = SPLITS[path.name], read_intensities(path, KIND)
        if split == "test":
            table[list(KIND.columns)] = np.nan
        for name, row in zip(table.index, table[list(KIND.columns)].to_numpy(), strict=True):
            if name in clips:
                raise UserError(f"{path}: '{name}' is in another list too; remove one of them")
            clips[name] = Clip(name, name, split, of_values(row, KIND.columns), name)
    return list(clips.values())
