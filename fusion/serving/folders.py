"""Where the files of jobs lie, and how they go.

    FOLDER/incoming/ID      bytes that arrive
    FOLDER/jobs/ID/clip     an upload that was accepted
    FOLDER/jobs/ID/out/     its results

Every name is made here, or by the work; none comes from a client.
"""

import re
import secrets
import shutil
from pathlib import Path

CLIP, OUT = "clip", "out"
_ID = re.compile(r"[0-9a-f]{32}")


def new_id() -> str:
    """An id that nobody guesses."""
    return secrets.token_hex(16)


class Folders:
    """The folder of a service, readable by its user alone.

    Args:
        root: The folder, which is made if it is not there.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._incoming, self._jobs = self._root / "incoming", self._root / "jobs"
        for folder in (self._root, self._incoming, self._jobs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def base(self) -> Path:
        """The database of jobs."""
        return self._root / "jobs.sqlite"

    @property
    def lock(self) -> Path:
        """Held by the one service that works in this folder."""
        return self._root / "lock"

    def incoming(self, name: str) -> Path:
        """Where the bytes of an upload go."""
        return self._incoming / _checked(name)

    def job(self, name: str) -> Path:
        """Folder of a job."""
        return self._jobs / _checked(name)

    def accept(self, name: str) -> Path:
        """Moves what arrived into the folder of its job, which is returned."""
        folder = self.job(name)
        folder.mkdir(mode=0o700)
        self.incoming(name).rename(folder / CLIP)
        return folder

    def results(self, name: str) -> list[tuple[str, int]]:
        """Names and sizes of a job's results, in order."""
        files = sorted((self.job(name) / OUT).iterdir())
        return [(path.name, path.stat().st_size) for path in files if path.is_file()]

    def tidy(self, name: str, done: bool) -> None:
        """Removes of an ended job all but the results; those too if it is not done."""
        if not done:
            self.remove(name)
        elif self.job(name).is_dir():
            for path in self.job(name).iterdir():
                if path.name != OUT:
                    _remove(path)

    def remove(self, name: str) -> None:
        """Removes everything of a job, and looks whether it is gone.

        Raises:
            OSError: If any of it is still there.
        """
        for path in (self.incoming(name), self.job(name)):
            _remove(path)
            if path.exists():
                raise OSError(f"{path}: still there after its removal")

    def sweep(self, known: set[str]) -> int:
        """Removes what a killed service left of uploads that are no job; how much there was."""
        left = [*self._incoming.iterdir()]
        left += [path for path in self._jobs.iterdir() if path.name not in known]
        for path in left:
            _remove(path)
        return len(left)

    def free(self) -> int:
        """Bytes that are free on the disk."""
        return shutil.disk_usage(self._root).free


def _checked(name: str) -> str:
    if not _ID.fullmatch(name):
        raise ValueError(f"{name!r} is no id of a job")
    return name


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
