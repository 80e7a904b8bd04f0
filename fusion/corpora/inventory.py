"""What data sets other than ABAW hold, in the form in which ABAW's files are counted and compared.

Data flow: root > `read_corpus` > clips > an Annotation for each task of each > Inventory.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from features.errors import UserError
from fusion.abaw.audit.inventory import Annotation, Inventory, count_task, take_inventory
from fusion.abaw.challenges import TASKS
from fusion.corpora import read_corpus
from fusion.tasks.clips import Clip
from fusion.tasks.labels import ClipLabels, TimedLabels

UNLABELLED = "none"
"""Challenge of a clip without any label."""


def inventory_of(root: Path) -> Inventory:
    """What lies in a folder, whichever data set it is; what cannot be read is among the faults.

    Raises:
        UserError: If there is no such folder, or a folder of annotations is empty.
    """
    found = take_inventory(root)
    if found.annotations or found.faults:
        return found
    try:
        clips = read_corpus(root)
    except UserError as error:
        found.faults.append(str(error))
        return found
    found.origin = next((clip.origin for clip in clips), "")
    held = {task for clip in clips for task in clip.labels.tasks()}
    # What a data set tells beside ABAW's tasks is counted where it is all that there is.
    shown = held & {task.lower() for task in TASKS} or held
    found.annotations = [
        one
        for clip in clips
        for one in _annotations(replace(clip, labels=clip.labels.of_tasks(shown)), root)
    ]
    found.people = {clip.id: clip.group for clip in clips if clip.group != clip.video}
    return found


def _annotations(clip: Clip, root: Path) -> Iterator[Annotation]:
    """One for each task; rows of clips as a whole, and by time, have no frame numbers."""
    labels = clip.labels
    by_frame = not isinstance(labels, ClipLabels | TimedLabels)
    until = float(labels.times[-1]) if isinstance(labels, TimedLabels) and len(labels) else 0.0
    for task in [name.upper() for name in labels.tasks()] or [UNLABELLED]:
        counts = {} if task == UNLABELLED else {task: count_task(labels, task)}
        yield Annotation(
            path=root,
            challenge=task,
            split=clip.split,
            id=clip.id,
            rows=max((one.labelled for one in counts.values()), default=0),
            last=len(labels) if by_frame else 0,
            counts=counts,
            constant=False,
            video=clip.video,
            dense=False,
            until=until,
        )
