"""Who people are: a table of participants, and whose each clip is.

Data flow: participants.tsv + clips > Participant of each clip.

    participant_id  clip        group      condition     # BIDS, with a column of ours
    sub-01          talk_left   patient    before
    sub-01          later       patient    after

Without the column `clip`, a clip is that of the participant whose id is the person's name or the
clip's id, or begins it before `_`, as file names in BIDS do. A person in several clips, or under
several conditions, has several rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from features.errors import UserError
from features.importers.text_tables import read_table_text

ID, CLIP = "participant_id", "clip"
NONE = frozenset({"", "n/a", "NA", "nan", "NaN"})
"""What stands for a value that is not there."""


@dataclass(frozen=True)
class Participant:
    """Somebody under one condition.

    Attributes:
        id: The participant.
        told: Column to value, of the columns that say something.
    """

    id: str
    told: Mapping[str, str]


@dataclass(frozen=True)
class Participants:
    """The table.

    Attributes:
        path: The file.
        columns: All but the id and the clip.
        rows: Id, clip (empty: not said) and what is told.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, Mapping[str, str]], ...]

    def of(self, clip: str, person: str) -> Participant:
        """Whose a clip is.

        Args:
            clip: Id of its predictions.
            person: Name that people read.

        Raises:
            UserError: If it is nobody's, or of several.
        """
        if any(said for _, said, _ in self.rows):
            found = [row for row in self.rows if row[1] == clip]
        else:
            found = [row for row in self.rows if row[0] in (person, clip)]
            found = found or [row for row in self.rows if clip.startswith(f"{row[0]}_")]
        if len(found) == 1:
            return Participant(found[0][0], found[0][2])
        if not found:
            raise UserError(
                f"{self.path}: no participant for clip '{clip}'; add a row with '{clip}' in a"
                f" column '{CLIP}'"
            )
        ids = ", ".join(row[0] for row in found)
        raise UserError(
            f"{self.path}: clip '{clip}' may be of several rows ({ids}); say which in a column"
            f" '{CLIP}'"
        )

    def require(self, column: str) -> None:
        """Raises UserError if there is no such column."""
        if column not in self.columns:
            known = ", ".join(self.columns) or "none"
            raise UserError(f"{self.path}: no column '{column}'; there are {known}")


def read_participants(path: Path) -> Participants:
    """Reads the table, with tabs, commas or semicolons.

    Raises:
        UserError: If there is no such file, it has no ids, or a row stands there twice.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such table of participants")
    table = read_table_text(path)
    if ID not in table.header:
        head = table.separator.join(table.header)
        raise UserError(f"{path}: a column '{ID}' was expected, not '{head}'")
    columns = tuple(name for name in table.header if name not in ("", ID, CLIP))
    rows = []
    for line, row in table.rows():
        if not row[ID]:
            raise UserError(f"{path}, line {line}: no {ID}")
        told = {name: row[name] for name in columns if row[name] not in NONE}
        rows.append((row[ID], row.get(CLIP, ""), told))
    _require_once(path, [clip for _, clip, _ in rows if clip])
    return Participants(path, columns, tuple(rows))


def _require_once(path: Path, clips: Iterable[str]) -> None:
    seen: set[str] = set()
    for clip in clips:
        if clip in seen:
            raise UserError(f"{path}: clip '{clip}' stands there twice; remove one row")
        seen.add(clip)
