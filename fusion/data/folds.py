"""Folds for cross-validation that never split a person or a video.

Data flow: group, frames and label counts of each clip > folds of about equal weight and labels
> held-out clips of each fold.

Letters: N clips, C kinds of labels, G groups, k folds.
"""

from collections.abc import Sequence

import numpy as np

from features.cli.wording import counted
from features.errors import UserError
from fusion.tasks.clips import Clip
from fusion.tasks.labels import FrameLabels
from fusion.tasks.registry import Tasks, default_tasks

FOLD_SEED = 0
"""The folds are the same in every run, whatever the run's own seed."""


def folds_of(clips: Sequence[Clip], k: int, tasks: Tasks) -> list[np.ndarray]:
    """Deals clips into k folds by person and video, alike in frames and in labels.

    Args:
        clips: Whose folds.
        k: Their number.
        tasks: Whose labels count, besides those of `default_tasks`.

    Returns:
        k rising arrays of indices into `clips`: what each fold holds out.

    Raises:
        UserError: If there are fewer people and videos than folds.
    """
    groups = linked([clip.group for clip in clips], [clip.video for clip in clips])
    frames = [len(clip.labels) for clip in clips]
    every = {**default_tasks(), **tasks}
    labels = np.array([label_amounts(clip.labels, every) for clip in clips])
    return person_folds(groups, k, FOLD_SEED, frames, labels)


def label_amounts(labels: FrameLabels, tasks: Tasks) -> np.ndarray:
    """(C,) float64, how much of each kind of label of the tasks a clip has."""
    return np.concatenate([task.amounts(task.labels_in(labels)) for task in tasks.values()])


def person_folds(
    groups: Sequence[str],
    k: int,
    seed: int,
    weights: Sequence[float] | None = None,
    labels: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Deals clips into k folds; clips of one group stay together.

    The heaviest group goes first, each to the fold that has least of what it brings: the sum of
    squares of the folds' shares of the weight and (their mean) of each kind of label grows least.
    A fold may get no heavier than the lightest and the heaviest group together, so folds differ by
    no more than the heaviest group weighs. Without labels this is Graham's LPT rule: each group to
    the lightest fold. The seed orders groups of equal weight.

    Args:
        groups: Group of each clip.
        k: Number of folds.
        seed: Equal seeds give equal folds.
        weights: Weight of each clip, e.g. its frames; 1 each if None.
        labels: (N, C) amounts, at least 0, that the folds should share alike; None: no matter.

    Returns:
        k rising arrays of indices into `groups`: what each fold holds out.

    Raises:
        UserError: If there are fewer groups than folds.
    """
    names, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if len(names) < 2:
        raise UserError(
            f"no fold can be held out of {counted(len(groups), 'clip')} of one person or video;"
            " people.csv (id,person) in the data tells people apart, or add other people's clips"
        )
    if not 2 <= k <= len(names):
        raise UserError(
            f"{k} folds cannot be made of {len(names)} people or videos;"
            f" set the number of folds between 2 and {len(names)}"
        )
    weight = np.bincount(member, weights=weights, minlength=len(names))
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-weight[order], kind="stable")]
    fold_of = _dealt(order, weight, _shares(member, weight, labels), k)
    return [np.flatnonzero(fold_of[member] == fold) for fold in range(k)]


def _shares(member: np.ndarray, weight: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """(G, 1 + C): each group's share of all weight and of each kind of label.

    Scaled so that in a sum of squares the weight counts as much as all labels together.
    """
    if labels is None:
        labels = np.zeros((len(member), 0))
    by_group = np.zeros((len(weight), labels.shape[1]))
    np.add.at(by_group, member, labels)
    amounts = np.column_stack([weight, by_group / max(1, labels.shape[1]) ** 0.5])
    total = np.column_stack([weight, by_group]).sum(axis=0)
    return amounts / np.where(total > 0, total, 1)


def _dealt(order: np.ndarray, weight: np.ndarray, shares: np.ndarray, k: int) -> np.ndarray:
    """(G,) fold of each group, dealt out in the given order."""
    fold_of, load = np.zeros(len(order), np.int64), np.zeros(k)
    held, groups_in = np.zeros((k, shares.shape[1])), np.zeros(k, np.int64)
    for group in order:
        growth = held @ shares[group]
        growth[load + weight[group] > load.min() + weight.max()] = np.inf
        # Groups of no weight still have to be dealt out, hence the last key.
        fold = np.lexsort((groups_in, load, growth))[0]
        fold_of[group] = fold
        held[fold] += shares[group]
        load[fold] += weight[group]
        groups_in[fold] += 1
    return fold_of


def linked(*keys: Sequence[str]) -> list[str]:
    """One group name for each clip, such that clips that share any key share the group.

    Two people of one video have one sound track: by person alone they could be held out from each
    other, though a model would know the sound.

    >>> linked(["Ann", "Bob", "Bob", "Cid"], ["1", "1", "2", "3"])
    ['0', '0', '0', '3']

    Args:
        keys: Sequences of equal length, e.g. persons and videos of the clips.
    """
    root = list(range(len(keys[0])))

    def find(clip: int) -> int:
        while root[clip] != clip:
            clip = root[clip]
        return clip

    for key in keys:
        first: dict[str, int] = {}
        for clip, name in enumerate(key):
            one, other = sorted((find(first.setdefault(name, clip)), find(clip)))
            root[other] = one
    return [str(find(clip)) for clip in range(len(root))]
