"""Where the parts of an ABAW folder lie.

root folder > `find_layout` > Layout: label files, multi-task files, test lists, sample submissions.

Names differ by edition; letter case, spaces and hyphens do not count. A new edition is a new line
in one of the tables here.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from features.errors import UserError
from features.importers.text_tables import read_table_text
from features.media.folders import walk
from features.store.person_names import split_person

SPLITS = ("train", "validation", "test")

CHALLENGE_FOLDERS = {
    "va_set": "VA",  # edition 2
    "expr_set": "EXPR",
    "au_set": "AU",
    "va_estimation_challenge": "VA",  # edition 3 on
    "expr_classification_challenge": "EXPR",  # editions 3 to 5
    "expr_recognition_challenge": "EXPR",  # edition 6 on
    "au_detection_challenge": "AU",
    "ce_challenge": "CE",  # editions 6 to 8; only those who labelled it themselves have one
    "ce_recognition_challenge": "CE",
    "compound_expression_recognition_challenge": "CE",
}
"""Folder name to task; each holds folders of `SPLIT_FOLDERS`."""
SPLIT_FOLDERS = {
    "train_set": "train",
    "training_set": "train",
    "validation_set": "validation",
    "test_set": "test",
}
MTL_FOLDERS = ("mtl_challenge", "multi_task_learning_challenge")
MTL_FILES = {
    "train_set.txt": "train",  # edition 3
    "validation_set.txt": "validation",
    "training_set_annotations.txt": "train",  # editions 4, 7 and 11
    "validation_set_annotations.txt": "validation",
    "test_set_annotations.txt": "test",
}
"""Multi-task files in a folder of `MTL_FOLDERS`; names that end in `_annotations` lie anywhere."""
TEST_FOLDER = "test"
TEST_LISTS = ("va.txt", "expr.txt", "au.txt", "mtl.txt", "ce.txt")
"""Lists in a folder called `test`."""
LIST_FOLDERS = ("names_of_videos_in_each_test_set",)
"""Folders in which every text file is a list."""
LIST_WORDS = ("list", "release", "names")
"""`*test*list*.txt` and the like are lists of ids or of frames, wherever they lie."""
SAMPLE_WORDS = ("sample", "example")
"""`*sample*.txt` and the like are sample submissions, wherever they lie."""
CHALLENGE_WORDS = {
    "CE": {"ce", "compound"},
    "MTL": {"mtl", "multi", "multitask"},
    "VA": {"va", "valence"},
    "EXPR": {"expr", "expression", "expressions"},
    "AU": {"au", "aus", "action"},
}
"""Words that tell the challenge in the name of a list or sample submission, the first first."""
NOT_SEARCHED = ("cropped", "batch", "__macosx", ".")
"""Folders whose names start so hold pictures, videos or litter, and are not searched."""
PEOPLE_FILE = "people.csv"
RATES_FILE = "videos_fps.csv"


@dataclass(frozen=True)
class LabelFile:
    """One annotation file of one task.

    Attributes:
        path: The file.
        task: `VA`, `EXPR`, `AU` or `CE`.
        split: `train`, `validation` or `test`.
    """

    path: Path
    task: str
    split: str

    @property
    def id(self) -> str:
        """Id of the annotated person, e.g. `12` or `12_left`."""
        return self.path.stem


@dataclass
class Layout:
    """What lies below a root folder.

    Attributes:
        labels: Annotation files of single tasks.
        mtl: Multi-task files with their splits.
        test_lists: Lists of the ids or frames of test sets.
        samples: Sample submissions.
        rates: Tables of frame rates.
    """

    labels: list[LabelFile] = field(default_factory=list)
    mtl: list[tuple[Path, str]] = field(default_factory=list)
    test_lists: list[Path] = field(default_factory=list)
    samples: list[Path] = field(default_factory=list)
    rates: list[Path] = field(default_factory=list)


def find_layout(root: Path) -> Layout:
    """Searches a folder, at any depth, for the parts of ABAW.

    Raises:
        UserError: If the folder is absent, or a split folder without files is met.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; check the path of the data")
    layout = Layout()
    for folder, files in _walk(root.resolve()):
        name = _plain(folder.name)
        if name in SPLIT_FOLDERS and _plain(folder.parent.name) in CHALLENGE_FOLDERS:
            task = CHALLENGE_FOLDERS[_plain(folder.parent.name)]
            layout.labels += _label_files(folder, files, task, SPLIT_FOLDERS[name])
            continue
        for file in files:
            plain = _plain(file.name)
            if plain in MTL_FILES and ("annotations" in plain or name in MTL_FOLDERS):
                layout.mtl.append((file, MTL_FILES[plain]))
            elif _is_sample(plain):
                layout.samples.append(file)
            elif plain == RATES_FILE:
                layout.rates.append(file)
            elif _is_test_list(plain, name):
                layout.test_lists.append(file)
    return layout


def challenge_in(name: str) -> str | None:
    """The challenge that the name of a list or sample submission tells, e.g. of `VA.txt`."""
    words = set(re.split(r"[^a-z]+", name.lower()))
    return next((c for c, known in CHALLENGE_WORDS.items() if words & known), None)


def video_of(track_id: str) -> str:
    """Id of the raw video of a person: `12_left` and `12_person3` give `12`, `video10_1` itself.

    Only the exact endings count: `video10_1` is a segment of a video and has its own raw file.
    """
    return split_person(track_id)[0]


def read_people(root: Path) -> dict[str, str]:
    """Person of each id or video from `people.csv` (`id,person`); empty without the file.

    Raises:
        UserError: If the file lacks a column or gives an id two persons.
    """
    path = root / PEOPLE_FILE
    if not path.is_file():
        return {}
    import pandas as pd  # takes a while, and is for this one file

    try:
        text = read_table_text(path)
        table = pd.read_csv(text.lines, sep=text.separator, dtype=str, keep_default_na=False,
                            skipinitialspace=True)  # fmt: skip
        people = table[["id", "person"]].drop_duplicates().to_numpy()
    except (ValueError, KeyError) as error:  # pandas' own errors are ValueErrors
        raise UserError(f"{path}: not a CSV file with columns id,person; mend it") from error
    ids, counts = np.unique(people[:, 0].astype(str), return_counts=True)
    if (counts > 1).any():
        raise UserError(f"{path}: '{ids[np.argmax(counts)]}' has two persons; keep one line of it")
    return dict(people.tolist())


def _walk(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """Folders with their visible files, by name, without the folders of `NOT_SEARCHED`."""
    for folder, children, files in walk(root):
        children[:] = [c for c in children if not c.lower().startswith(NOT_SEARCHED)]
        yield folder, [folder / f for f in files if not f.startswith(".")]


def _label_files(folder: Path, files: list[Path], task: str, split: str) -> list[LabelFile]:
    found = [LabelFile(file, task, split) for file in files if file.suffix.lower() == ".txt"]
    if not found:
        raise UserError(f"{folder}: no .txt file; unpack the {task} annotations there")
    return found


def _is_sample(plain: str) -> bool:
    return plain.endswith(".txt") and any(word in plain for word in SAMPLE_WORDS)


def _is_test_list(plain: str, folder: str) -> bool:
    named = any(word in plain.partition("test")[2] for word in LIST_WORDS)
    listed = named or folder in LIST_FOLDERS or (folder == TEST_FOLDER and plain in TEST_LISTS)
    return plain.endswith(".txt") and listed


def _plain(name: str) -> str:
    return name.lower().replace(" ", "_").replace("-", "_")
