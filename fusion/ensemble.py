"""`python -m fusion.ensemble`: several checkpoints or folders of predictions as one folder.

Data flow: checkpoints + tracks, folders of predictions > the members' predictions of each clip
> weights (equal, by validation score, or the best subset of each task) > one prediction a clip.

    python -m fusion.ensemble runs/mtl/fold*/best.ckpt --split test --out predictions/ensemble
    python -m fusion.ensemble test/a test/b --labelled runs/a/out_of_fold,\
runs/b/out_of_fold --select forward --out predictions/ensemble

Weights are chosen on the corpus's validation split, or, with --labelled, on all labelled clips of
those folders, and judged twice: on the same clips, and cross-fitted over people, which is the
figure to believe.
"""

import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from features.cli.app import OK, run
from features.cli.default_corpus import default_store, root_or_demo
from features.cli.progress import ProgressReport
from features.cli.wording import counted
from features.errors import UserError
from features.store.atomic_file import write_atomically
from features.store.track_store import TrackStore
from fusion.corpora import read_corpus
from fusion.data.prediction_files import list_predictions, write_predictions
from fusion.data.seen import in_order
from fusion.ensembling.averaging import Weights, blend, joint_provenance, weighed
from fusion.ensembling.checks import learnt_tasks, require_own, require_unseen
from fusion.ensembling.choosing import choose
from fusion.ensembling.members import (
    Member,
    checkpoint_member,
    folder_member,
    folder_statistics,
    read_clip,
    require_clips,
    shared_tasks,
)
from fusion.ensembling.weights import TaskFrames, collect
from fusion.evaluation.scored_clips import CorpusSettings
from fusion.streams.clip_tracks import clip_ids, clips_of
from fusion.tasks.clips import Clip
from fusion.tasks.registry import Tasks, title_of

MEMBERS = "members"
"""Folder in OUT for what checkpoints predict."""
REPORT = "ensemble.json"


if TYPE_CHECKING:
    pass


@dataclass
class EnsembleSettings:
    """Settings of an ensemble.

    Args:
        members: Checkpoints, or folders of predictions, or both.
        out: Folder for the predictions, and for ensemble.json: weights and scores.
        split: Part of the corpus to predict: train, validation, test. None: all clips that the
            folders hold, or, with checkpoints alone, all tracks of the store.
        weights: equal, or score: each member of a task as its score on labelled clips.
        select: all, or forward: for each task its best subset, by forward selection.
        labelled: Folders of predictions on whose labelled clips weights are chosen, one for each
            member, such as out-of-fold predictions. Empty: the members' own on validation clips.
        data: Where labels and tracks lie.
        device: Where models compute: auto (a GPU if there is one), cpu, cuda:1, ...
    """

    POSITIONAL: ClassVar[str] = "members"
    ESSENTIAL: ClassVar[tuple[str, ...]] = (
        "out",
        "split",
        "weights",
        "select",
        "labelled",
        "data.root",
        "data.store",
        "device",
    )

    members: list[Path] = field(default_factory=list)
    out: Path = Path("predictions/ensemble")
    split: Literal["train", "validation", "test"] | None = None
    weights: Literal["equal", "score"] = "equal"
    select: Literal["all", "forward"] = "all"
    labelled: list[Path] = field(default_factory=list)
    data: CorpusSettings = field(default_factory=CorpusSettings)
    device: str = "auto"

    @property
    def choice(self) -> str:
        """How weights are chosen, a key of `CHOOSERS`."""
        return "forward" if self.select == "forward" else self.weights

    def check(self) -> None:
        """Raises UserError for settings that make no sense together."""
        rules = {
            "an ensemble needs at least two --members": len(self.members) > 1,
            "--weights score and --select forward both choose weights; give one of them": (
                self.weights == "equal" or self.select == "all"
            ),
            f"--labelled must name one folder for each of the {len(self.members)} members": (
                len(self.labelled) in (0, len(self.members))
            ),
            f"{self.out} is a member's folder; choose another --out": (
                self.out.resolve() not in [path.resolve() for path in self.members]
            ),
        }
        for complaint, fine in rules.items():
            if not fine:
                raise UserError(complaint)


def ensemble(settings: EnsembleSettings) -> Path:
    """Writes one folder of predictions from those of all members, of the tasks that all have.

    Returns:
        The folder.

    Raises:
        UserError: If members lack clips, differ in frames or labels, or settings make no sense.
    """
    settings.check()
    corpus = _corpus(settings)
    ids = wanted_ids(settings, corpus)
    if settings.out.is_dir() and (others := sorted(set(list_predictions(settings.out)) - set(ids))):
        raise UserError(f"{settings.out} holds other clips, such as '{others[0]}'; choose another")
    members = open_members(settings, ids)
    tasks = shared_tasks(members)
    if absent := in_order({name for one in members for name in one.tasks} - set(tasks)):
        print(f"not in all members, so left out: {', '.join(map(title_of, absent))}")
    known, report = learnt_tasks(members, ids, weighed(tasks)), {}
    weights = {task: able / able.sum() for task, able in known.items()}
    if settings.choice != "equal":
        frames = labelled_frames(settings, corpus, members, ids)
        names = [str(path) for path in settings.members]
        chosen, table = choose(frames, settings.choice, names, known)
        weights |= chosen
        print(table.to_string(float_format="{:.3f}".format, na_rep="-"))
        report = table.astype(object).where(table.notna(), None).T.to_dict()
    _write(members, ids, tasks, weights, settings.out)
    shares = {
        tasks[task].title: dict(zip([m.name for m in members], own.tolist(), strict=True))
        for task, own in weights.items()
    }
    content = {"choice": settings.choice, "weights": shares, "scores": report}
    write_atomically(settings.out / REPORT, json.dumps(content, indent=1).encode())
    return settings.out


def _corpus(settings: EnsembleSettings) -> list[Clip]:
    """Clips of the corpus where labels or a split are asked for, else none."""
    if settings.choice == "equal" and settings.split is None:
        return []
    return read_corpus(root_or_demo(settings.data.root), settings.data.challenge)


def _store(settings: EnsembleSettings) -> TrackStore:
    root = settings.data.root
    return TrackStore(settings.data.store or default_store(root_or_demo(root)))


def wanted_ids(settings: EnsembleSettings, corpus: list[Clip]) -> list[str]:
    """Ids to predict, sorted.

    Raises:
        UserError: If there are none.
    """
    if settings.split:
        ids = {clip.id for clip in corpus if clip.split == settings.split}
    elif folders := [path for path in settings.members if path.is_dir()]:
        ids = set().union(*map(list_predictions, folders))
    else:
        ids = set(clip_ids(_store(settings)))
    if not ids:
        raise UserError("no clips to predict; see --split, --data.root and --data.store")
    return sorted(ids)


def open_members(
    settings: EnsembleSettings, ids: list[str], *, cross_fitted: bool = False
) -> list[Member]:
    """The members, with predictions of the given ids; checkpoints predict first.

    Args:
        settings: Of the ensemble.
        ids: Clips.
        cross_fitted: Whether checkpoints decide clips that they were tuned on by what was chosen on
            others.

    Raises:
        UserError: If one cannot be read or lacks a clip.
    """
    clips = clips_of(_store(settings), ids)
    keep = settings.out / MEMBERS
    members = [
        folder_member(path)
        if path.is_dir()
        else checkpoint_member(
            path,
            _store(settings),
            clips,
            keep,
            settings.data,
            cross_fitted=cross_fitted,
            device=settings.device,
        )
        for path in settings.members
    ]
    require_clips(members, ids)
    return members


def labelled_frames(
    settings: EnsembleSettings, corpus: list[Clip], members: list[Member], ids: list[str]
) -> dict[str, TaskFrames]:
    """Frames on which weights are chosen, by task.

    Args:
        settings: Of the ensemble.
        corpus: With labels.
        members: Of the ensemble.
        ids: Clips that they have predicted.

    Raises:
        UserError: If a member has not predicted them, or has been trained on them, or its folder of
            scores is of another recipe.
    """
    clips = [clip for clip in corpus if clip.split == "validation" and len(clip.labels)]
    if settings.labelled:
        judges = [folder_member(path) for path in settings.labelled]
        print(require_own(members, judges, ids), end="")
        held = set().union(*(judge.files for judge in judges))
        clips = [c for c in corpus if c.split != "test" and len(c.labels) and c.id in held]
    if not clips:
        raise UserError("no labelled clips to choose weights on; see --labelled and --data.root")
    labelled = sorted({clip.id for clip in clips})
    if settings.labelled:
        require_clips(judges, labelled)
    else:
        judges = open_members(settings, labelled, cross_fitted=True)
    print("".join(f"{line}\n" for line in require_unseen(judges, clips)), end="")
    tasks = weighed(shared_tasks([*members, *judges]))
    return collect(clips, tasks, partial(read_clip, judges, tasks))


def _write(
    members: list[Member], ids: list[str], tasks: Tasks, weights: Weights, out: Path
) -> None:
    """Blends clip by clip, after a first pass for the statistics of the whole folder."""
    statistics = folder_statistics(members, tasks, ids)
    said = "; ".join(
        f"{member.name} "
        + " ".join(f"{tasks[task].title} {own[index]:.3f}" for task, own in weights.items())
        for index, member in enumerate(members)
    )
    with ProgressReport("blend", len(ids)) as progress:
        for name in ids:
            clip = read_clip(members, tasks, name)
            origin = joint_provenance(clip, said)
            write_predictions(blend(clip, tasks, weights, statistics, origin), out)
            progress.step(name)


def command(settings: EnsembleSettings) -> int:
    """Writes the ensemble's predictions."""
    folder = ensemble(settings)
    clips = counted(len(list_predictions(folder)), "clip")
    print(f"{folder}: predictions of {clips}; weights in {REPORT}")
    return OK


main = partial(run, EnsembleSettings, command, prog="fusion.ensemble", description=__doc__ or "")

if __name__ == "__main__":
    main()
