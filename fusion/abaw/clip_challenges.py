"""Challenges whose answer is for a whole clip: names, ranges and first lines of their files.

What is sure of these formats, and what is not, with the sources: challenges.md beside this file.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from features.errors import UserError
from fusion.tasks.scoring.interface import LATEST

REACTIONS = ("Adoration", "Amusement", "Anxiety", "Disgust", "Empathic-Pain", "Fear", "Surprise")
MIMICRY = ("Admiration", "Amusement", "Determination", "Empathic Pain", "Excitement", "Joy")
AMBIVALENCE = ("absent", "present")
"""Classes of ambivalence and hesitancy by their number."""


@dataclass(frozen=True)
class ClipChallenge:
    """One challenge on whole clips.

    Attributes:
        name: Name in settings, e.g. `ERI`.
        title: In words.
        editions: Editions of ABAW that have it in this form.
        columns: Names of the K values, each 0 to 1; of a choice, the names of its classes.
        choice: Whether the answer is one class, written as its number.
        metric: Official one.
        id_column: Header of the ids, in annotations and submissions; empty: no header.
    """

    name: str
    title: str
    editions: tuple[int, ...]
    columns: tuple[str, ...]
    choice: bool
    metric: str
    id_column: str = ""

    @property
    def header(self) -> str:
        """First line of a submission; empty if it has none."""
        return ",".join((self.id_column, *self.columns)) if self.id_column else ""

    @property
    def task(self) -> str:
        """Task whose values or classes, by these names, are the answer."""
        return "emotions" if self.choice else "intensities"

    def require_edition(self, edition: int) -> None:
        """Raises UserError if it is not of this form in an edition; the latest is the default."""
        if edition not in (*self.editions, LATEST):
            *others, last = map(str, self.editions)
            known = f"editions {', '.join(others)} and {last}" if others else f"edition {last}"
            raise UserError(
                f"{self.name} has a row for each clip in {known}, not in {edition}; files of that"
                " edition are neither written nor checked"
            )

    def id_of(self, spelling: str) -> str:
        """Id of a clip, the stem of its video, from what a file calls it.

        `[00042]` in the reactions' table, `42` or `00042` in that of mimicry, a path in BAH's.
        """
        if self.choice:
            return PurePosixPath(spelling.strip()).stem
        name = spelling.strip().strip("[]")
        return name.zfill(5) if re.fullmatch(r"\d{1,4}", name) else name


CLIP_CHALLENGES = {
    challenge.name: challenge
    for challenge in (
        ClipChallenge(
            "ERI",
            "emotional reaction intensity",
            (5,),
            REACTIONS,
            choice=False,
            metric="mean Pearson correlation",
            id_column="File_ID",
        ),
        ClipChallenge(
            "EMI",
            "emotional mimicry intensity",
            (6, 8, 10),
            MIMICRY,
            choice=False,
            metric="mean Pearson correlation",
            id_column="Filename",
        ),
        ClipChallenge(
            "AH",
            "ambivalence and hesitancy in a video",
            (10, 11),
            AMBIVALENCE,
            choice=True,
            metric="macro-F1",
        ),
    )
}


def clip_challenge_of(name: str) -> ClipChallenge:
    """The challenge of a name; raises UserError for another."""
    if name not in CLIP_CHALLENGES:
        known = ", ".join(CLIP_CHALLENGES)
        raise UserError(f"unknown challenge on clips '{name}'; the known ones are {known}")
    return CLIP_CHALLENGES[name]
