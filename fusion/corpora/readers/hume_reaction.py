"""Hume-Reaction: how strongly people react to a film, seven emotions a clip (ABAW 5).

Data flow: `data_info.csv` > rows > intensities of clips `00042` > Clip.

Nothing tells who is in a clip, so that every clip is a person of its own.
"""

from collections.abc import Sequence
from pathlib import Path

from fusion.abaw.clip_challenges import CLIP_CHALLENGES
from fusion.abaw.reading.clip_tables import read_intensities
from fusion.corpora.registry import register
from fusion.corpora.whole_clips import has_columns, of_values
from fusion.tasks.clips import Clip

FILE = "data_info.csv"
KIND = CLIP_CHALLENGES["ERI"]


def find(root: Path, files: Sequence[Path]) -> list[Path]:
    """Tables of that name with the seven emotions, at any depth."""
    return [f for f in files if f.name == FILE and has_columns(f, KIND.id_column, *KIND.columns)]


@register("Hume-Reaction", layout=f"{FILE} with {KIND.id_column} and seven emotions", find=find)
def read(paths: Sequence[Path]) -> list[Clip]:
    """One clip for each row; those of the test set have no labels.

    Raises:
        UserError: If a row is not as it should be, or a clip is there twice.
    """
    clips = []
    for path in paths:
        table = read_intensities(path, KIND)
        values = table[list(KIND.columns)].to_numpy()
        splits = table["split"] if "split" in table else ["train"] * len(table)
        for name, split, row in zip(table.index, splits, values, strict=True):
            clips.append(Clip(name, name, split, of_values(row, KIND.columns), name))
    return clips
