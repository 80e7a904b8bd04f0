"""Folds for cross-validation that never split a person or a video.

Data flow: group of each clip > folds of about equal weight > held-out clips of each fold.
"""

from collections.abc import Sequence

import numpy as np

from features.cli import UserError


def person_folds(
    groups: Sequence[str], k: int, seed: int, weights: Sequence[float] | None = None
) -> list[np.ndarray]:
    """Deals clips into k folds; clips of one group stay together.

    The heaviest group goes first, each to the lightest fold so far (Graham's LPT rule), so folds
    differ by no more than the heaviest group weighs. The seed orders groups of equal weight.

    Args:
        groups: Group of each clip.
        k: Number of folds.
        seed: Equal seeds give equal folds.
        weights: Weight of each clip, e.g. its frames; 1 each if None.

    Returns:
        k rising arrays of indices into `groups`: what each fold holds out.

    Raises:
        UserError: If there are fewer groups than folds.
    """
    names, member = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if not 2 <= k <= len(names):
        raise UserError(
            f"{k} folds cannot be made of {len(names)} people or videos;"
            f" set data.folds between 2 and {len(names)}"
        )
    weight = np.bincount(member, weights=weights, minlength=len(names))
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-weight[order], kind="stable")]
    fold_of, load = np.zeros(len(names), np.int64), np.zeros(k)
    groups_in = np.zeros(k, np.int64)
    for group in order:
        # Groups of no weight still have to be dealt out, hence the second key.
        lightest = np.lexsort((groups_in, load))[0]
        fold_of[group] = lightest
        load[lightest] += weight[group]
        groups_in[lightest] += 1
    return [np.flatnonzero(fold_of[member] == fold) for fold in range(k)]


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
