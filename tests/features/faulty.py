"""Extractors that hang, crash or dawdle at chosen items: what worker processes must cope with."""

import ctypes
import errno
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features import extract as extract_module
from features.cli.app import run
from features.encoders.base import Encoder
from features.errors import UserError
from features.execution.job import Recipe
from features.extract import ExtractSettings, command
from features.pipeline.extractor import Extractor
from features.pipeline.planner import Plan, Planner
from features.pipeline.source_hashes import SourceHashes
from tests.waiting import eventually


@dataclass(frozen=True)
class Faulty:
    """A recipe whose extractors do something else before they work on some items.

    Args:
        recipe: Builds the extractors.
        notes: Folder in which each attempt leaves a file `ID.PID.TIME`.
        faults: Source id to `hang`, `freeze` (all threads), `segfault`, `kill` (in writing a
            track), `kill once`, `raise`, `exit`, `full` (disk), `slow` or `meet` (slow, once two
            processes are at work); `start` instead of an id: no extractor can be built.
    """

    recipe: Recipe
    notes: Path
    faults: dict[str, str] = field(default_factory=dict)

    def __call__(self, device: str) -> Extractor:
        if "start" in self.faults:
            self.act(self.faults["start"], 1)
        extractor = self.recipe(device)
        work = extractor.work

        def worked(todo: Plan) -> None:
            name = todo.source.id
            (self.notes / f"{name}.{os.getpid()}.{time.monotonic_ns()}").touch()
            self.act(self.faults.get(name, ""), len(list(self.notes.glob(f"{name}.*"))))
            work(todo)

        extractor.work = worked  # type: ignore[method-assign]
        return extractor

    def act(self, fault: str, attempt: int) -> None:
        if fault == "hang":
            wait_for_ever()
        if fault == "freeze":
            ctypes.PyDLL(None).pause()  # keeps the lock of Python
        if fault == "segfault":
            signal.raise_signal(signal.SIGSEGV)
        if fault == "kill" or (fault == "kill once" and attempt == 1):
            (self.recipe.store / "prosody").mkdir(exist_ok=True)
            (self.recipe.store / "prosody" / ".3.safetensors.abcdefgh.partial").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "raise":
            raise KeyError("no such layout")
        if fault == "exit":
            os._exit(3)
        if fault == "full":
            raise OSError(errno.ENOSPC, "No space left on device")
        if fault == "meet":
            self.wait_for_two_processes()
        if fault in ("slow", "meet"):
            time.sleep(1.0)
        if fault == "user":
            raise UserError("no weights in DIR; give others")

    def wait_for_two_processes(self) -> None:
        eventually(lambda: len({path.name.split(".")[1] for path in self.notes.iterdir()}) == 2)

    @property
    def store(self) -> Path:
        return self.recipe.store

    def planner(self, hashes: SourceHashes) -> Planner:
        return self.recipe.planner(hashes)

    def encoders_on(self, device: str) -> list[Encoder]:
        return self.recipe.encoders_on(device)

    def extractor(self, *arguments: Any) -> Extractor:
        return self.recipe.extractor(*arguments)


def wait_for_ever() -> None:
    """Blocks in a system call, as a decoder does that waits for what never comes."""
    read, _ = os.pipe()
    os.read(read, 1)


def spoil(notes: Path, faults: dict[str, str]) -> Callable[[ExtractSettings, Path], Faulty]:
    """What stands in for `features.extract._recipe`."""
    recipe = extract_module._recipe
    return lambda settings, store: Faulty(recipe(settings, store), notes, faults)


def main(argv: list[str]) -> None:
    """`features.extract` with faults: NOTES FAULTS(JSON) and its own options."""
    notes, faults, *options = argv
    extract_module._recipe = spoil(Path(notes), json.loads(faults))  # type: ignore[assignment]
    run(ExtractSettings, command, prog="features.extract", description="", argv=options)


SCRIPT = f"""import sys
from {__name__} import main
print("script")
main(sys.argv[1:])
"""
"""A user's script that runs `main`, without a guard for `__main__`."""
