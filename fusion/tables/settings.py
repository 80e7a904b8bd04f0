"""What every command over a folder of predictions is told."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from features.errors import UserError


@dataclass
class TablesSettings:
    """Settings that such commands share.

    Args:
        pred: Folder of predictions as fusion.predict writes them, or one file of it.
        rules: File of rules and own measures, or a shipped one by name. None: the shipped
            `events`, of which rules are passed over whose columns are not there.
        review: File or folder of reviews, as the review page saves them.
        min_validity: What is said of a face that is less valid counts as unknown; 0: nothing does.
        out: Folder for what is written. None: one of its own in the folder of predictions.
    """

    POSITIONAL: ClassVar[str] = "pred"

    pred: Path
    rules: str | None = None
    review: Path | None = None
    min_validity: float = 0.5
    out: Path | None = None

    def __post_init__(self) -> None:
        self.require_shares("min_validity")

    def require_shares(self, *names: str) -> None:
        """Raises UserError for settings of these names that are not from 0 to 1."""
        for name in names:
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} must be from 0 to 1, not {getattr(self, name):g}")

    def folder(self, name: str) -> Path:
        """Where to write: `out`, or a folder of this name beside the predictions."""
        beside = self.pred if self.pred.is_dir() else self.pred.parent
        return self.out or beside / name
