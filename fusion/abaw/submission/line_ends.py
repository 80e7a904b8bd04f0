"""How the lines of a text file end, so that what is written from a template ends alike."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LineEnds:
    """The two things that files of equal lines may differ in.

    Attributes:
        mark: LF or CRLF.
        final: Whether the last line has its mark.
    """

    mark: bytes = b"\n"
    final: bool = True

    @staticmethod
    def of(path: Path) -> "LineEnds":
        """The mark of a file's first line, and how the file ends; blank lines there count as one.

        Raises:
            OSError: If the file cannot be read.
        """
        with path.open("rb") as file:
            mark = b"\r\n" if file.readline().endswith(b"\r\n") else b"\n"
            end = file.seek(0, 2)
            file.seek(max(end - 1, 0))
            return LineEnds(mark, file.read() == b"\n")

    @property
    def name(self) -> str:
        """For messages."""
        return "LF" if self.mark == b"\n" else "CRLF"

    def apply(self, text: bytes) -> bytes:
        """The same text, whose lines all end in LF, with these ends."""
        text = text if self.final else text.removesuffix(b"\n")
        return text.replace(b"\n", self.mark)
