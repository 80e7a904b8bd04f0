"""What a model has seen: labels by task, and of which clips.

Data flow: clips of a training run > task to clips > provenance in the checkpoint > what of a clip
that is scored the model knows already.

A clip is known again by its id and the sha256 of its file, which its tracks carry: the same file
under another name is the same clip, and an id that another file has is another clip. An id may be
trained on for one task and held out for another.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from fusion.tasks.clips import Clip
from fusion.tasks.labels import FrameLabels
from fusion.tasks.registry import DEFAULT

TRAINED, JUDGED, TUNED = "trained", "judged", "tuned"
"""Parts of a provenance: clips trained on, clips that chose the epoch, clips tuned on."""
CROSS_FITTED, LEARNT, RECIPE = "cross-fitted", "learnt", "recipe"
"""In predictions: tasks decided by what was tuned on others; tasks that the model has learnt;
fingerprint of the settings that the model was trained with."""
ON, BY_FOLD = "on", "by_fold"
"""Parts of what is said of tuning: clips by task; what each fold's people were decided by."""
KINDS = (TRAINED, JUDGED, TUNED, CROSS_FITTED)
"""What a model may know of a clip that it predicts."""
ClipsByTask = dict[str, dict[str, str]]
"""Task to the clips with such labels: id to sha256 of the file, "" if unknown."""


def clips_by_task(clips: Iterable[tuple[Clip, str]], tasks: Collection[str]) -> ClipsByTask:
    """Which clips have labels of which of the tasks.

    Args:
        clips: Each with the sha256 of its file, "" if unknown.
        tasks: Those that count.
    """
    found: ClipsByTask = {task: {} for task in tasks}
    for clip, file in clips:
        for task in clip.labels.tasks():
            if task in found:
                found[task][clip.id] = file
    return found


def joined_clips(parts: Iterable[Mapping[str, Mapping[str, str]]]) -> ClipsByTask:
    """The clips of several models together."""
    joined: ClipsByTask = {}
    for part in parts:
        for task, clips in part.items():
            joined.setdefault(task, {}).update(clips)
    return joined


def trained_clips(provenance: Mapping[str, Any]) -> ClipsByTask:
    """What a model was trained on; models from before this was kept tell ids, for all tasks."""
    if TRAINED in provenance:
        return {task: dict(clips) for task, clips in provenance[TRAINED].items()}
    return {task: dict.fromkeys(provenance.get("train_clips", ()), "") for task in DEFAULT}


def tasks_seen(seen: Mapping[str, Mapping[str, str]], clip: Clip, file: str = "") -> list[str]:
    """Tasks of whose labels of this clip a model knows.

    Args:
        seen: What the model has seen.
        clip: With its labels; of a clip without any all tasks are looked at.
        file: sha256 of the clip's file, "" if unknown.
    """
    asked = clip.labels.tasks() or list(seen)
    return [task for task in asked if task in seen and is_among(seen[task], clip.id, file)]


def is_among(clips: Mapping[str, str], track_id: str, file: str) -> bool:
    """Whether a clip, by its id and the sha256 of its file, is one of these."""
    known = clips.get(track_id)
    if known is None or (file and known and file != known):
        return bool(file) and file in clips.values()
    return True


def tasks_of(payload: Mapping[str, Any]) -> list[str]:
    """Tasks that a model has learnt, as its checkpoint's payload tells."""
    learnt = payload["provenance"].get("learnt")
    if learnt is not None:
        return list(learnt)
    weights = payload["config"].get("loss", {})  # of checkpoints from before this was kept
    return [task for task in DEFAULT if weights.get(task, 1.0)]


def chosen_by(provenance: Mapping[str, Any]) -> list[str]:
    """Tasks by whose labels, held out, a model's epoch or stage was chosen or it was tuned."""
    names = {*provenance.get("selected", ()), *tuned_clips(provenance)}
    return in_order(names)


def tuned_clips(provenance: Mapping[str, Any]) -> ClipsByTask:
    """What a model was tuned on: the tasks in which tuning helped, with the clips."""
    decided = provenance.get("decided", {})
    if not isinstance(decided, Mapping):
        return {}
    if ON in decided:
        return {task: dict(clips) for task, clips in decided[ON].items()}
    clips = dict.fromkeys(decided.get("clips", ()), "")
    return {task.lower(): dict(clips) for task in decided.get("tuned", ())}


def marks(provenance: Mapping[str, Any], clip: Clip, file: str = "") -> dict[str, str]:
    """What a model knows of a clip before it predicts it, as predictions say it: kind to tasks.

    Args:
        provenance: Of the model.
        clip: Any labels of it do not matter.
        file: sha256 of the clip's file, "" if unknown.
    """
    known = {
        TRAINED: trained_clips(provenance),
        JUDGED: provenance.get(JUDGED, {}),
        TUNED: tuned_clips(provenance),
    }
    unlabelled = replace(clip, labels=FrameLabels(0))
    said = {kind: tasks_seen(clips, unlabelled, file) for kind, clips in known.items()}
    return {kind: " ".join(tasks).upper() for kind, tasks in said.items() if tasks}


def said_of(provenance: Mapping[str, str], key: str) -> list[str] | None:
    """Tasks that predictions name under a key, any member's of an ensemble.

    None if they say nothing of it.
    """
    texts = [text for name, text in provenance.items() if name.partition(" #")[0] == key]
    words = {word.lower() for text in texts for word in text.split()}
    return in_order(words) if texts else None


def in_order(tasks: Iterable[str]) -> list[str]:
    """Names of tasks as lists have them: those of ABAW in their order, then by name."""
    return sorted(tasks, key=lambda t: (DEFAULT.index(t) if t in DEFAULT else len(DEFAULT), t))
