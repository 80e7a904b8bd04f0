"""Truth for a report: all labels of one id. Data flow: folders > FrameLabels by id."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from fusion.abaw.reading.annotations import CorpusKind, read_truth
from fusion.corpora import read_corpus
from fusion.tasks.labels import FrameLabels, TaskLabels


@dataclass
class TruthSettings:
    """Where truth is.

    Args:
        root: Folder of the corpus with its annotations. None: no truth is drawn.
        truth: Folder with the labels of test videos, if you have them. None: `ROOT_truth` beside
            the corpus, if there is such a folder.
        challenge: Which of ABAW's annotations count in a folder that holds both: of single tasks,
            or the multi-task ones (mtl). auto: there must be only one kind.
    """

    root: Path | None = None
    truth: Path | None = None
    challenge: CorpusKind = "auto"


def read_labels(data: TruthSettings) -> dict[str, FrameLabels]:
    """Labels by id from the corpus and from the folder of test truth; empty without folders.

    Raises:
        UserError: If a folder has no annotations or a bad one.
    """
    clips = read_corpus(data.root, data.challenge) if data.root else []
    beside = data.root.with_name(f"{data.root.name}_truth") if data.root else None
    truth = data.truth or (beside if beside and beside.is_dir() else None)
    clips += read_truth(truth, data.challenge) if truth else []
    by_id: dict[str, list[FrameLabels]] = {}
    for clip in clips:
        by_id.setdefault(clip.id, []).append(clip.labels)
    return {name: merge(labels) for name, labels in by_id.items()}


def merge(parts: Iterable[FrameLabels]) -> FrameLabels:
    """All labels of one id, which may have different tasks in different splits; the first wins."""
    parts = list(parts)
    if len(parts) == 1:  # labels of a whole clip, or by time, stay what they are
        return parts[0]
    frames = max(map(len, parts))
    merged: dict[str, TaskLabels] = {}
    for part in (labels.resized(frames) for labels in parts):
        for task, new in part.by_task.items():
            first = merged.setdefault(task, new)
            fresh = new.mask & ~first.mask
            first.values[fresh] = new.values[fresh]
            first.mask[fresh] = True
    return FrameLabels(frames, merged)
