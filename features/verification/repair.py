"""What living runs work on is left to them; what else must be redone is removed.

Data flow: names that are claimed + Problems > those in work set apart > claim, remove, give back.

A claim is asked for when a check begins and again when it ends: a run that came and went meanwhile
has changed the files' times, and such files stay.
"""

from collections.abc import Callable, Sequence, Set
from pathlib import Path

from features.errors import UserError
from features.store.claims import Claims, file_of
from features.store.cleanup import claims_of
from features.verification.files import Kind, Problem


def claimed_names(store: Path) -> set[str]:
    """Files of the claims in a store that living runs hold (`file_of` the ids of videos, or of the
    lock of the store's own files).

    Nothing is written.
    """
    claims = Claims(store)
    return {name for name in claims.names() if claims.claimed(name)}


def set_apart(problems: Sequence[Problem], claimed: Set[str]) -> list[Problem]:
    """The problems; those of claimed videos are in work, and their temporary files are none."""
    rest = []
    for problem in problems:
        renewed = problem.kind.removable or problem.kind is Kind.MISSING
        if not renewed or claimed.isdisjoint(map(file_of, claims_of(problem.path))):
            rest.append(problem)
        elif problem.kind is not Kind.TEMPORARY:
            cause = f"{problem.kind.value[0]}: {problem.cause}"
            rest.append(Problem(Kind.WORK, problem.path, cause))
    return rest


def repair(
    store: Path, problems: Sequence[Problem], began: int, say: Callable[[str], object]
) -> list[Problem]:
    """Removes what must be redone, unless a run works on it; returns the rest.

    Args:
        store: Folder of the tracks.
        problems: What is wrong in it.
        began: When the check began, ns; what was written later stays.
        say: Is told what becomes of each file.

    Raises:
        UserError: If a file cannot be read: it may be the one that the others depend on.
    """
    if unreadable := [p for p in problems if p.kind is Kind.UNREADABLE]:
        raise UserError(f"{unreadable[0]}; nothing was removed, since others may depend on it")
    if not any(problem.kind.removable for problem in problems):
        return list(problems)
    with Claims(store) as claims:
        return [
            problem
            for problem in problems
            if not (problem.kind.removable and _removed(problem.path, began, claims, say))
        ]


def _removed(path: Path, began: int, claims: Claims, say: Callable[[str], object]) -> bool:
    """Removes a file while no other run can work on it; False if one does, or did meanwhile."""
    with claims.free(claims_of(path)) as free:
        if not free:
            say(f"left, since a run works on it: {path}")
            return False
        try:
            if path.stat().st_mtime_ns > began:
                say(f"left, since it was written meanwhile: {path}")
                return False
            path.unlink()
        except FileNotFoundError:
            return True  # gone by itself
        say(f"removed: {path}")
    return True
