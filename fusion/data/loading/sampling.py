"""Which training windows come in which order.

Data flow: labels of the windows > sets of windows with weights > an order for each seed and epoch,
dealt out to the processes of a distributed run.

    mix       natural        one set of all windows
              tasks          a set for each task: the windows that have its labels
              combinations   a set for each combination of tasks, e.g. VA alone, EXPR alone, both
    sampling  uniform        each window of a set in turn, shuffled
              balanced       drawn with replacement, rare labels more often

A step takes as many windows from each set as from the others, which is how Zhang et al. (2021) and
Vu et al. (2021) train on data sets with different labels.

Letters: W windows, F frames of a clip, S sets, L windows of an epoch in one process.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset, DistributedSampler

from features.errors import UserError
from fusion.data.loading.config import Mix, Sampling
from fusion.data.loading.dataset import WindowDataset
from fusion.tasks.base import Task
from fusion.tasks.registry import Tasks

MOST = 10.0
"""Greatest weight of a frame, where the mean over all frames is 1."""
_NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class WindowSet:
    """Windows that are drawn from together.

    Attributes:
        name: For messages, e.g. `va` or `va+expr`.
        windows: Indices into the data set.
        weights: Of each of them, adding up to 1; None: all alike and each once before any again.
    """

    name: str
    windows: np.ndarray
    weights: np.ndarray | None = None

    def draw(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """`number` windows: by weight with replacement, or shuffled, again and again."""
        if self.weights is not None:
            return rng.choice(self.windows, number, p=self.weights)
        rounds = -(-number // len(self.windows))
        return np.concatenate([rng.permutation(self.windows) for _ in range(rounds)])[:number]


class _Places(Dataset[int]):
    """What DistributedSampler asks of a data set: its size."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size


class SetSampler(DistributedSampler[int]):
    """Deals windows of S sets in turn; the order depends on seed and epoch alone.

    Place p of an epoch holds a window of set p mod S, in every process, so that any S places in a
    row (and hence each batch, give or take one) hold the sets alike. It is a DistributedSampler so
    that Lightning leaves the dealing to it: shuffled over processes, sets would no longer be even.

    Args:
        sets: At least one.
        length: L.
        seed: Of the run.
        processes: Of a distributed run.
        rank: Of this process.
    """

    def __init__(
        self, sets: Sequence[WindowSet], length: int, seed: int, processes: int = 1, rank: int = 0
    ) -> None:
        super().__init__(_Places(length * processes), processes, rank, seed=seed)
        self.sets, self.length = list(sets), length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = np.empty((self.length, self.num_replicas), np.int64)
        for number, one in enumerate(self.sets):
            places = order[number :: len(self.sets)]
            places[:] = one.draw(places.size, rng).reshape(places.shape)
        return iter(order[:, self.rank].tolist())


def epoch_length(windows: int, batch: int, sets: int, processes: int = 1) -> int:
    """L: as many steps as without sets; with several of them, the last batch is a full one too."""
    own = -(-windows // processes)
    return own if sets == 1 else -(-own // batch) * batch


def make_sets(
    dataset: WindowDataset, mix: Mix, sampling: Sampling, batch: int, tasks: Tasks
) -> list[WindowSet]:
    """Sets of training windows, as the settings ask for.

    Args:
        dataset: The training windows.
        mix: Which sets.
        sampling: How they are weighted.
        batch: Windows of a batch.
        tasks: Those that are learnt; labels of others do not count.

    Raises:
        UserError: If no window has a label, or a batch has no room for all sets.
    """
    has = {name: labelled_frames(dataset, task) > 0 for name, task in tasks.items()}
    members = _members(has, mix, len(dataset))
    if not has or not members:
        raise UserError(
            f"data.mix {mix} and data.sampling {sampling} need labels, but no training window has"
            f" any of those that are learnt ({', '.join(tasks)}); see data.root, data.extra, loss"
        )
    if batch < len(members):
        raise UserError(
            f"data.batch must be at least {len(members)}, a window of each set of data.mix {mix}"
            f" ({', '.join(members)}): {batch}"
        )
    if sampling == "uniform":
        return [WindowSet(name, windows) for name, windows in members.items()]
    weights = {name: task_weights(dataset, tasks[name]) for name in has}
    joint = joint_weights(weights, has)
    return [
        WindowSet(name, windows, _shares(weights[name] if mix == "tasks" else joint, windows))
        for name, windows in members.items()
    ]


def _members(has: Mapping[str, np.ndarray], mix: Mix, windows: int) -> dict[str, np.ndarray]:
    """Name of each set to its windows; sets without any are left out."""
    if mix == "natural":
        return {"all": np.arange(windows)}
    if mix == "tasks":
        return {task: np.flatnonzero(some) for task, some in has.items() if some.any()}
    code = sum((some << bit for bit, some in enumerate(has.values())), np.zeros(windows, np.int64))
    kinds = {
        "+".join(task for bit, task in enumerate(has) if kind >> bit & 1): code == kind
        for kind in np.unique(code[code > 0]).tolist()
    }
    return {name: np.flatnonzero(some) for name, some in kinds.items()}


def labelled_frames(dataset: WindowDataset, task: Task) -> np.ndarray:
    """Frames of each window, (W,), that have any label of a task."""
    return _sums(dataset, [task.labels_in(labels).rows for labels in dataset.labels])


def task_weights(dataset: WindowDataset, task: Task) -> np.ndarray:
    """Weight of each window for a task, (W,) float64; 0 where it has no label of it.

    The mean over its labelled frames of the inverse frequency of what they show (see
    `Task.balance_codes`) among all labelled frames. All frames have a mean of 1, and none counts
    more than `MOST`.
    """
    labels = [task.labels_in(each) for each in dataset.labels]
    codes = [task.balance_codes(each) for each in labels]
    every = np.concatenate(
        [code[each.rows] for code, each in zip(codes, labels, strict=True)] or [_NONE]
    )
    kinds = 1 + max((int(code.max(initial=0)) for code in codes), default=0)
    counts = np.bincount(every, minlength=kinds)
    even = len(every) / max(int(np.count_nonzero(counts)), 1)
    inverse = np.minimum(even / np.maximum(counts, 1), MOST)
    total = _sums(
        dataset, [inverse[code] * each.rows for code, each in zip(codes, labels, strict=True)]
    )
    frames = labelled_frames(dataset, task)
    return np.where(frames > 0, total / np.maximum(frames, 1), 0.0)


def joint_weights(weights: Mapping[str, np.ndarray], has: Mapping[str, np.ndarray]) -> np.ndarray:
    """Mean weight of each window, (W,), over the tasks that it has labels of; 1 if of none."""
    tasks = np.sum([*has.values()], axis=0)
    return np.where(tasks > 0, np.sum([*weights.values()], axis=0) / np.maximum(tasks, 1), 1.0)


def _shares(weights: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Chance of each of the windows to be drawn."""
    chosen = weights[windows]
    return chosen / chosen.sum()


def _sums(dataset: WindowDataset, frames: Sequence[np.ndarray]) -> np.ndarray:
    """Sums over each window, (W,), of what the frames (F,) of each clip have."""
    clip, start = np.array(dataset.windows, np.int64).reshape(-1, 2).T
    lengths = np.array(dataset.lengths, np.int64)
    first = np.cumsum(lengths) - lengths
    before = np.concatenate([np.zeros(1), *(each.astype(np.float64) for each in frames)]).cumsum()
    stop = np.minimum(start + dataset.length, lengths[clip])
    return before[first[clip] + stop] - before[first[clip] + start]
