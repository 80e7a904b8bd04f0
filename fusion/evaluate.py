"""`python -m fusion.evaluate`: official scores of a checkpoint or of stored predictions.

Data flow: checkpoint + tracks, or stored predictions, + labels > scores pooled over all valid
frames, 95 % intervals by video > lines on the screen, and a folder of tables and pictures.

    python -m fusion.evaluate runs/mtl/best.ckpt
    python -m fusion.evaluate runs/mtl/best.ckpt --data.root ROOT --data.truth TRUTH
    python -m fusion.evaluate --pred A --data.root ROOT --out scores    # stored predictions
    python -m fusion.evaluate --pred A --pred B --data.root ROOT        # two of them compared
    python -m fusion.evaluate --pred A --data.root ROOT --challenge CE  # one task alone

A second `--pred` is short for `--against`. The split, or the truth, says which clips are scored.
Scores of clips that the model was trained on are refused, or with `--in_sample true` marked on each
line. What `fusion.tune` has chosen on the clips that are scored is cross-fitted: each person is
decided by what was chosen on the others, so the scores are those that tuning says may be quoted.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, NoReturn

from features.cli.app import FAILED, OK, USAGE, run
from features.cli.default_corpus import default_store, root_or_demo
from features.errors import UsageError, UserError
from features.store.track_store import TrackStore
from fusion.abaw.reading.apart import READERS
from fusion.evaluation.checkpoint_scores import score_checkpoint
from fusion.evaluation.scored_clips import (
    CorpusSettings,
    LabelledSettings,
    labelled_clips,
    require_untrained,
)
from fusion.metrics.evaluation import Evaluation, score_pair, score_store
from fusion.metrics.official import MetricAccumulator
from fusion.metrics.remarks import MARK, in_sample, remarks, require_unseen
from fusion.reporting.score_report import (
    Rules,
    format_comparison,
    format_intervals,
    format_scores,
    require_folder,
    write_comparison,
    write_report,
)
from fusion.tasks.registry import task_called
from fusion.tasks.scoring.interface import EDITIONS, LATEST

__all__ = ["CorpusSettings", "EvaluateSettings", "labelled_clips"]


EVERY = "MTL"


@dataclass
class EvaluateSettings:
    """Settings of an evaluation.

    Args:
        checkpoint: File written by fusion.train.
        pred: Folder of predictions to score instead of a checkpoint.
        against: Folder of predictions to compare those of `pred` with, on the clips of both.
        data: Where the data lies.
        device: Where the model computes: auto (a GPU if there is one), cpu, cuda:1, ...
        split: Part to score: train, validation, test; held_out: what the checkpoint's run held out,
            a fold or the validation split. None: validation, or of a corpus without, held_out.
        challenge: Tasks to score: MTL, all that have labels; or one alone, by its title. Of one
            whose labels lie in folders of their own, such as CE_Challenge/Validation_Set, all
            splits are scored unless --split names one.
        in_sample: Score clips that the model was trained on, too, and mark every line.
        edition: Challenge whose metrics count, 2 to 11.
        exact: In edition 2, accuracy of binary vectors by whole frames instead of by elements.
        draws: Draws of the bootstrap; 0: no intervals.
        seed: Seed of the draws.
        out: Folder for tables and pictures. None: they are not written.
    """

    POSITIONAL: ClassVar[str] = "checkpoint"
    ESSENTIAL: ClassVar[tuple[str, ...]] = (
        "pred",
        "against",
        "data.root",
        "data.store",
        "split",
        "challenge",
        "edition",
        "out",
        "in_sample",
        "device",
    )

    checkpoint: Path = Path("runs/mtl/best.ckpt")
    pred: Path | None = None
    against: Path | None = None
    data: LabelledSettings = field(default_factory=LabelledSettings)
    device: str = "auto"
    split: Literal["train", "validation", "test", "held_out"] | None = None
    challenge: str = EVERY
    in_sample: bool = False
    edition: int = LATEST
    exact: bool = False
    draws: int = 2000
    seed: int = 1
    out: Path | None = None

    @property
    def task(self) -> str:
        """Name of the task that is scored alone; empty: all are. UserError if there is none."""
        return "" if self.challenge.upper() == EVERY else task_called(self.challenge)

    @property
    def rules(self) -> Rules:
        """How scores and intervals are taken."""
        return Rules(self.edition, self.exact, self.draws, self.seed)


def evaluate(settings: EvaluateSettings) -> tuple[MetricAccumulator, list[str]]:
    """Scores of the clips that the settings ask for, and the ids of those without prediction."""
    evaluation = evaluate_clips(settings)
    return evaluation.metrics, evaluation.missing


def evaluate_clips(settings: EvaluateSettings) -> Evaluation:
    """Holds what the settings name, a checkpoint or stored predictions, against the labels.

    Raises:
        UserError: If the model was trained on labels that are scored, unless settings allow that.
    """
    if settings.pred:
        clips = labelled_clips(settings.data, settings.split, task=settings.task)
        evaluation = score_store(settings.pred, clips)
        if not settings.in_sample:
            require_unseen([evaluation], [str(settings.pred)], OTHER_PREDICTIONS)
        return evaluation
    from fusion.inference.checkpoint import load_checkpoint
    from fusion.inference.predictor import known_people

    checkpoint = load_checkpoint(settings.checkpoint, settings.device)
    clips = labelled_clips(settings.data, settings.split, checkpoint, settings.task)
    root = root_or_demo(settings.data.root)
    if settings.data.truth or settings.task in READERS:
        annotations = settings.data.annotations(checkpoint.config)
        clips = known_people(checkpoint, clips, root, annotations)
    store = TrackStore(settings.data.store or default_store(root))
    if not settings.in_sample:
        require_untrained(checkpoint, store, clips)
    return score_checkpoint(checkpoint, store, clips, cache=settings.data.cache)


OTHER_PREDICTIONS = "score out-of-fold predictions, or clips that were held out,"


def command(settings: EvaluateSettings) -> int:
    """Prints scores with intervals, or a comparison, and what is not as expected."""
    if settings.edition not in EDITIONS:
        raise UsageError(f"edition {settings.edition}: choose {EDITIONS[0]} to {EDITIONS[-1]}")
    if settings.draws < 0 or settings.seed < 0:
        raise UserError(f"--draws {settings.draws} and --seed {settings.seed} must be at least 0")
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
    scores = rules.scores(evaluation)
    intervals = rules.intervals(evaluation)
    reasons = in_sample(evaluation)
    mark = MARK if reasons else ""
    print(mark + format_scores(scores))
    print(mark + format_scores(metrics.class_scores(rules.edition)))
    if shown := format_intervals({name: intervals[name] for name in scores if intervals}):
        print(mark + shown)
    print(mark + rules.line(len(evaluation.videos())))
    print("".join(f"{line}\n" for line in (*reasons, *remarks(evaluation, rules.edition))), end="")
    if settings.out:
        title = str(settings.pred or settings.checkpoint)
        print(write_report(settings.out, evaluation, intervals, rules, title))


def _compare(settings: EvaluateSettings) -> int:
    """Compares two folders of predictions by the same draws of videos."""
    if settings.pred is None or settings.against is None:
        raise UsageError("--against compares with stored predictions; name the others by --pred")
    clips = labelled_clips(settings.data, settings.split, task=settings.task)
    pair = score_pair(settings.pred, settings.against, clips)
    rules, names = settings.rules, (str(settings.pred), str(settings.against))
    first, second = (list(one.videos().values()) for one in pair)
    if not first:
        raise UserError(f"{names[0]} and {names[1]}: no clip could be read in both")
    if not settings.in_sample:
        require_unseen(pair, names, OTHER_PREDICTIONS)
    comparisons = rules.comparisons(first, second)
    mark = MARK if any(map(in_sample, pair)) else ""
    of_classes = pair[0].metrics.class_scores(rules.edition) if len(first[0].tasks) > 1 else {}
    shown = [name for name in comparisons if name not in of_classes]
    lines = [*format_comparison(comparisons, names, shown).splitlines(), rules.line(len(first))]
    print("\n".join(mark + line for line in lines))
    for one, where in zip(pair, names, strict=True):
        print("".join(f"{line} in {where}\n" for line in in_sample(one)), end="")
    print("".join(f"{line}\n" for line in remarks(pair[0], rules.edition)), end="")
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


def main(argv: Sequence[str] | None = None, prog: str = "fusion.evaluate") -> NoReturn:
    """The command line, in which a second `--pred` is short for `--against`."""
    try:
        words = second_pred_as_against(sys.argv[1:] if argv is None else argv)
    except UsageError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        sys.exit(USAGE)
    run(EvaluateSettings, command, prog=prog, description=__doc__ or "", argv=words)


if __name__ == "__main__":
    main()
