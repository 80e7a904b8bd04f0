"""Where a model lies: a file, a folder, or a name of the Hugging Face hub > its checkpoint's file.

The hub is asked only for what is not in its cache already. A checkpoint holds tensors and plain
values, no code, so one of a stranger can be read.
"""

import re
from os import PathLike
from pathlib import Path
from typing import Any

from features.errors import UserError
from fusion.training.config import CHECKPOINT

BEST = f"best{CHECKPOINT}"
NAME = re.compile(r"[\w.-]+/[\w.-]+")
"""Owner and repository of the hub."""


def find_checkpoint(name: str | PathLike[str], revision: str | None = None) -> Path:
    """The file of a checkpoint.

    Args:
        name: A file; a folder that holds `best.ckpt`, or one checkpoint alone; or `OWNER/NAME` of
            the hub.
        revision: Branch, tag or commit, of a name of the hub.

    Raises:
        UserError: If there is none, or several.
    """
    path = Path(name)
    if path.is_dir():
        return _in_folder(path)
    if path.exists() or path.suffix == CHECKPOINT or not NAME.fullmatch(str(name)):
        if not path.is_file():
            raise UserError(f"{path}: no such checkpoint; python -m fusion.train makes one")
        return path
    return _in_folder(_from_hub(str(name), revision))


def _in_folder(folder: Path) -> Path:
    """The checkpoint of a folder."""
    if (folder / BEST).is_file():
        return folder / BEST
    found = sorted(folder.glob(f"*{CHECKPOINT}"))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found)
        raise UserError(f"{folder}: no {BEST}, but several checkpoints ({names}); name one")
    raise UserError(f"{folder}: no checkpoint in it; python -m fusion.train makes one")


def _from_hub(name: str, revision: str | None) -> Path:
    """Folder of a repository of the hub: the cached one, else it is fetched."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    wanted: dict[str, Any] = {
        "repo_id": name,
        "revision": revision,
        "allow_patterns": [f"*{CHECKPOINT}"],
    }
    try:
        cached = Path(snapshot_download(**wanted, local_files_only=True))
        if any(cached.glob(f"*{CHECKPOINT}")):
            return cached
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(snapshot_download(**wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"{name}: no such file or folder here, and not to be had of the hub ({cause}); check"
            " the name and the connection"
        ) from error
