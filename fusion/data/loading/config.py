"""Settings of the data: where it lies, how it is cut, drawn and normalised."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from features.errors import UserError
from features.store.track_store import TrackStore
from fusion.abaw.reading.annotations import CorpusKind
from fusion.streams.adaptation import Adaptation, Kind

Mix = Literal["natural", "tasks", "combinations"]
Sampling = Literal["uniform", "balanced"]


@dataclass
class DataSettings:
    """Where the data lies and how it is cut.

    Attributes:
        root: Folder of the corpus (annotations, media). None: the demo corpus.
        store: Folder of the feature tracks. None: `tracks` in the corpus folder.
        cache: Folder of aligned tracks, safe to delete. None: `.aligned` in the store's folder.
        extra: Folders of further corpora, each with its own `tracks`, whose training clips are
            trained on too. Validation and test stay those of `root`.
        challenge: Which of ABAW's annotations count in a folder that holds both: of single tasks,
            or the multi-task ones (mtl). auto: there must be only one kind.
        streams: Streams that are fused.
        window: Frames of a window.
        stride: Frames from one window to the next.
        align_window: Width in seconds of the mean that puts audio tokens on the frames.
        batch: Windows of a batch.
        workers: Processes that load batches; 0: the training process itself.
        fold: Which fold is held out for validation, from 0; training and validation clips are
            pooled and split by person and video. None: the corpus's own split.
        folds: Number of folds.
        mix: Training windows of a batch. natural: as they come; tasks: as many that have labels
            of VA as of EXPR as of AU; combinations: as many of each combination of tasks that
            windows have labels of, e.g. VA alone, EXPR alone, both.
        sampling: uniform: each training window once an epoch; balanced: drawn with replacement,
            the likelier the rarer its expressions and its valence and arousal.
        share_labels: Whether a training clip that is in the sets of several tasks carries the
            labels of all of them; else it comes once for each set, with that set's labels alone.
        adapt: Normalisation of the streams. none: by the training clips; person: by the person's
            own frames; causal: by the clip's own frames so far. The latter two are transductive.
        adapt_prior: Frames of the training clips' statistics that `causal` counts as seen first.
    """

    root: Path | None = None
    store: Path | None = None
    cache: Path | None = None
    extra: list[Path] = field(default_factory=list)
    challenge: CorpusKind = "auto"
    streams: list[str] = field(default_factory=lambda: ["expression", "wav2vec2"])
    window: int = 300
    stride: int = 200
    align_window: float = 0.2
    batch: int = 8
    workers: int = 0
    fold: int | None = None
    folds: int = 5
    mix: Mix = "natural"
    sampling: Sampling = "uniform"
    share_labels: bool = True
    adapt: Kind = "none"
    adapt_prior: int = 100

    def tracks(self) -> TrackStore:
        """The store; UserError if neither `store` nor `root` says where it is."""
        if self.store is not None:
            return TrackStore(self.store)
        if self.root is None:
            raise UserError("no data: set data.root to a corpus or data.store to a track folder")
        return TrackStore(self.root / "tracks")

    def adaptation(self) -> Adaptation:
        """How streams are adapted."""
        return Adaptation(self.adapt, self.adapt_prior)

    def check(self, fed: bool = False) -> None:
        """Raises UserError for values that make no sense, by name.

        Args:
            fed: Whether there are features of earlier stages besides the streams.
        """
        rules = {
            "data.streams is empty; name at least one stream": bool(self.streams) or fed,
            f"data.window must be at least 1: {self.window}": self.window >= 1,
            f"data.stride must lie between 1 and data.window ({self.window}): {self.stride}": (
                1 <= self.stride <= self.window
            ),
            f"data.align_window must be at least 0: {self.align_window}": (
                0 <= self.align_window < math.inf
            ),
            f"data.batch must be at least 1: {self.batch}": self.batch >= 1,
            f"data.workers must not be negative: {self.workers}": self.workers >= 0,
            f"data.folds must be at least 2: {self.folds}": self.fold is None or self.folds >= 2,
            f"data.fold must lie between 0 and {self.folds - 1}: {self.fold}": (
                self.fold is None or 0 <= self.fold < self.folds
            ),
            f"data.adapt_prior must be at least 1: {self.adapt_prior}": self.adapt_prior >= 1,
        }
        for complaint, fine in rules.items():
            if not fine:
                raise UserError(complaint)
