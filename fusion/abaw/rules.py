"""What an edition allows to learn from, and what a submission has learnt from.

Sources (models, streams, with the data and labels they have seen) > `rule_warnings` > lines.

Nothing here forbids anything: a name is not a proof, and the rules are the organisers'.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fusion.abaw.challenges import TASKS, challenge_of

SMALL_ONLY = (4, 7, 11)
"""Editions whose MTL challenge allows of Aff-Wild2 only the pictures of s-Aff-Wild2."""
OTHER_CORPORA = ("demo", "ravdess", "affectnet", "expw", "afew", "fer2013", "rafdb", "cexprdb")
"""Beginnings of folder names, small letters and digits only, that are known not to be Aff-Wild2."""
MADE_OF = {"CE": ("COMPOUND", "EXPR")}
"""Columns of a file to the tasks of which any one is enough for them; the last is the usual one."""

_SMALL = re.compile(r"(?<![a-z0-9])s[-_ ]?aff[-_ ]?wild[-_ ]?2", re.IGNORECASE)
_FULL = re.compile(r"aff[-_ ]?wild|abaw", re.IGNORECASE)
_OPEN = re.compile(r"\bunknown\b|^see the |^$", re.IGNORECASE)
"""Where weights say of their data only that somebody else may know."""


@dataclass(frozen=True)
class Source:
    """Something that went into a submission and may have learnt from data.

    Attributes:
        what: For messages, e.g. `model best.ckpt` or `stream voice (wav2vec2)`.
        data: Names of the data it was trained on, None if unknown.
        tasks: Those whose labels it was trained on, named in capitals; None if unknown.
        corpus: Whether `data` is the name of somebody's folder, which may be any.
        chosen: Those by whose labels its epoch was chosen, or it was tuned.
        learnt: Those that it has learnt to answer; None if unknown, or no model.
    """

    what: str
    data: str | None
    tasks: tuple[str, ...] | None = ()
    corpus: bool = False
    chosen: tuple[str, ...] = ()
    learnt: tuple[str, ...] | None = None


def rule_warnings(challenge: str, edition: int, sources: Iterable[Source]) -> list[str]:
    """What may be against the edition's rule on data and labels, a line each; none if all is well.

    MTL in editions 4, 7 and 11 forbids the full Aff-Wild2 and models trained on it. VA, EXPR and
    AU allow only the labels of their own task. For CE, and MTL in other editions, no rule is known.

    Raises:
        UserError: For an unknown challenge or edition.
    """
    kind = challenge_of(challenge, edition)
    where = f"edition {edition}, {challenge}"
    if kind.name in TASKS:
        return [line for s in sources for line in _other_labels(kind.name, where, s)]
    if kind.name == "MTL" and edition in SMALL_ONLY:
        return [line for s in sources for line in _full_corpus(where, s)]
    return []


def unlearnt(challenge: str, edition: int, sources: Iterable[Source]) -> list[str]:
    """Tasks of a challenge that no source has learnt, so that what is said of them means nothing.

    Compound expressions are learnt by themselves, or made of those of EXPR. Empty if sources do not
    tell.
    """
    told = [source.learnt for source in sources if source.learnt is not None]
    known = {task for one in told for task in one}
    needed = challenge_of(challenge, edition).tasks
    lacking = [task for task in needed if told and not known & set(MADE_OF.get(task, (task,)))]
    return [MADE_OF.get(task, (task,))[-1] for task in lacking]


def knows_aff_wild2(source: Source) -> str | None:
    """`full`, `small` (s-Aff-Wild2) or `` (neither); None if it cannot be told."""
    if source.data is None or _OPEN.search(source.data):
        return None
    if _FULL.search(_SMALL.sub("", source.data)):
        return "full"
    if _SMALL.search(source.data):
        return "small"
    plain = re.sub(r"[^a-z0-9]", "", source.data.lower())
    return None if source.corpus and not plain.startswith(OTHER_CORPORA) else ""


def _full_corpus(where: str, source: Source) -> Iterable[str]:
    known = knows_aff_wild2(source)
    if known == "full":
        yield (
            f"{where}: only s-Aff-Wild2 is allowed of Aff-Wild2, but {source.what} was trained on"
            f" {source.data}"
        )
    if known is None:
        yield (
            f"{where}: it is unknown whether {source.what} was trained on Aff-Wild2"
            f"{_said(source)}; only s-Aff-Wild2 is allowed of it"
        )


def _other_labels(task: str, where: str, source: Source) -> Iterable[str]:
    """A model tells the tasks it has learnt; of other weights only their data is known."""
    if source.tasks is None:
        yield f"{where}: it is unknown which labels {source.what} was trained on"
    elif others := [name for name in source.tasks if name != task]:
        yield (
            f"{where}: only {task} labels are allowed, but {source.what} was trained on"
            f" {' and '.join(others)} labels too"
        )
    if others := [name for name in source.chosen if name not in (task, *(source.tasks or ()))]:
        yield (
            f"{where}: only {task} labels are allowed, but {source.what} was chosen or tuned by"
            f" {' and '.join(others)} labels too"
        )
    if source.tasks == () and knows_aff_wild2(source) != "":
        yield (
            f"{where}: only {task} labels are allowed, and it is unknown which labels"
            f" {source.what} was trained on{_said(source)}"
        )


def _said(source: Source) -> str:
    return f" (it says: {source.data})" if source.data else ""
