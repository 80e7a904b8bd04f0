"""Networks run on one clip: aligned streams > windows > model > features and scores of every frame.

Windows are stitched before a result is fed to the next network, so a network sees the same features
in prediction as in training, whatever the windows of either.

Letters: F frames of the clip, D features, C columns of scores, B windows, T frames of a window.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from fusion.data.batch import Batch
from fusion.data.columns import joined
from fusion.data.loading.dataset import WindowDataset, collate
from fusion.data.stage_outputs import ClipExtras
from fusion.data.windowing import WindowPool
from fusion.inference.network import Network
from fusion.streams.clip_streams import ClipStreams, Rows
from fusion.streams.person_normalization import People
from fusion.tasks.clips import Clip
from fusion.tasks.labels import FrameLabels

BATCH = 16
"""Windows that are run at once; does not change the result."""


@dataclass(frozen=True)
class NetworkOutput:
    """What a network makes of a clip.

    Attributes:
        features: (F, D) float32, what its heads read.
        scores: (F, C) float32, columns of the network's tasks as in fusion/data/columns.py.
    """

    features: np.ndarray
    scores: np.ndarray


class NetworkRunner:
    """Runs networks on one clip, each of them once, however many others it feeds.

    Args:
        clip: Whose streams.
        streams: All that the networks need.
        people: Statistics of people, where a network adapts to them.
    """

    def __init__(self, clip: Clip, streams: ClipStreams, people: People | None = None) -> None:
        self.clip, self.streams, self.people = clip, streams, people
        self._done: dict[int, NetworkOutput] = {}

    def run(
        self, network: Network, feeds: Mapping[str, Rows | np.ndarray] | None = None
    ) -> NetworkOutput:
        """Features and scores of every frame.

        Args:
            network: What to run.
            feeds: Stage name to features (F, D) that are there already; None: they are made.
        """
        if id(network) not in self._done:
            if feeds is None:
                feeds = {name: self.run(one).features for name, one in network.feeds.items()}
            self._done[id(network)] = _run(network, self._windows(network, feeds))
        return self._done[id(network)]

    def samples(self, network: Network, draws: int, seed: int = 0) -> list[np.ndarray]:
        """Scores (F, C) with dropout at work, `draws` times: Monte Carlo dropout.

        Gal and Ghahramani 2016, "Dropout as a Bayesian approximation". The networks that feed it
        are not drawn anew. Equal seeds, equal draws; the caller's random state is kept.
        """
        feeds = {name: self.run(one).features for name, one in network.feeds.items()}
        with torch.random.fork_rng(), dropout_at_work(network.model):
            torch.manual_seed(seed)
            return [_run(network, self._windows(network, feeds)).scores for _ in range(draws)]

    def _windows(self, network: Network, feeds: Mapping[str, Rows | np.ndarray]) -> WindowDataset:
        return WindowDataset(
            [replace(self.clip, labels=FrameLabels(0))],
            [self.streams.only(network.specs)],
            network.normalisers,
            network.window,
            network.stride,
            network.adaptation,
            self.people,
            [ClipExtras(feeds)],
        )


@contextmanager
def dropout_at_work(model: nn.Module) -> Iterator[None]:
    """Dropout as in training, all else as in evaluation."""
    kinds = (nn.Dropout, nn.Dropout1d)
    parts = [part for part in model.modules() if isinstance(part, kinds)]
    try:
        for part in parts:
            part.train()
        yield
    finally:
        for part in parts:
            part.eval()


@torch.inference_mode()
def _run(network: Network, windows: WindowDataset) -> NetworkOutput:
    """Output for the one clip of a data set, computed where the network is."""
    pool = WindowPool()
    own = torch.Generator()  # a loader asks for a seed; the caller's chance is left alone
    loader: DataLoader[Batch] = DataLoader(
        windows, batch_size=BATCH, collate_fn=collate, generator=own
    )
    dim = 0
    for batch in loader:
        features = network.model.features(batch.inputs_on(network.device))
        columns = joined(network.model.heads(features), network.tasks)
        both = torch.cat([features.flatten(2).float(), columns], dim=-1).cpu()
        dim = both.shape[-1] - columns.shape[-1]
        pool.add(batch.clip.tolist(), batch.start.tolist(), both.numpy())
    rows = pool.stitched(windows.lengths)[0]
    return NetworkOutput(np.ascontiguousarray(rows[:, :dim]), np.ascontiguousarray(rows[:, dim:]))
