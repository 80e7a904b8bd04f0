"""What sources are made of: hashes of their files. Data flow: Source > its files > sha256."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from stat import S_ISREG

from features.errors import UserError
from features.pipeline.discovery import Source
from features.store.atomic_file import write_atomically
from features.store.feature_track import SOUND
from features.store.fingerprint import ABSENT, sha256_of


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
        if source.arrays is not None:
            return source.arrays.digest
        if person == SOUND and source.sound:  # which of the two is heard depends on both
            return self.of_all(source.files)
        return self.of(source.media) if source.media else None

    def of_file(self, source: Source, reads: Sequence[str]) -> str:
        """Hash of the file that a token encoder reads; see `Source.file_for`."""
        path = source.file_for(reads)
        return ABSENT if path is None else self.of(path)

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
