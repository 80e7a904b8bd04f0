"""What is labelled of simulated states, and the states behind labels that are there already.

annotation files > clips cut to a share of their length > labels of all tasks of each person
> State (sim_states) > labels of the tasks that the files lack, for videos of their own > Simulated.

Labels of a task that the annotations hold are kept as they are, and the states agree with them;
EXPR and AU are drawn where the annotations have no file of them at all.

Letters: F frames.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.studies.simulation.states import (
    Simulated,
    State,
    draw_state,
    fit_model,
    labels_of,
    since,
)
from features.errors import UserError
from fusion.abaw.reading.layout import find_layout
from fusion.corpora import read_corpus
from fusion.tasks.clips import Clip
from fusion.tasks.labels import FrameLabels, TaskLabels

USUAL_RATE = 30.0
EXPR_SHARE = 0.5
"""Share of the frames of an EXPR video that are labelled: the 585,317 frames counted above, of 248
videos of 4,725 frames."""
SETS = {
    "EXPR": {"train": (208, 40), "validation": (55, 15)},
    "AU": {"train": (245, 50), "validation": (70, 35)},
}
"""Files of each task with VA labels, and without; 248 and 70, 295 and 105 in all. How far the real
sets overlap is not known."""
VA_FILES = {"train": 356, "validation": 76}
STRETCH = 8.0
"""Mean seconds of a stretch that is labelled with expressions, or is not."""
Key = tuple[str, str]
"""Split and id."""


def simulate(root: Path, share: float, seed: int) -> Simulated:
    """States and labels of every annotated person below a folder.

    Args:
        root: Folder with VA annotations of both splits, and of other tasks if there are any.
        share: Of each file the middle part of this length is kept.
        seed: Equal seeds give equal states.

    Raises:
        UserError: If a split has no VA labels.
    """
    clips = cut_clips([clip for clip in read_corpus(root) if len(clip.labels)], share)
    known = merged(clips.values())
    valence = {key: filled_va(known[key[1]]) for key in clips if "va" in known[key[1]].tasks()}
    for split in VA_FILES:
        if not any(of == split for of, _ in valence):
            raise UserError(f"{root}: no valence-arousal labels of {split}; name their folder")
    rates = _rates_of(root, list(clips.values()))
    rng = np.random.default_rng([seed, 1])
    drawn = [task for task in ("EXPR", "AU") if not any(labelled(c, task) for c in clips.values())]
    shown: dict[Key, list[str]] = {}
    for split in VA_FILES:
        others = _add_others(split, drawn, clips, valence, rates, rng)
        for task in drawn:
            for key in _dealt(task, split, valence, others, rng):
                shown.setdefault(key, []).append(task)
    for key, clip in clips.items():  # those with labels of other tasks only
        if key not in valence:
            valence[key] = borrowed(valence, key[0], len(clip.labels), rng)
    model = fit_model(np.concatenate([v for (split, _), v in valence.items() if split == "train"]))
    states: dict[str, State] = {}
    labels = []
    for key, clip in sorted(clips.items()):
        rate = rates[clip.id]
        if clip.id not in states:
            truth = known.get(clip.id, clip.labels)
            states[clip.id] = draw_state(valence[key], truth, rate, model, rng)
        rows = show(clip.labels, states[clip.id], shown.get(key, []), rate, rng)
        labels.append(replace(clip, labels=rows))
    return Simulated(labels, states, rates, model)


def cut_clips(clips: Sequence[Clip], share: float) -> dict[Key, Clip]:
    """Clips with the middle part of their rows only; of an id in both splits, the same part."""
    longest: dict[str, int] = {}
    for clip in clips:
        longest[clip.id] = max(longest.get(clip.id, 0), len(clip.labels))
    out = {}
    for clip in clips:
        whole = longest[clip.id]
        frames = max(round(whole * share), 1)
        start = (whole - frames) // 2
        rows = clip.labels.resized(whole).at(slice(start, start + frames))
        out[clip.split, clip.id] = replace(clip, labels=rows)
    return out


def merged(clips: Iterable[Clip]) -> dict[str, FrameLabels]:
    """All labels of each id: one that lies in both splits has different tasks in them."""
    out: dict[str, FrameLabels] = {}
    for clip in clips:
        if (other := out.get(clip.id)) is None:
            out[clip.id] = clip.labels
            continue
        for task in clip.labels.tasks():
            mine, theirs = clip.labels[task], labels_of(other, task)
            at = mine.mask[:, None] if mine.mask.ndim < mine.values.ndim else mine.mask
            both = np.where(at, mine.values, theirs.values)
            other = other.with_task(task, TaskLabels(both, mine.mask | theirs.mask))
        out[clip.id] = other
    return out


def labelled(clip: Clip, task: str) -> bool:
    """Whether any frame has a label of a task."""
    return task.lower() in clip.labels.tasks()


def filled_va(labels: FrameLabels) -> np.ndarray:
    """(F, 2) float64: gaps interpolated, the first and last label held to the ends."""
    known = np.flatnonzero(labels["va"].mask)
    at = np.arange(len(labels))
    return np.stack([np.interp(at, known, labels["va"].values[known, i]) for i in (0, 1)], axis=1)


def borrowed(
    valence: Mapping[Key, np.ndarray], split: str, frames: int, rng: np.random.Generator
) -> np.ndarray:
    """(F, 2) of another file of the split, backwards, repeated to and fro if it is too short."""
    tracks = [track for (of, _), track in valence.items() if of == split]
    other = tracks[rng.integers(len(tracks))][::-1]
    return np.resize(np.concatenate([other, other[::-1]]), (frames, 2))


def show(
    known: FrameLabels,
    state: State,
    tasks: Sequence[str],
    rate: float,
    rng: np.random.Generator,
) -> FrameLabels:
    """The labels that are known, and those of `tasks` from the state."""
    out = known
    if "EXPR" in tasks:
        strikes = rng.random(len(known)) < 1 / (STRETCH * rate)
        mask = (rng.random(len(known)) < EXPR_SHARE)[since(strikes)]
        mask |= ~mask.any()  # a short file is labelled or is no EXPR file
        out = out.with_task("expr", TaskLabels(np.where(mask, state.expr, 0), mask))
    if "AU" in tasks:
        units = TaskLabels(state.au.astype(np.float32), np.ones(state.au.shape, bool))
        out = out.with_task("au", units)
    return out


def _add_others(
    split: str,
    drawn: Sequence[str],
    clips: dict[Key, Clip],
    valence: Mapping[Key, np.ndarray],
    rates: dict[str, float],
    rng: np.random.Generator,
) -> list[Key]:
    """Adds as many clips without VA labels as the tasks that are drawn want."""
    own = _of_split(valence, split)
    counts = [round(SETS[task][split][1] * len(own) / VA_FILES[split]) for task in drawn]
    others = []
    for number in range(max(counts, default=0)):
        like = own[rng.integers(len(own))]
        video = f"{split}-only-{number + 1}"
        labels = FrameLabels(len(valence[like]))
        clips[split, video] = Clip(video, video, split, labels, video)
        rates[video] = rates[like[1]]
        others.append((split, video))
    return others


def _dealt(
    task: str,
    split: str,
    valence: Mapping[Key, np.ndarray],
    others: Sequence[Key],
    rng: np.random.Generator,
) -> list[Key]:
    """Clips that a task labels: some with VA labels, and the first of the others."""
    own = _of_split(valence, split)
    with_va, without = (n * len(own) / VA_FILES[split] for n in SETS[task][split])
    chosen = rng.permutation(len(own))[: max(round(with_va), 1)]
    return [*(own[i] for i in chosen), *others[: round(without)]]


def _of_split(valence: Mapping[Key, np.ndarray], split: str) -> list[Key]:
    return [key for key in sorted(valence) if key[0] == split]


def _rates_of(root: Path, clips: Sequence[Clip]) -> dict[str, float]:
    """Frames a second of each clip, from `videos_fps.csv` where it knows the video."""
    table: dict[str, float] = {}
    for path in find_layout(root).rates:
        try:
            rows = pd.read_csv(path, dtype={"video_name": str})
            table |= dict(zip(rows["video_name"], rows["fps"].astype(float), strict=True))
        except (ValueError, KeyError) as error:  # pandas' own errors are ValueErrors
            raise UserError(f"{path}: not a CSV with columns video_name,fps; mend it") from error
    by_stem = {Path(str(name)).stem: rate for name, rate in table.items() if rate > 0}
    return {clip.id: by_stem.get(clip.video, USUAL_RATE) for clip in clips}
