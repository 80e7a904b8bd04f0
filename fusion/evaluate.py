"""`python -m fusion.evaluate`: official scores of a checkpoint on a split, or on a hidden truth.

Data flow: checkpoint + tracks + labels > predictions > scores pooled over all valid frames.

    python -m fusion.evaluate --checkpoint runs/mtl/best.ckpt
    python -m fusion.evaluate --checkpoint runs/mtl/best.ckpt --data.root ROOT --data.truth TRUTH
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from features.cli import FAILED, OK, UserError, run
from features.demo_data import default_store, root_or_demo
from features.store import TrackStore
from features.track import write_atomically
from fusion.abaw.annotations import read_corpus, read_truth
from fusion.abaw.labels import Clip
from fusion.checkpoint import Checkpoint, load_checkpoint
from fusion.metrics import MetricAccumulator
from fusion.predictions import write_predictions
from fusion.predictor import predict_clips


@dataclass
class CorpusSettings:
    """Where the data lies.

    Args:
        root: Folder of the corpus. None: the demo corpus.
        store: Folder of the tracks. None: `ROOT/tracks`.
    """

    root: Path | None = None
    store: Path | None = None


@dataclass
class LabelledSettings(CorpusSettings):
    """Where the data lies, and labels that are no part of the corpus.

    Args:
        truth: Folder with `Test_Set` folders of real labels, to score those clips instead.
    """

    truth: Path | None = None


@dataclass
class EvaluateSettings:
    """Settings of an evaluation.

    Args:
        checkpoint: File written by fusion.train.
        data: Where the data lies.
        split: Part to score: train, validation.
        out: JSON file to write the scores to as well.
    """

    checkpoint: Path = Path("runs/mtl/best.ckpt")
    data: LabelledSettings = field(default_factory=LabelledSettings)
    split: str = "validation"
    out: Path | None = None


def labelled_clips(root: Path, split: str, truth: Path | None) -> list[Clip]:
    """Clips to score: of the hidden truth if there is one, else of a split.

    Raises:
        UserError: If there is none with labels.
    """
    clips = read_truth(truth) if truth else [c for c in read_corpus(root) if c.split == split]
    clips = [clip for clip in clips if len(clip.labels)]
    if not clips:
        raise UserError(f"{truth or root}: no labelled '{split}' clips; see --split, --data.truth")
    return clips


def score_clips(
    checkpoint: Checkpoint, store: TrackStore, clips: Sequence[Clip], keep: Path | None = None
) -> tuple[MetricAccumulator, list[str]]:
    """Scores labelled clips.

    Args:
        checkpoint: The model.
        store: The tracks.
        clips: Clips with labels.
        keep: Folder for the predictions; None: they are not written.

    Returns:
        The scores and the ids of clips without tracks.
    """
    labels = {clip.id: clip.labels for clip in clips}
    metrics = MetricAccumulator()
    for one in predict_clips(checkpoint, store, clips):
        metrics.add(labels.pop(one.id).resized(len(one)), one.va, one.expr_class, one.au_on)
        if keep:
            write_predictions(one, keep)
    return metrics, sorted(labels)


def evaluate(settings: EvaluateSettings) -> tuple[MetricAccumulator, list[str]]:
    """Scores of the clips that the settings ask for, and the ids of those without tracks."""
    checkpoint = load_checkpoint(settings.checkpoint)
    root = root_or_demo(settings.data.root)
    store = TrackStore(settings.data.store or default_store(root))
    return score_clips(checkpoint, store, labelled_clips(root, settings.split, settings.data.truth))


def format_scores(scores: dict[str, float]) -> str:
    """One line of scores with three digits; a task without labels shows a dash."""
    return "  ".join(
        f"{name} {'-' if value != value else f'{value:.3f}'}" for name, value in scores.items()
    )


def command(settings: EvaluateSettings) -> int:
    """Prints the scores and what has no prediction."""
    metrics, missing = evaluate(settings)
    scores = metrics.scores()
    print(format_scores(scores))
    print(format_scores(metrics.class_scores()))
    if settings.out:
        write_atomically(settings.out, json.dumps(scores, indent=1).encode())
    for name in missing:
        print(f"not scored: {name} has labels but no track; run python -m features.extract")
    return FAILED if missing else OK


if __name__ == "__main__":
    run(EvaluateSettings, command, prog="fusion.evaluate", description=__doc__.split("\n")[0])
