"""Labels of compound expressions, for those who have some to compare with.

file > `read_compound` > TaskLabels; a folder > `read_compound_corpus` > Clips.

The challenge publishes none: it gives a list of videos and a sample submission (`lists`). A file of
labels is written as an annotation of EXPR is: a header of the seven names, one number a row.

Letters: F frames of one file.
"""

from pathlib import Path

import numpy as np

from features.errors import UserError
from fusion.abaw.reading.layout import find_layout, video_of
from fusion.abaw.reading.tables import check_header, parse_numbers, read_lines, require
from fusion.tasks.clips import Clip
from fusion.tasks.compound import COMPOUNDS, Compound
from fusion.tasks.labels import FrameLabels, TaskLabels

NO_COMPOUND = -1
COMPOUND_HEADERS = (",".join(COMPOUNDS),)


def read_compound(path: Path) -> TaskLabels:
    """Reads the labels of one file, (F,) indices into `COMPOUNDS`; -1 is none.

    Raises:
        UserError: If the file is not such an annotation; names the first bad line.
    """
    header, *lines = read_lines(path)
    check_header(header, COMPOUND_HEADERS, path)
    rows = parse_numbers(lines, path, columns=1)[:, 0]
    legal = np.isin(rows, [NO_COMPOUND, *range(len(COMPOUNDS))])
    require(legal, path, "the compound expression is 0 to 6, or -1 for none; mend the row")
    mask = rows != NO_COMPOUND
    return TaskLabels(np.where(mask, rows, 0).astype(np.int64), mask)


def read_compound_corpus(root: Path, split: str | None = None) -> list[Clip]:
    """Reads `CE_Challenge/*_Set/*.txt` and the like below a folder, a clip a file.

    Args:
        root: The folder.
        split: `train`, `validation` or `test`; None: all.

    Raises:
        UserError: If there is none, an id is there twice, or a file is ill-formed.
    """
    every = [file for file in find_layout(root).labels if file.task == "CE"]
    files = [file for file in every if split in (None, file.split)]
    if not files:
        what = f"no compound labels of '{split}'" if every else "no compound labels"
        raise UserError(f"{root}: {what}; expected CE_Challenge/Test_Set/*.txt")
    clips: dict[str, Clip] = {}
    for file in files:
        if file.id in clips:
            raise UserError(f"{file.path}: '{file.id}' has labels in another folder too; keep one")
        own, video = read_compound(file.path), video_of(file.id)
        labels = FrameLabels(len(own), {Compound.name: own})
        clips[file.id] = Clip(file.id, video, file.split, labels, video)
    return list(clips.values())
