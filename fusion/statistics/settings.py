"""Settings of `python -m fusion.statistics`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from features.errors import UserError
from fusion.tables.settings import TablesSettings

Null = Literal["pairs", "windows"]


@dataclass
class SynchronySettings:
    """How two people of a video are held against each other.

    Args:
        window: Seconds of a window.
        step: Seconds from window to window.
        lag: Greatest seconds by which one may follow the other.
        rate: Values a second that are looked at.
        null: Pairs of people who never met, or windows of other times, that chance is told by.
    """

    window: float = 10.0
    step: float = 5.0
    lag: float = 2.0
    rate: float = 10.0
    null: Null = "pairs"

    def __post_init__(self) -> None:
        for name in ("window", "step", "rate"):
            if getattr(self, name) <= 0:
                raise UserError(f"synchrony.{name} must be above 0")
        if not 0 <= self.lag <= self.window:
            raise UserError("synchrony.lag must be from 0 to the window")


@dataclass
class SummarizeSettings(TablesSettings):
    """Settings of the statistics.

    Args:
        participants: Table with `participant_id`, maybe `clip`, and columns of groups or
            conditions. None: every person is a participant.
        group: Column of the participants whose values are compared: people differ by it (groups)
            or are in several (conditions), which is seen. None: nothing is compared.
        labels: Your own labels of the clips: file or folder of ELAN, BORIS or CSV.
        columns: Columns whose curves and synchrony are wanted, separated by commas. None: those
            that tasks tell as values, or that follow from others.
        min_share: Share of a clip's time with a value that a column needs, else it is blank.
        min_seconds: Seconds with a value that a column needs.
        bin: Seconds of a point of the curves.
        draws: Random draws of an interval or of chance.
        seed: Of the draws.
        synchrony: How two people are held against each other.
    """

    ESSENTIAL: ClassVar[tuple[str, ...]] = (
        *("participants", "group", "labels", "columns", "rules", "review"),
        *("min_validity", "min_share", "out"),
    )

    participants: Path | None = None
    group: str | None = None
    labels: Path | None = None
    columns: list[str] = field(default_factory=list)
    min_share: float = 0.2
    min_seconds: float = 1.0
    bin: float = 1.0
    draws: int = 2000
    seed: int = 0
    synchrony: SynchronySettings = field(default_factory=SynchronySettings)

    def __post_init__(self) -> None:
        self.require_shares("min_validity", "min_share")
        if self.group and not self.participants:
            raise UserError("--group names a column of --participants; give that too")
        if self.bin <= 0 or self.draws < 1:
            raise UserError("bin must be above 0, and draws at least 1")
