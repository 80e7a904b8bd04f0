"""The folder of a run: what it holds, and whether a run may go on in it.

RUNS/NAME/best.ckpt, last.ckpt     epochs; of several stages, best.ckpt is put together of them
RUNS/NAME/finished                 training came to its end
RUNS/NAME/logs/                    metrics.csv, TensorBoard
RUNS/NAME/STAGE/                   run of a stage, of a recipe that has some
RUNS/NAME/STAGE/outputs/           features and scores for later stages
"""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from features.cli.wording import counted
from features.errors import UserError
from features.store.atomic_file import write_atomically
from features.store.leases import hold
from fusion.data.loading.datamodule import AffectDataModule
from fusion.data.loading.dataset import listed
from fusion.data.run_identity import LASTS, changed_content, changed_settings, plain_values
from fusion.inference.payload import ANSWERS, KEY, read_payload
from fusion.losses.older_keys import modern
from fusion.training.search_space import SEARCH
from fusion.training.trainer import BEST, LAST, is_first_process

DONE = "finished"
"""File in a run's folder that says that training came to its end, and after how many epochs."""


@contextmanager
def alone_in(runs: Path, name: str) -> Iterator[None]:
    """Keeps other trainings out of the folder RUNS/NAME within.

    Raises:
        UserError: If another training, on whatever machine, is at work on the run.
    """
    if not is_first_process():  # the first one holds it for all that train together
        yield
        return

    def busy(holder: str) -> str:
        return (
            f"{runs / name}: another training ({holder}) is at work on it;"
            " wait for its end, or choose another --name"
        )

    # Beside the folder: a run that is refused leaves none.
    with hold(runs / f".{name.replace('/', '%2F')}.lease", busy):
        yield


def clear(folder: Path) -> None:
    """Deletes the run in a folder, if there is one."""
    for path in folder.glob("*"):
        if path.is_dir() and path.name != SEARCH:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()


@dataclass(frozen=True)
class FoundRun:
    """What the folder of a run holds.

    Attributes:
        resume: Checkpoint to go on from, None for a new run.
        finished: Whether training came to its end, and no more is asked for now.
        remarks: What is to be said of it, a line each.
    """

    resume: Path | None = None
    finished: bool = False
    remarks: tuple[str, ...] = ()


def find_run(
    folder: Path, config: Mapping[str, Any], data: AffectDataModule, defaults: Mapping[str, Any]
) -> FoundRun:
    """What there is of a run, held against the run that is asked for.

    A finished run stays what it is when its data has changed since, and that is said; one that is
    not finished cannot go on then.

    Args:
        folder: Of the run.
        config: All settings that make the run what it is.
        data: What it would be trained on.
        defaults: Of all settings: a run from before there was a setting has its default.

    Raises:
        UserError: If the folder's run has other settings, was made from other tracks or labels, has
            seen clips that are held out now, or has lost its best checkpoint.
    """
    held = _checkpoint_in(folder)
    if held is None:
        return FoundRun()
    payload = read_payload(held)[KEY]
    if ANSWERS in payload:
        raise _refusal(folder, "of a recipe with stages")
    said = modern(plain_values(payload["config"]), told=False)
    before, end = _filled(said, defaults), _read_end(folder)
    before |= {name: end[name] for name in LASTS if name in end}
    known = payload["provenance"].get("content")
    changed = [] if known is None else changed_content(data.content(), known)
    seen = set(payload["provenance"]["train_clips"]) - {clip.id for clip in data.splits["train"]}
    other = changed_settings(config, before, places=known is None or bool(changed))
    if other:
        raise _refusal(folder, f"with other settings ({', '.join(other)})")
    if payload["specs"] != {name: asdict(spec) for name, spec in data.specs.items()}:
        raise _refusal(folder, f"on other tracks than those in {data.store.root}")
    if seen:
        raise _refusal(folder, f"that has trained on clips held out now ({listed(sorted(seen))})")
    finished = (folder / DONE).exists() and not _more_asked(config, before, end)
    if changed and not finished:
        raise _refusal(folder, f"on other labels or tracks of {listed(changed)}")
    if finished and not (folder / BEST).is_file():
        raise UserError(f"{folder / BEST} is gone, though the run is finished; --fresh true")
    return FoundRun(held, finished, tuple(_remarks(folder, config, end, changed)))


def require_stages(folder: Path) -> None:
    """UserError if the folder of a recipe with stages holds a run without, to be replaced."""
    held = _checkpoint_in(folder)
    if held and ANSWERS not in read_payload(held)[KEY]:
        raise _refusal(folder, "without stages")


def mark_finished(folder: Path, config: Mapping[str, Any], early: bool) -> None:
    """Says in the folder that training came to its end.

    Args:
        folder: Of the run.
        config: All settings.
        early: Whether it stopped before the last epoch, as nothing got better.
    """
    end = {name: config[name] for name in LASTS} | {"early": early}
    write_atomically(folder / DONE, json.dumps(end).encode())


def _checkpoint_in(folder: Path) -> Path | None:
    """The checkpoint that tells what run a folder holds."""
    return next((folder / name for name in (LAST, BEST) if (folder / name).is_file()), None)


def _read_end(folder: Path) -> dict[str, Any]:
    """How training came to its end; empty if it has not, or a version before this one saw it."""
    path = folder / DONE
    text = path.read_text() if path.is_file() else ""
    return dict(json.loads(text)) if text else {}


def _more_asked(config: Mapping[str, Any], before: Mapping[str, Any], end: Mapping) -> bool:
    """Whether more epochs are asked for than have been; one that stopped early wants patience."""
    wanted = "patience" if end.get("early") else "epochs"
    return bool(config[wanted] > before[wanted])


def _remarks(
    folder: Path, config: Mapping[str, Any], end: Mapping[str, Any], changed: list[str]
) -> Iterator[str]:
    if changed:
        yield (
            f"{folder}: labels or tracks of {listed(changed)} have changed since it was trained;"
            " --fresh true trains it anew"
        )
    if end.get("early") and config["epochs"] > end["epochs"]:
        waited = counted(end["patience"], "epoch")
        yield (
            f"{folder}: stopped when {waited} had brought nothing better, so more"
            " --epochs change nothing; more --patience would"
        )


def _refusal(folder: Path, what: str) -> UserError:
    return UserError(
        f"{folder} holds a run {what}; choose another --name, or --fresh true to delete it"
    )


def _filled(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The config with defaults where it says nothing."""
    filled = {**defaults, **config}
    for key, value in defaults.items():
        if isinstance(value, dict) and isinstance(filled[key], dict):
            filled[key] = {**value, **filled[key]}
    return filled


def git_revision() -> str:
    """Commit of the code, empty outside a checkout."""
    checkout = Path(__file__).parents[2]
    if not (checkout / ".git").exists():  # a repository further up is somebody else's
        return ""
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine
        return ""
    return result.stdout.strip()
