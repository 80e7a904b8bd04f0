"""`python -m fusion.evaluate`: official scores of a checkpoint or of stored predictions.

Data flow: checkpoint + tracks, or stored predictions, + labels > scores pooled over all valid
frames, 95 % intervals by video > lines on the screen, and a folder of tables and pictures.

    python -m fusion.evaluate --checkpoint runs/mtl/best.ckpt
    python -m fusion.evaluate --checkpoint runs/mtl/best.ckpt --data.root ROOT --data.truth TRUTH
    python -m fusion.evaluate --pred A --data.root ROOT --out scores     # stored predictions
    python -m fusion.evaluate --pred A --pred B --data.root ROOT         # two of them compared

A second `--pred` is short for `--against`. The split, or the truth, says which clips are scored.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.cli import FAILED, OK, UsageError, UserError, run
from features.demo_data import default_store, root_or_demo
from features.store import TrackStore
from fusion.abaw.annotations import CorpusKind, read_truth
from fusion.abaw.challenges import EDITIONS, LATEST
from fusion.abaw.labels import Clip
from fusion.bootstrap import compare
from fusion.corpora import read_corpus
from fusion.metrics import MetricAccumulator
from fusion.predictions import write_predictions
from fusion.score_report import (
    Rules,
    format_comparison,
    format_intervals,
    require_folder,
    write_comparison,
    write_report,
)
from fusion.scoring import Evaluation, score_pair, score_store

if TYPE_CHECKING:
    from fusion.checkpoint import Checkpoint


@dataclass
class CorpusSettings:
    """Where the data lies.

    Args:
        root: Folder of the corpus. None: the demo corpus.
        store: Folder of the tracks. None: `ROOT/tracks`.
        cache: Folder of aligned tracks. None: that of the checkpoint's run, if it is here, else
            `.aligned` in the store.
        challenge: Which of ABAW's annotations count in a folder that holds both: of single tasks,
            or the multi-task ones (mtl). auto: there must be only one kind, or a checkpoint says
            which it was trained with.
    """

    root: Path | None = None
    store: Path | None = None
    cache: Path | None = None
    challenge: CorpusKind = "auto"

    def annotations(self, config: Mapping[str, Any]) -> CorpusKind:
        """`challenge`, or what a checkpoint of this config was trained with."""
        trained: CorpusKind = config.get("data", {}).get("challenge", "auto")
        return trained if self.challenge == "auto" else self.challenge


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
        pred: Folder of predictions to score instead of a checkpoint.
        against: Folder of predictions to compare those of `pred` with, on the clips of both.
        data: Where the data lies.
        split: Part to score: train, validation.
        edition: Challenge whose metrics count, 2 to 11.
        exact: In edition 2, accuracy of action units by whole frames instead of single units.
        draws: Draws of the bootstrap; 0: no intervals.
        seed: Seed of the draws.
        out: Folder for tables and pictures. None: they are not written.
    """

    checkpoint: Path = Path("runs/mtl/best.ckpt")
    pred: Path | None = None
    against: Path | None = None
    data: LabelledSettings = field(default_factory=LabelledSettings)
    split: str = "validation"
    edition: int = LATEST
    exact: bool = False
    draws: int = 2000
    seed: int = 1
    out: Path | None = None

    @property
    def rules(self) -> Rules:
        """How scores and intervals are taken."""
        return Rules(self.edition, self.exact, self.draws, self.seed)


def labelled_clips(
    data: LabelledSettings, split: str, config: Mapping[str, Any] | None = None
) -> list[Clip]:
    """Clips to score: of the hidden truth if there is one, else of a split.

    Args:
        data: Where they lie.
        split: Which.
        config: Settings of the checkpoint that is scored, if one is.

    Raises:
        UserError: If there is none with labels.
    """
    challenge = data.annotations(config or {})
    if data.truth:
        clips, where = read_truth(data.truth, challenge), data.truth
    else:
        where = root_or_demo(data.root)
        clips = [clip for clip in read_corpus(where, challenge) if clip.split == split]
    clips = [clip for clip in clips if len(clip.labels)]
    if not clips:
        raise UserError(f"{where}: no labelled '{split}' clips; see --split, --data.truth")
    return clips


def score_clips(
    checkpoint: "Checkpoint", store: TrackStore, clips: Sequence[Clip], keep: Path | None = None
) -> tuple[MetricAccumulator, list[str]]:
    """Scores a checkpoint on labelled clips.

    Args:
        checkpoint: The model.
        store: The tracks.
        clips: Clips with labels.
        keep: Folder for the predictions; None: they are not written.

    Returns:
        The scores and the ids of clips without tracks.
    """
    evaluation = score_checkpoint(checkpoint, store, clips, keep)
    return evaluation.metrics, evaluation.missing


def score_checkpoint(
    checkpoint: "Checkpoint",
    store: TrackStore,
    clips: Sequence[Clip],
    keep: Path | None = None,
    cache: Path | None = None,
) -> Evaluation:
    """What `score_clips` does, with the statistics of each clip."""
    from fusion.predictor import predict_clips  # torch: seconds that stored predictions do without

    evaluation = Evaluation.of(clips)
    for one in predict_clips(checkpoint, store, clips, cache=cache):
        evaluation.add(one)
        if keep:
            write_predictions(one, keep)
    return evaluation


def evaluate(settings: EvaluateSettings) -> tuple[MetricAccumulator, list[str]]:
    """Scores of the clips that the settings ask for, and the ids of those without prediction."""
    evaluation = evaluate_clips(settings)
    return evaluation.metrics, evaluation.missing


def evaluate_clips(settings: EvaluateSettings) -> Evaluation:
    """Holds what the settings name, a checkpoint or stored predictions, against the labels."""
    if settings.pred:
        return score_store(settings.pred, labelled_clips(settings.data, settings.split))
    from fusion.checkpoint import load_checkpoint
    from fusion.predictor import known_people

    checkpoint = load_checkpoint(settings.checkpoint)
    clips = labelled_clips(settings.data, settings.split, checkpoint.config)
    root = root_or_demo(settings.data.root)
    if settings.data.truth:
        annotations = settings.data.annotations(checkpoint.config)
        clips = known_people(checkpoint, clips, root, annotations)
    store = TrackStore(settings.data.store or default_store(root))
    return score_checkpoint(checkpoint, store, clips, cache=settings.data.cache)


def format_scores(scores: dict[str, float]) -> str:
    """One line of scores with three digits; a task without labels shows a dash."""
    return "  ".join(
        f"{name} {'-' if value != value else f'{value:.3f}'}" for name, value in scores.items()
    )


def command(settings: EvaluateSettings) -> int:
    """Prints scores with intervals, or a comparison, and what is not as expected."""
    if settings.edition not in EDITIONS:
        raise UsageError(f"edition {settings.edition}: choose {EDITIONS[0]} to {EDITIONS[-1]}")
    if settings.out:
        require_folder(settings.out)
    if settings.against:
        return _compare(settings)
    evaluation = evaluate_clips(settings)
    if evaluation.scored:
        _show(settings, evaluation)
    no_prediction = "prediction; run python -m fusion.predict"
    no_track = "track; run python -m features.extract"
    return _complaints(evaluation, no_prediction if settings.pred else no_track)


def _show(settings: EvaluateSettings, evaluation: Evaluation) -> None:
    """Prints scores and their intervals, and writes the folder that was asked for."""
    metrics, rules = evaluation.metrics, settings.rules
    scores = metrics.scores(rules.edition, rules.exact)
    intervals = rules.intervals(evaluation)
    print(format_scores(scores))
    print(format_scores(metrics.class_scores(rules.edition)))
    if intervals:
        print(format_intervals({name: intervals[name] for name in scores}))
    print(rules.line(len(evaluation.videos())))
    if settings.out:
        title = str(settings.pred or settings.checkpoint)
        print(write_report(settings.out, evaluation, intervals, rules, title))


def _compare(settings: EvaluateSettings) -> int:
    """Compares two folders of predictions by the same draws of videos."""
    if settings.pred is None or settings.against is None:
        raise UsageError("--against compares with stored predictions; name the others by --pred")
    clips = labelled_clips(settings.data, settings.split)
    pair = score_pair(settings.pred, settings.against, clips)
    rules, names = settings.rules, (str(settings.pred), str(settings.against))
    first, second = (list(one.videos().values()) for one in pair)
    if not first:
        raise UserError(f"{names[0]} and {names[1]}: no clip could be read in both")
    comparisons = compare(first, second, rules.draws, rules.seed, rules.edition, rules.exact)
    print(format_comparison(comparisons, names))
    print(rules.line(len(first)))
    if settings.out:
        print(write_comparison(settings.out, comparisons, rules, names, len(first)))
    lacks = "prediction; run python -m fusion.predict"
    return max(
        _complaints(one, lacks, f" in {where}") for one, where in zip(pair, names, strict=True)
    )


def _complaints(evaluation: Evaluation, lacks: str, where: str = "") -> int:
    """Prints what is not as expected, a line each, and returns the exit status."""
    for name in evaluation.missing:
        print(f"not scored{where}: {name} has labels but no {lacks}")
    for name, remark in evaluation.remarks.items():
        print(f"remark{where}: {name}: {remark}")
    for name, fault in evaluation.faults.items():
        print(f"fault{where}: {name}: {fault}")
    return FAILED if evaluation.missing or evaluation.faults else OK


def second_pred_as_against(argv: Sequence[str]) -> list[str]:
    """The arguments with a second `--pred` written as `--against`.

    Raises:
        UsageError: For a third one.
    """
    words, seen = list(argv), 0
    for i, word in enumerate(words):
        if word == "--pred" or word.startswith("--pred="):
            seen += 1
            if seen > 2:
                raise UsageError("--pred is there three times; two sets can be compared at a time")
            if seen == 2:
                words[i] = word.replace("--pred", "--against", 1)
    return words


def main() -> None:
    """The command line."""
    try:
        argv = second_pred_as_against(sys.argv[1:])
    except UsageError as error:
        sys.exit(f"fusion.evaluate: {error}")
    run(
        EvaluateSettings,
        command,
        prog="fusion.evaluate",
        description=(__doc__ or "").split("\n")[0],
        argv=argv,
    )


if __name__ == "__main__":
    main()
