"""What there is to extract below a folder: video files, sound files, ready-made crops.

Data flow: folder > Sources by id > sha256 of each (remembered by size and time of change).
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from features.cli import UserError
from features.crops import find_crops
from features.demo_data import default_store
from features.faces.persons import may_be_named, split_person
from features.hashing import sha256_of
from features.track import MAIN, SOUND, write_atomically

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"})
SOUND_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus", ".aac"})


@dataclass(frozen=True)
class Source:
    """One video id and its files.

    Attributes:
        id: Stem of the video file, or of the crop folder without `_left`, `_right`, `_person3`.
        media: Video or sound file, if there is one.
        crops: Person (`main`, `left`, `person3`) to folders of ready-made crops; empty without.
    """

    id: str
    media: Path | None
    crops: dict[str, tuple[Path, ...]]

    @property
    def video(self) -> Path | None:
        """The media file if it is a video."""
        is_video = self.media is not None and self.media.suffix.lower() not in SOUND_SUFFIXES
        return self.media if is_video else None

    @property
    def has_pictures(self) -> bool:
        """Whether there is anything to see."""
        return bool(self.crops) or self.video is not None


def find_sources(root: Path) -> list[Source]:
    """Everything to extract below `root` (or the one file that `root` is), ordered by id.

    Raises:
        UserError: If the path is absent, holds nothing, or two files would share an id.
    """
    if not root.exists():
        raise UserError(f"{root}: no such file or folder; check the path")
    media: dict[str, Path] = {}
    for path in _media_files(root):
        other = media.setdefault(path.stem, path)
        if other != path:
            raise UserError(f"{path} and {other} have the same id '{path.stem}'; rename one")
    crops: dict[str, dict[str, tuple[Path, ...]]] = {}
    for name, folders in (find_crops(root) if root.is_dir() else {}).items():
        video, person = split_person(name, media)
        crops.setdefault(video, {})[person] = tuple(folders)
    ids = sorted(media.keys() | crops.keys())
    if not ids:
        raise UserError(
            f"{root}: no video, sound or folder of crops in it (tracks, and names that begin with a"
            " dot, are left out); give another folder"
        )
    return [Source(name, media.get(name), crops.get(name, {})) for name in ids]


def require_distinct(sources: Sequence[Source], persons: int) -> None:
    """Checks that no source could have a track of another's name.

    Args:
        sources: All of them.
        persons: Most people that are told apart in a video.

    Raises:
        UserError: If two people in `call` would be `call_left` and `call_right`, and there is a
            source of that name too; names all such.
    """
    by_id = {source.id: source for source in sources}
    clashes = []
    for source in sources:
        video, person = split_person(source.id)
        other = by_id.get(video) if person != MAIN else None
        if other and (
            person in other.crops
            if other.crops
            else other.has_pictures and may_be_named(person, persons)
        ):
            clashes.append(f"'{source.id}' and the person '{person}' in '{video}'")
    if clashes:
        raise UserError(
            f"{'; '.join(clashes)} would have tracks of one name; rename these files, or take"
            " --persons main where only one person counts"
        )


def _media_files(root: Path) -> list[Path]:
    """Video and sound files at `root` or below; hidden ones and `root`'s tracks are left out.

    What is named like one and cannot be read (a broken link, a pipe) is among them, to be reported.
    """
    known = VIDEO_SUFFIXES | SOUND_SUFFIXES
    if root.is_file():
        return [root]
    tracks = default_store(root)
    return sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in known
        and not path.is_dir()
        and tracks not in path.parents
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


class SourceHashes:
    """sha256 of source files, remembered in a file so that a second run need not read them.

    Args:
        memory: JSON file; a hash counts while the file's size and time of change stay the same.
    """

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._folders: dict[Path, str] = {}  # listed once a run, whatever the number of streams
        self._known = self._read()

    def of(self, path: Path) -> str:
        """sha256 of a file; of a folder, over the names and sizes of the files in it.

        Raises:
            UserError: For what is neither.
        """
        if path.is_dir():
            if path not in self._folders:
                listing = sorted((p.name, p.stat().st_size) for p in path.iterdir() if p.is_file())
                self._folders[path] = hashlib.sha256(json.dumps(listing).encode()).hexdigest()
            return self._folders[path]
        stat = path.stat()
        if not S_ISREG(stat.st_mode):  # reading a pipe or a device may never end
            raise UserError(f"{path}: not a file but a pipe or a device; leave it out")
        name, state = str(path.resolve()), [stat.st_size, stat.st_mtime_ns]
        if self._known.get(name, [])[1:] != state:
            self._known[name] = [sha256_of(path), *state]
        return str(self._known[name][0])

    def of_all(self, paths: Iterable[Path]) -> str:
        """One hash for several files or folders."""
        return hashlib.sha256(" ".join(self.of(p) for p in paths).encode()).hexdigest()

    def of_source(self, source: Source, person: str) -> str | None:
        """Hash of what a person's tracks are made from: the crops if there are any, else the file.

        None if there is neither.
        """
        if person != SOUND and source.crops:
            folders = [folder for name in sorted(source.crops) for folder in source.crops[name]]
            return self.of_all(folders + ([source.media] if source.media else []))
        return self.of(source.media) if source.media else None

    def save(self) -> None:
        """Writes what is known, beside what other runs have written since."""
        self._known = self._read() | self._known
        write_atomically(self._memory, json.dumps(self._known, indent=0).encode())

    def _read(self) -> dict[str, list[str | int]]:
        """What the file says; nothing if it is damaged, for it is only a cache."""
        try:
            known: dict[str, list[str | int]] = json.loads(self._memory.read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return known
