"""What a format is given, and which there are.

Data flow: folder of predictions, rules, reviews > ExportVideo > one writer a format > files.

A format is a class in a file of its own; nothing else but `formats` lists it.
"""

import re
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from features.store.atomic_file import write_atomically
from fusion.events.event_list import Event, PersonEvents
from fusion.tables.extras import needed
from fusion.tables.frame_table import FrameTable

CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")
"""Characters that XML and its kin cannot hold."""


@dataclass(frozen=True)
class ExportPerson:
    """One person in a video.

    Attributes:
        frames: All that was predicted, reviewed, with own measures.
        found: Events; its table lacks what is not to be trusted.
    """

    frames: FrameTable
    found: PersonEvents

    @property
    def name(self) -> str:
        """What people read."""
        return self.frames.person

    @property
    def trusted(self) -> FrameTable:
        """Without what is not to be trusted."""
        return self.found.table


@dataclass(frozen=True)
class ExportVideo:
    """One video with its people.

    Attributes:
        video: Its id.
        people: At least one.
        media: Its file, to be linked; None: it was not looked for.
    """

    video: str
    people: tuple[ExportPerson, ...]
    media: Path | None = None

    @property
    def end(self) -> float:
        """Seconds at which the last frame or event ends."""
        ends = [float(one.frames.ends[-1]) for one in self.people if len(one.frames)]
        return max([0.0, *ends, *(event.offset for event in self.events)])

    @property
    def events(self) -> list[Event]:
        """Of all people, by their onset."""
        found = [event for one in self.people for event in one.found.events]
        return sorted(found, key=lambda event: (event.onset, event.person, event.name))

    @property
    def stem(self) -> str:
        """The id as the name of a file."""
        return re.sub(r"[/\\\0]|^\.", "_", self.video)


class Format(ABC):
    """A kind of file.

    Attributes:
        name: As in `--format`.
        purpose: Who reads it.
        package: Of the extra `exports`, that it needs; empty: none.
    """

    name: ClassVar[str]
    purpose: ClassVar[str]
    package: ClassVar[str] = ""

    def library(self) -> Any:
        """The package that it needs.

        Raises:
            UserError: If it is not installed.
        """
        return needed(self.package, f"format {self.name}", "exports") if self.package else None

    @abstractmethod
    def write(self, video: ExportVideo, folder: Path) -> list[Path]:
        """Writes what belongs to a video, and returns the files.

        Raises:
            UserError: If it cannot be said in this format.
        """


def plain(text: str) -> str:
    """A text without the characters that files of others cannot hold, on one line."""
    return " ".join(CONTROL.sub("", text).split())


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A path for libraries that open files themselves; what they write is put in place whole."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / f"file{path.suffix}"
        yield made
        write_atomically(path, made.read_bytes())
