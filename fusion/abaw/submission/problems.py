"""What is wrong with a submission: the first problems by name, the rest by number."""

from dataclasses import dataclass, field

from features.cli.wording import counted


@dataclass(frozen=True)
class Problem:
    """Something wrong with a file.

    Attributes:
        line: Line number from 1; None for what is missing.
        message: What is wrong.
    """

    line: int | None
    message: str

    def __str__(self) -> str:
        return self.message if self.line is None else f"line {self.line}: {self.message}"


@dataclass
class Findings:
    """The first problems of a file, and the number of all."""

    most: int
    named: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, line: int | None, message: str) -> None:
        """Counts a problem, and keeps it if it is one of the first."""
        self.count += 1
        if self.count <= self.most:
            self.named.append(Problem(line, message))

    def all(self) -> list[Problem]:
        """The named ones, and a last one that counts the rest."""
        more = self.count - len(self.named)
        rest = [Problem(None, f"and {counted(more, 'more problem')}")] if more else []
        return self.named + rest
