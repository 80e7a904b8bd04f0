"""What must be said beside scores: whether they may be quoted, and what they are of.

Evaluation > lines: why scores are in-sample, and what a reader must know of those that are not.
"""

from collections.abc import Iterable

from features.cli.wording import counted
from features.errors import UserError
from fusion.data.seen import CROSS_FITTED, JUDGED, TRAINED, TUNED, in_order
from fusion.metrics.evaluation import Evaluation, Marked
from fusion.tasks.registry import title_of
from fusion.tasks.scoring.interface import LATEST

MARK = "NOT TO BE QUOTED (in-sample): "
"""Before each line of scores on clips that the model has learnt from."""


def in_sample(evaluation: Marked) -> list[str]:
    """Why scores are in-sample, a line a reason; none if they are not."""
    return [
        f"{MARK}the model was {what} {_share(evaluation, kind)}"
        for kind, what in {TRAINED: "trained on", TUNED: "tuned on"}.items()
        if evaluation.marked(kind)
    ]


def remarks(evaluation: Marked, edition: int = LATEST) -> list[str]:
    """What else a reader of the scores must know, a line each."""
    lines = evaluation.metrics.counted(edition) if isinstance(evaluation, Evaluation) else []
    if evaluation.marked(CROSS_FITTED):
        lines.append(
            f"tuned on {_share(evaluation, CROSS_FITTED)}: cross-fitted, each person decided by"
            " what was chosen on the others"
        )
    if evaluation.marked(JUDGED):
        lines.append(f"training chose its epoch on {_share(evaluation, JUDGED)}")
    if isinstance(evaluation, Evaluation) and evaluation.unlearnt:
        names = [title_of(task) for task in in_order(evaluation.unlearnt)]
        lines.append(f"not scored: {', '.join(names)}, which the model has not learnt")
    return lines


def require_unseen(evaluations: Iterable[Marked], names: Iterable[str], remedy: str) -> None:
    """Raises UserError if a model was trained on labels that it is scored on.

    Args:
        evaluations: Of each model.
        names: What each is called.
        remedy: What to do.
    """
    for evaluation, name in zip(evaluations, names, strict=True):
        if seen := evaluation.marked(TRAINED):
            raise UserError(
                f"{name}: trained on {_share(evaluation, TRAINED)} to score, such as '{seen[0]}';"
                f" {remedy}, or --in_sample true for scores that are not to be quoted"
            )


def _share(evaluation: Marked, kind: str) -> str:
    tasks = ", ".join(evaluation.of_kind(kind))
    return f"{len(evaluation.marked(kind))} of {counted(len(evaluation.marks), 'clip')} ({tasks})"
