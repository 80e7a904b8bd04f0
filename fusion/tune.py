"""`python -m fusion.tune`: chooses thresholds, class bias and smoothing on the validation clips.

Data flow: checkpoint + tracks + labels of its validation clips > raw scores > Tuned > the
checkpoint, written anew with the decision.

    python -m fusion.tune runs/mtl/best.ckpt --data.root ROOT

The cross-fitted figure may be quoted, the in-sample one not. Whether a task is tuned or stays
neutral is one choice of two, made on the cross-fitted figure itself. Tuning again gives the same,
since raw scores know nothing of an earlier decision.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from features.cli.app import FAILED, OK, run
from features.cli.default_corpus import default_store, root_or_demo
from features.cli.wording import counted
from features.errors import UserError
from features.store.track_store import TrackStore
from fusion.abaw.reading.annotations import CorpusKind
from fusion.data.seen import BY_FOLD, ON, clips_by_task, tasks_seen, trained_clips
from fusion.evaluation.scored_clips import CorpusSettings
from fusion.tasks.clips import Clip
from fusion.tasks.registry import title_of

if TYPE_CHECKING:  # these load torch and scipy
    from fusion.inference.checkpoint import Checkpoint
    from fusion.postprocess.decision import Decision, RawScores
    from fusion.postprocess.tuning import Tuned


@dataclass
class TuneSettings:
    """Settings of the choice.

    Args:
        checkpoint: File written by fusion.train.
        data: Where the data lies.
        folds: Folds of validation people; fewer where there are fewer people.
        out: File to write. None: the checkpoint itself.
        device: Where the model computes: auto (a GPU if there is one), cpu, cuda:1, ...
    """

    POSITIONAL: ClassVar[str] = "checkpoint"
    ESSENTIAL: ClassVar[tuple[str, ...]] = (
        "data.root",
        "data.store",
        "folds",
        "out",
        "device",
    )

    checkpoint: Path = Path("runs/mtl/best.ckpt")
    data: CorpusSettings = field(default_factory=CorpusSettings)
    folds: int = 5
    out: Path | None = None
    device: str = "auto"


def validation_clips(
    checkpoint: "Checkpoint", root: Path, challenge: CorpusKind, store: TrackStore
) -> list[Clip]:
    """Clips that the checkpoint's run validated on, with labels of the tasks it has learnt.

    Args:
        checkpoint: Whose run.
        root: Folder of the corpus.
        challenge: Which annotations count in a folder that holds both kinds.
        store: Their tracks, which tell their files.

    Raises:
        UserError: If there is no such clip, or the model was trained on such labels of one.
    """
    from fusion.data.loading.multi_corpus import file_of
    from fusion.training.validation import held_out_clips

    held_out = held_out_clips(checkpoint, root, challenge)
    learnt = [replace(clip, labels=clip.labels.of_tasks(checkpoint.learnt)) for clip in held_out]
    clips = [clip for clip in learnt if clip.labels.tasks()]
    if not clips:
        names = ", ".join(task.upper() for task in checkpoint.learnt)
        raise UserError(
            f"{checkpoint.path}: no validation clip in {root} has a label of what it has learnt"
            f" ({names}); give the data.root it was trained with"
        )
    seen = trained_clips(checkpoint.provenance)
    files = {clip.id: file_of(store, clip, checkpoint.specs) for clip in clips}
    if both := sorted(clip.id for clip in clips if tasks_seen(seen, clip, files[clip.id])):
        raise UserError(
            f"{checkpoint.path}: trained on {both[0]}, which is a validation clip in {root};"
            " give the data.root it was trained with, or train anew"
        )
    return clips


def require_people(raws: "Iterable[RawScores]", checkpoint: Path) -> "list[RawScores]":
    """The scores of all clips.

    Raises:
        UserError: If they are of fewer than two people, or all share a video.
    """
    from fusion.data.folds import linked

    scored = list(raws)
    clips = [raw.clip for raw in scored]
    if len(set(linked([clip.group for clip in clips], [clip.video for clip in clips]))) < 2:
        raise UserError(
            f"{checkpoint}: its validation holds fewer than two people (clips with tracks:"
            f" {len(clips)}); extract the others, or train with people held out by data.fold"
        )
    return scored


def tune(settings: TuneSettings) -> "tuple[Tuned, list[str]]":
    """Chooses the decision and writes it into the checkpoint.

    Returns:
        What was chosen, and the ids of validation clips without tracks.
    """
    if settings.folds < 2:
        raise UserError(f"--folds must be at least 2: {settings.folds}")
    from fusion.data.loading.multi_corpus import file_of
    from fusion.inference.checkpoint import load_checkpoint, write_decision
    from fusion.inference.predictor import raw_scores
    from fusion.postprocess.tuning import tune_clips

    checkpoint = load_checkpoint(settings.checkpoint, settings.device)
    root = root_or_demo(settings.data.root)
    store = TrackStore(settings.data.store or default_store(root))
    challenge = settings.data.annotations(checkpoint.config)
    clips = validation_clips(checkpoint, root, challenge, store)
    scores = raw_scores(checkpoint, store, clips, cache=settings.data.cache)
    raws = require_people(scores, settings.checkpoint)
    tuned = tune_clips(raws, checkpoint.tasks, settings.folds)
    files = [file_of(store, raw.clip, checkpoint.specs) for raw in raws]
    write_decision(
        settings.checkpoint,
        settings.out or settings.checkpoint,
        tuned.decision,
        {"decided": provenance(tuned, raws, files)},
    )
    return tuned, sorted({clip.id for clip in clips} - {raw.clip.id for raw in raws})


def provenance(tuned: "Tuned", raws: "list[RawScores]", files: list[str]) -> dict[str, Any]:
    """What the checkpoint is to say of its decision: plain values.

    Args:
        tuned: The decision.
        raws: Clips that it was chosen on.
        files: sha256 of the file of each, "" if unknown.
    """
    clips = [raw.clip for raw in raws]
    return {
        "how": f"decided on {counted(len(raws), 'validation clip')}",
        "clips": [clip.id for clip in clips],
        "tuned": list(tuned.tuned),
        "folds": tuned.folds,
        ON: clips_by_task(zip(clips, files, strict=True), tuned.tuned),
        BY_FOLD: [
            {
                "clips": {clips[i].id: files[i] for i in held_out.tolist()},
                "decision": decision.state(),
            }
            for held_out, decision in tuned.by_fold
        ],
        "scores": {name: dict(scores) for name, scores in _columns(tuned).items()},
    }


def table(tuned: "Tuned") -> list[str]:
    """The figures before and after, and which of them may be quoted."""
    columns = _columns(tuned)
    lines = [_row("", [*columns, "gap"])]
    for name in tuned.neutral:
        gap = tuned.in_sample[name] - tuned.cross_fitted[name]
        numbers = [f"{scores[name]:.4f}" for scores in columns.values()] + [f"{gap:+.4f}"]
        lines.append(_row(name, ["-" if n.endswith("nan") else n for n in numbers]))
    return [
        *lines,
        *tuned.counted,
        f"may be quoted: 'quote', cross-fitted over {tuned.folds} folds of people where tuning"
        f" helps ({', '.join(map(title_of, tuned.tuned)) or 'nowhere'}), neutral elsewhere",
        "may not: 'in-sample', chosen and scored on the same people; the gap is in-sample less"
        " cross-fitted",
        "every column has in it that training chose the epoch on these clips",
    ]


def choices(decision: "Decision", tuned: Iterable[str]) -> list[str]:
    """What was chosen, a line a task."""
    kept = "neutral, as tuning does not help people who were held out"
    return [
        f"{task.title}: {task.choice(decision.by_task[name]) if name in tuned else kept}"
        for name, task in decision.tasks.items()
        if not task.made_of
    ]


def _columns(tuned: "Tuned") -> Mapping[str, dict[str, float]]:
    return {
        "neutral": tuned.neutral,
        "quote": tuned.quoted,
        "cross-fitted": tuned.cross_fitted,
        "in-sample": tuned.in_sample,
    }


def _row(name: str, cells: list[str]) -> str:
    return f"{name:5}" + "".join(f"{cell:>14}" for cell in cells)


def command(settings: TuneSettings) -> int:
    """Prints the figures, the choices and where they are kept."""
    tuned, missing = tune(settings)
    print("\n".join([*table(tuned), *choices(tuned.decision, tuned.tuned)]))
    print(f"{settings.out or settings.checkpoint}: written with this decision")
    for name in missing:
        print(f"not used: {name} has labels but no track; run python -m features.extract")
    return FAILED if missing else OK


main = partial(run, TuneSettings, command, prog="fusion.tune", description=__doc__ or "")

if __name__ == "__main__":
    main()
