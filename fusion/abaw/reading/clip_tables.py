"""Annotations of whole clips > a table with a row for each clip.

`data_info.csv` (reactions), `train_split.csv` (mimicry) > `read_intensities` > K values a clip;
`split/train.txt` (BAH) > `read_ambivalence` > a class a clip; its YAML > `read_ambivalent_frames`.

An empty cell is "not labelled" and becomes NaN. Letters: R rows, K values.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from features.errors import UserError
from features.importers.text_tables import read_table_text
from fusion.abaw.clip_challenges import AMBIVALENCE, CLIP_CHALLENGES, ClipChallenge
from fusion.abaw.reading.tables import fail, read_lines, require

SPLIT_COLUMN = "Split"
"""Of the reactions' table: `Train`, `Val` or `Test`."""
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
"""What the files call a split, in small letters."""
_ANNOTATION = "frame_annotation"


def read_intensities(path: Path, challenge: ClipChallenge) -> pd.DataFrame:
    """Reads K values a clip.

    Args:
        path: A CSV file with `challenge.id_column` and all of `challenge.columns`.
        challenge: ERI or EMI.

    Returns:
        (R, K) float64 by id, NaN where a clip is not labelled; attribute `split` beside the values
        where the file has that column.

    Raises:
        UserError: If a column lacks, an id is there twice, or a value is none from 0 to 1.
    """
    text = read_table_text(path)
    table = pd.read_csv(text.lines, sep=text.separator, dtype=str, keep_default_na=False)
    table.columns = table.columns.str.strip()
    names = [challenge.id_column, *challenge.columns]
    if lacking := [name for name in names if name not in table]:
        fail(path, 1, f"no column {', '.join(lacking)}; unpack the file of {challenge.title} again")
    cells = table[list(challenge.columns)].apply(lambda column: column.str.strip())
    values = cells.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    given = (cells != "").to_numpy()
    legal = values.ge(0).to_numpy() & values.le(1).to_numpy()
    require(legal | ~given, path, "the values are numbers from 0 to 1, or empty for none; mend it")
    require(given.all(1) | ~given.any(1), path, "some values of the row are empty; give all")
    values.index = _ids(table[challenge.id_column].map(challenge.id_of), path)
    if SPLIT_COLUMN in table:
        split = table[SPLIT_COLUMN].str.strip().str.lower().map(SPLIT_NAMES)
        require(split.notna().to_numpy(), path, "the split is Train, Val or Test; mend the row")
        values["split"] = split.to_numpy()
    return values


def read_ambivalence(path: Path) -> pd.DataFrame:
    """Reads a list of BAH: `Videos/82711/.../82711_Question_1_..._Video.mp4,1,Hello? ...`.

    Returns:
        Columns `label` (0, 1, or NaN: not labelled), `video` (as written) and `person`, by id.

    Raises:
        UserError: If a line is none, or an id is there twice.
    """
    rows = [line.split(",", 2) for line in read_lines(path)]  # what follows is the transcript
    videos = [row[0].strip() for row in rows]
    labels = np.full(len(rows), np.nan)
    for number, row in enumerate(rows):
        if len(row) < 2 or not row[0].strip():
            fail(path, number + 1, "not 'video,label,transcript'; unpack the file again")
        if row[1].strip() in [str(label) for label in range(len(AMBIVALENCE))]:
            labels[number] = int(row[1])
    ids = _ids(pd.Series([CLIP_CHALLENGES["AH"].id_of(video) for video in videos]), path, first=1)
    people = [name.partition("_Question_")[0] for name in ids]
    return pd.DataFrame({"label": labels, "video": videos, "person": people}, index=ids)


def read_ambivalent_frames(path: Path) -> dict[str, np.ndarray]:
    """Reads the class of each frame from BAH's YAML (`annotation.yml` of edition 8).

    Returns:
        (F,) float64 classes by id, NaN where a frame is not labelled; row i is frame i + 1, which
        the file calls `frame-i.jpg`.

    Raises:
        UserError: If the file is no such annotation.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
        return {
            CLIP_CHALLENGES["AH"].id_of(video): _frames(told[_ANNOTATION])
            for video, told in content.items()
        }
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path}: not an annotation of BAH's frames; unpack it again") from error


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain data alone, of which pairs may be marked as Python's tuples."""


def _pair(loader: Any, node: Any) -> list[Any]:
    return list(loader.construct_sequence(node))


_Loader.add_constructor("tag:yaml.org,2002:python/tuple", _pair)


def _frames(rows: list[Any]) -> np.ndarray:
    """Classes (F,) float64 of rows `[.../frame-12.jpg, 1]`."""
    places = [int(Path(name).stem.rpartition("-")[2]) for name, _ in rows]
    labels = np.full(max(places) + 1, np.nan)
    labels[places] = [int(label) for _, label in rows]
    if not np.isin(labels[places], range(len(AMBIVALENCE))).all():
        raise ValueError("a label is no class")
    return labels


def _ids(names: pd.Series, path: Path, first: int = 2) -> pd.Index:
    repeats = names.duplicated().to_numpy()
    if repeats.any():
        row = int(np.argmax(repeats))
        fail(path, first + row, f"'{names.iloc[row]}' had a row before; remove one")
    return pd.Index(names, name="id")
