"""The folder of a run: what it holds, and whether a run may go on in it.

RUNS/NAME/best.ckpt, last.ckpt     epochs; of several stages, best.ckpt is put together of them
RUNS/NAME/finished                 training came to its end
RUNS/NAME/logs/                    metrics.csv, TensorBoard
RUNS/NAME/STAGE/                   run of a stage, of a recipe that has some
RUNS/NAME/STAGE/outputs/           features and scores for later stages
"""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from features.cli import UserError
from fusion.checkpoint import KEY, read_payload
from fusion.data import AffectDataModule
from fusion.trainer import LAST

DONE = "finished"
"""Empty file in a run's folder that says that training came to its end."""
SEARCH = "search"
"""Folder of a search within RUNS/NAME; a run that is trained anew leaves it alone."""
_NOT_CONFIG = ("fresh", "runs", "devices", "seeds", "folds")
"""Settings that make no other run: where it lies, how long it lasts, what others are trained."""


def clear(folder: Path) -> None:
    """Deletes the run in a folder, if there is one."""
    for path in folder.glob("*"):
        if path.is_dir() and path.name != SEARCH:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()


def find_run(
    folder: Path, config: Mapping[str, Any], data: AffectDataModule, defaults: Mapping[str, Any]
) -> Path | None:
    """Checkpoint to go on from, None for a new run.

    Args:
        folder: Of the run.
        config: All settings that make the run what it is.
        data: What it would be trained on.
        defaults: Of all settings: a run from before there was a setting has its default.

    Raises:
        UserError: If the folder's run has other settings, was made from other tracks, or has seen
            clips that are held out now.
    """
    last = folder / LAST
    if not last.is_file():
        return None
    payload = read_payload(last)[KEY]
    before = _filled(_plain(payload["config"]), defaults)
    changed = [name for key in config for name in _changed(key, config[key], before.get(key))]
    seen = set(payload["provenance"]["train_clips"]) - {clip.id for clip in data.splits["train"]}
    complaints = {
        f"with other settings ({', '.join(changed)})": bool(changed),
        f"on other tracks than those in {data.store.root}": (
            payload["specs"] != {name: asdict(spec) for name, spec in data.specs.items()}
        ),
        f"that has trained on clips held out now ({', '.join(sorted(seen)[:3])})": bool(seen),
    }
    for complaint, true in complaints.items():
        if true:
            raise UserError(
                f"{folder} holds a run {complaint};"
                " choose another --name, or --fresh true to delete it"
            )
    return last


def _filled(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The config with defaults where it says nothing."""
    filled = {**defaults, **config}
    for key, value in defaults.items():
        if isinstance(value, dict) and isinstance(filled[key], dict):
            filled[key] = {**value, **filled[key]}
    return filled


def _changed(key: str, new: Any, old: Any) -> list[str]:
    """Dotted names of the settings that differ."""
    if isinstance(new, dict) and isinstance(old, dict):
        return [f"{key}.{name}" for name in new if new[name] != old.get(name)]
    return [key] if new != old else []


def plain(settings: Any) -> dict[str, Any]:
    """All settings that make a run what it is, as plain values."""
    values = asdict(settings) if is_dataclass(settings) else dict(settings)  # type: ignore[arg-type]
    return {key: _plain(value) for key, value in values.items() if key not in _NOT_CONFIG}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def git_revision() -> str:
    """Commit of the code, empty outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine
        return ""
    return result.stdout.strip()
