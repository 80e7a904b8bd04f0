"""What an extraction did. Data flow: counts, causes and times of a run > lines for people."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from features.cli.wording import counted
from features.pipeline.discovery import endings
from features.pipeline.timing import StageTimes


@dataclass
class ExtractSummary:
    """What an extraction did.

    Attributes:
        store: Where the tracks are.
        items: Number of sources.
        ready: Sources that needed nothing.
        extracted: Sources that this run worked on to the end.
        failures: Source id to cause, of this run and of those before that still stand.
        failed_before: How many of the failures are those of runs before.
        left: Ids of sources that another run was working on at the end.
        times: Seconds and frames by stage; of all workers together.
        notices: Source id to what was said of its files, though they did not fail.
        passed: Ending to how many files were passed over, as neither pictures nor sound.
        unreadable: Folders that cannot be read.
    """

    store: Path
    items: int
    ready: int = 0
    extracted: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    failed_before: int = 0
    left: list[str] = field(default_factory=list)
    times: StageTimes = field(default_factory=StageTimes)
    notices: dict[str, tuple[str, ...]] = field(default_factory=dict)
    passed: Counter[str] = field(default_factory=Counter)
    unreadable: list[Path] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether nothing failed, is left to others, or lies where nobody can look."""
        return not (self.failures or self.left or self.unreadable)

    def __str__(self) -> str:
        """The closing lines."""
        items, failed = counted(self.items, "item"), len(self.failures)
        elsewhere = self.items - self.extracted - self.ready - failed - len(self.left)
        details = [f"extracted by another run meanwhile: {elsewhere}"] if elsewhere else []
        details += self.times.lines()
        details += [f"note: {line}" for lines in self.notices.values() for line in lines]
        if self.passed:
            details += [f"passed over, neither video nor sound: {endings(self.passed)}"]
        details += [f"not looked into: {one}: no right to read it" for one in self.unreadable]
        details += [f"failed: {name}: {cause}" for name, cause in self.failures.items()]
        if self.failed_before:
            again = "python -m features.extract --retry_failed true tries them again"
            details += [f"failed before: {self.failed_before}; {again}"]
        if self.left:
            details += [f"left to another run that works on them: {', '.join(self.left)}"]
        counts = f"{self.extracted} extracted, {self.ready} ready before, {failed} failed"
        inner = [f"  {line}" for line in details]
        return "\n".join([f"{items}: {counts}", *inner, f"tracks: {self.store}"])
