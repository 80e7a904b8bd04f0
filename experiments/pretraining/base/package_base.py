"""Makes the packaged model of a trained one: a temperature, a smoothing, and nothing but weights.

Data flow: checkpoint of `fusion.train --cfg base` > temperature of least likelihood loss on the
held-out clips > the narrowest smoothing that keeps real clips steady > weights in half precision
with what is needed to run them > fusion/pretrained/base/best.ckpt.

    python -m experiments.pretraining.base.package_base --corpus CORPUS --clips CLIPS/tracks

The smoothing is chosen without labels: it is the narrowest with which the median of the real clips
(tracks of videos, of any people) changes its most probable expression at most once a second.
"""

from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from features.cli.app import OK, run
from features.store.atomic_file import write_atomically
from features.store.track_store import TrackStore
from fusion.corpora import read_corpus
from fusion.inference.checkpoint import Checkpoint, load_checkpoint
from fusion.inference.network import PREFIX, WEIGHTS
from fusion.inference.payload import KEY, read_payload
from fusion.inference.predictor import clips_of_store, raw_scores
from fusion.postprocess.decision import Decision, RawScores
from fusion.pretrained import PACKAGED
from fusion.tasks.clips import Clip
from fusion.tasks.deciding.classes import ClassesDecision
from fusion.tasks.deciding.smoothing import NONE, Smoothing
from fusion.tasks.deciding.thresholds import best_temperature
from fusion.tasks.expr import Expression

WIDTHS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0)
"""Seconds that are tried."""
STEADY = 1.0
"""Changes of the most probable expression a second."""
KEPT = ("corpus", "learnt", "tasks", "selected", "git", "versions")
"""What is kept of the provenance; which clips of the corpus were trained on, the card says."""
NAME = Expression.name


@dataclass
class PackageBase:
    """Settings of the packaging.

    Args:
        corpus: Folder that `experiments.pretraining.base.corpus` made.
        clips: Store of tracks of real clips.
        checkpoint: The trained model.
        out: The packaged one.
    """

    corpus: Path
    clips: Path
    checkpoint: Path = Path("runs/base/best.ckpt")
    out: Path = PACKAGED


def package(settings: PackageBase) -> int:
    """Chooses, writes, and says what was chosen."""
    model = load_checkpoint(settings.checkpoint, "cpu")
    held = [clip for clip in read_corpus(settings.corpus) if clip.split == "validation"]
    temperature = fitted_temperature(model, TrackStore(settings.corpus / "tracks"), held)
    decision = with_expression(model.decision, ClassesDecision(NONE, temperature, (0.0,) * 8))
    store = TrackStore(settings.clips)
    real = list(raw_scores(model, store, clips_of_store(store)))
    decision = with_expression(decision, steady(decision, real))
    write_package(settings.checkpoint, settings.out, decision)
    print(f"{decision.tasks[NAME].choice(decision.by_task[NAME])}")
    print(f"{settings.out}: {settings.out.stat().st_size / 1e6:.2f} MB")
    return OK


def fitted_temperature(model: Checkpoint, store: TrackStore, clips: list[Clip]) -> float:
    """Temperature of clips' mean probabilities."""
    truth = {
        clip.id: int(labels.values[0])
        for clip in clips
        if (labels := clip.labels.by_task.get(NAME)) is not None and labels.mask.any()
    }
    said, right = [], []
    for raw in raw_scores(model, store, [clip for clip in clips if clip.id in truth]):
        said.append(model.decision.of(NAME, raw).mean(axis=0))
        right.append(truth[raw.clip.id])
    return best_temperature(np.stack(said).astype(float), np.array(right))


def steady(decision: Decision, clips: list[RawScores]) -> ClassesDecision:
    """The narrowest smoothing of `WIDTHS` that is steady, else the widest; says each."""
    mine = decision.by_task[NAME]
    assert isinstance(mine, ClassesDecision)
    for seconds in (0.0, *WIDTHS):
        smoothing = Smoothing("box", seconds) if seconds else NONE
        tried = with_expression(decision, replace(mine, smoothing=smoothing))
        changes = float(np.median([changes_a_second(tried, raw) for raw in clips]))
        print(f"{smoothing}: {changes:.2f} changes a second, median of {len(clips)} people")
        if changes <= STEADY:
            break
    return replace(mine, smoothing=smoothing)


def changes_a_second(decision: Decision, raw: RawScores) -> float:
    """How often the most probable expression of a clip changes."""
    said = decision.of(NAME, raw).argmax(axis=1)
    return float((np.diff(said) != 0).sum() / max(raw.times[-1] - raw.times[0], 1e-9))


def with_expression(decision: Decision, mine: ClassesDecision) -> Decision:
    """The decision with another one about expressions."""
    return replace(decision, by_task={**decision.by_task, NAME: mine})


def write_package(checkpoint: Path, out: Path, decision: Decision) -> None:
    """The checkpoint without optimizer, names of clips and paths, weights in half precision."""
    content = read_payload(checkpoint)
    payload: dict[str, Any] = dict(content[KEY])
    told = payload["provenance"]
    payload["provenance"] = {key: told[key] for key in KEPT if key in told}
    payload["config"] = {
        **payload["config"],
        "data": {"streams": list(payload["specs"])},
        "runs": "",
    }
    payload["decision"] = decision.state()
    weights = {
        name: rows.half() if rows.is_floating_point() else rows
        for name, rows in content[WEIGHTS].items()
        if name.startswith(PREFIX)
    }
    buffer = BytesIO()
    torch.save({WEIGHTS: weights, KEY: payload}, buffer)
    write_atomically(out, buffer.getvalue())


main = partial(
    run,
    PackageBase,
    package,
    prog="experiments.pretraining.base.package_base",
    description=__doc__ or "",
)

if __name__ == "__main__":
    main()
