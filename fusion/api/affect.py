"""A trained model for a script or a notebook: clips in, predictions out, in this process.

Data flow: file, or arrays > features.FeatureExtractor > tracks in a temporary folder > networks >
Predictions, one a person.

Nothing is written beside the clip, no process is started, and torch has as many threads afterwards
as before. What is said of a clip goes to the loggers `features` and `fusion`.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from features.api import FeatureExtractor, Progress
from features.cli.progress import heard_by
from features.errors import UserError
from features.faces.detect import FaceSettings
from features.media import Arrays, Reader
from features.pipeline.discovery import find_sources
from features.store.temp_folders import scratch_folder
from features.store.track_store import TrackStore
from fusion.api.predictions import Predictions
from fusion.api.pretrained import find_checkpoint
from fusion.inference.checkpoint import Checkpoint, load_checkpoint
from fusion.inference.origins import origin_of_clip
from fusion.inference.predictor import clips_of_store, predict_clips
from fusion.inference.summary import summary_lines
from fusion.measuring.baseline import AUTO, between, with_baseline
from fusion.measuring.readings import with_readings
from fusion.pretrained import BESIDE, DRAWS, PACKAGED
from fusion.tasks.registry import title_of

log = logging.getLogger(__name__)

EXTRACTION = 0.95
"""Share of the work that is extraction; the networks are quick beside the encoders."""


class Affect:
    """Says of clip after clip what people show, with a model and encoders that are loaded once.

    >>> affect = Affect.from_pretrained("runs/tiny/best.ckpt")
    >>> people = affect("talk.mp4")
    >>> len(people)
    1
    >>> people[0].to_pandas()[["time", "valence", "arousal", "expression"]].shape
    (10, 4)
    >>> people[0].save("talk.parquet").name
    'talk.parquet'

    Args:
        checkpoint: What it is.
        persons: Who is kept: `main`, so many at most, or `all`.
        faces: How faces are found, as in the extraction that the model was trained on.
        reader: Who decodes pictures.
        baseline: Neutral state of the person, for columns NAME_bc: `auto`, `none`, or seconds
            `FROM-TO` (fusion/measuring/baseline.py).
        draws: Of the model's dropout, for columns NAME_sd; None: 8 of the packaged model, else 0.
        **settings: Settings of encoders by name, as of `features.FeatureExtractor`: those with
            which the model's tracks were made, where they are not the defaults.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        persons: str | int = 2,
        faces: FaceSettings | None = None,
        reader: Reader = "pyav",
        baseline: str = AUTO,
        draws: int | None = None,
        **settings: Any,
    ) -> None:
        between(baseline)
        self.checkpoint, self._baseline = checkpoint, baseline
        self._packaged = checkpoint.path == PACKAGED
        self._draws = draws if draws is not None else DRAWS if self._packaged else 0
        self._how: dict[str, Any] = {"persons": persons, "faces": faces, "reader": reader}
        self._settings = settings

    @classmethod
    def from_pretrained(
        cls,
        name: str | PathLike[str] | None = None,
        *,
        device: str = "auto",
        revision: str | None = None,
        **settings: Any,
    ) -> "Affect":
        """Loads a model.

        Args:
            name: A file that fusion.train wrote; a folder that holds `best.ckpt`, or one checkpoint
                alone; or `OWNER/NAME` of the Hugging Face hub. None: the packaged model.
            device: Where to compute: `auto`, `cpu`, `cuda:1`, ...
            revision: Branch, tag or commit, of a name of the hub.
            **settings: As of the class.

        Raises:
            UserError: If there is no such model, it cannot be read, or there is no such device.
        """
        path = PACKAGED if name is None else find_checkpoint(name, revision)
        return cls(load_checkpoint(path, device), **settings)

    @cached_property
    def extractor(self) -> FeatureExtractor:
        """Makes the tracks that the model looks at; its encoders are loaded when it is needed."""
        encoders = sorted(
            {spec.encoder for spec in self.checkpoint.specs.values()}
            | set(BESIDE if self._packaged else ())
        )
        device = str(self.checkpoint.network.device)
        return FeatureExtractor(encoders, device=device, **self._how, **self._settings)

    def __call__(
        self,
        clip: str | PathLike[str] | None = None,
        *,
        frames: Sequence[np.ndarray] | np.ndarray | None = None,
        times: Sequence[float] | np.ndarray | None = None,
        samples: np.ndarray | None = None,
        rate: int = 0,
        start: float = 0.0,
        name: str = "clip",
        store: str | PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> list[Predictions]:
        """Predicts one clip: a file, or pictures and sound in memory.

        Args:
            clip: A video or sound file.
            frames: F pictures (H, W, 3) uint8 RGB of one size, upright.
            times: (F,) seconds of the frames, rising.
            samples: (N,) float from -1 to 1 or integers of full scale; (N, C) is averaged.
            rate: Samples per second.
            start: Seconds of the first sample, on the clock of the frames.
            name: Id of a clip in memory; that of a file is its stem.
            store: Folder for its tracks: what is ready there is not made again. None: they are not
                kept.
            progress: Is told the share of the work that is done, which rises to 1.

        Returns:
            What is said of each person, the one who is seen most before the others; of sound
            alone, of the speaker.

        Raises:
            UserError: If the clip cannot be read, an encoder fails on it or is another than the
                one that the model was trained with.
        """
        source: Any = clip
        if clip is None:
            source = Arrays(frames, times, samples, rate, start)
        elif frames is not None or samples is not None:
            raise UserError(f"{clip}: give a file, or frames and samples, not both")
        else:
            name = _id_of(clip)
        with ExitStack() as stack:
            scratch = stack.enter_context(scratch_folder("affect"))
            folder = Path(store) if store else scratch / "tracks"
            self.extractor(source, name=name, store=folder, progress=_part(progress, EXTRACTION))
            stack.enter_context(heard_by(None))
            people = self._predicted(TrackStore(folder), name, clip, scratch / "aligned")
        if progress:
            progress(1.0)
        return people

    def _predicted(
        self, store: TrackStore, video: str, clip: str | PathLike[str] | None, cache: Path
    ) -> list[Predictions]:
        """What is said of everybody in a video whose tracks are there."""
        clips = [one for one in clips_of_store(store) if one.video == video]
        place = None if clip is None else Path(clip).resolve()
        if lacking := [n for n in self.checkpoint.tasks if n not in self.checkpoint.learnt]:
            names = ", ".join(map(title_of, lacking))
            log.warning("not learnt, so that these columns mean nothing: %s", names)
        found = []
        for one in predict_clips(self.checkpoint, store, clips, cache=cache, draws=self._draws):
            track = next(each for each in clips if each.id == one.id)
            told = with_readings(one, store, track, cache)
            told = with_baseline(origin_of_clip(store, track, place).marked(told), self._baseline)
            found.append(Predictions.of(told))
        return sorted(found, key=lambda one: (-one.face.sum(), one.id))

    def __repr__(self) -> str:
        return "\n".join(summary_lines(self.checkpoint, type(self).__name__))


def _id_of(clip: str | PathLike[str]) -> str:
    """Id of a file, as extraction calls it."""
    path = Path(clip)
    return find_sources(path)[0].id if path.is_file() else path.stem


def _part(progress: Progress | None, share: float) -> Callable[[float], object] | None:
    """What tells a part of the work as a share of the whole."""
    return (lambda done: progress(share * done)) if progress else None
