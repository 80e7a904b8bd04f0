"""What members of an ensemble know, and whether scores that weigh them are theirs.

Data flow: provenance in the members' predictions > tasks that each has learnt, clips that it was
trained on, recipe that it was made by > refusals, and remarks where files do not tell.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from features.cli.wording import counted
from features.errors import UserError
from fusion.data.seen import LEARNT, RECIPE, TRAINED, TUNED, said_of
from fusion.ensembling.members import Member
from fusion.tasks.clips import Clip
from fusion.tasks.registry import Tasks

Known = Mapping[str, np.ndarray]
"""Task to (M,) bool, members that have learnt it."""


def learnt_tasks(
    members: Sequence[Member], ids: Sequence[str], tasks: Tasks
) -> dict[str, np.ndarray]:
    """Which members have learnt which task; all where none has, for then none is better."""
    told = [_learnt(member, ids) for member in members]
    known = {task: np.array([task in one for one in told]) for task in tasks}
    return {task: one if one.any() else np.ones(len(told), bool) for task, one in known.items()}


def require_unseen(members: Iterable[Member], labelled: Iterable[Clip]) -> list[str]:
    """Checks that no member was trained on labels that weights are chosen on.

    Args:
        members: Whose predictions of the labelled clips were made without cross-fitting.
        labelled: Clips on which weights are chosen.

    Returns:
        A line for each member whose thresholds or smoothing were tuned on such clips.

    Raises:
        UserError: If one was, e.g. a fold's checkpoint on clips of the other folds.
    """
    clips, lines = list(labelled), []
    for member in members:
        tuned = 0
        for clip in clips:
            said = member.provenance(clip.id)
            tasks = clip.labels.tasks()
            if set(tasks) & set(said_of(said, TRAINED) or ()):
                raise UserError(
                    f"{member.name}: was trained on '{clip.id}', which weights are chosen on;"
                    " give out-of-fold predictions with --labelled"
                )
            tuned += bool(set(tasks) & set(said_of(said, TUNED) or ()))
        if tuned:
            lines.append(
                f"{member.name}: tuned on {tuned} of {counted(len(clips), 'clip')},"
                " so its score and its weight are too high"
            )
    return lines


def require_own(members: Sequence[Member], labelled: Sequence[Member], ids: Sequence[str]) -> str:
    """Checks that each folder of scores is of the recipe of its member.

    Args:
        members: Of the ensemble.
        labelled: For each the folder on whose clips it is weighed.
        ids: Clips that the members have predicted.

    Returns:
        A line that says for how many it cannot be told; empty if it can for all.

    Raises:
        UserError: If one is of another recipe.
    """
    recipes = [_recipes(one, ids) for one in members]
    of_scores = [_recipes(one, one.files) for one in labelled]
    untold = 0
    for member, folder, own, other in zip(members, labelled, recipes, of_scores, strict=True):
        untold += not (own and other)
        if own and other and own != other:
            right = [m.name for m, recipe in zip(members, recipes, strict=True) if recipe == other]
            hint = f"it belongs to {right[0]}; " if right else ""
            raise UserError(
                f"--labelled {folder.name} is of another recipe than the member {member.name};"
                f" {hint}name the folders in the order of the members"
            )
    if not untold:
        return ""
    return (
        f"it cannot be told of {untold} of {len(members)} members whether the scores are theirs\n"
    )


def _learnt(member: Member, ids: Sequence[str]) -> set[str]:
    told = [said_of(member.provenance(name), LEARNT) for name in ids]
    return {task for one in told for task in (member.tasks if one is None else one)}


def _recipes(member: Member, ids: Iterable[str]) -> set[str]:
    """Recipes that predictions name; several for those of an ensemble."""
    found = set[str]()
    for name in ids:
        items = member.provenance(name).items()
        found |= {value for key, value in items if key.partition(" #")[0] == RECIPE}
    return found
