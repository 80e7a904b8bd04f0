"""Works that are quick, for services of tests; a file beside the jobs says what they do."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from features.errors import UserError
from fusion.serving.settings import Tell

PAGE = """<!doctype html><title>waits</title><script>
fetch("/health").then(() => { document.title = "reached"; }, () => { document.title = "alone"; });
</script>"""
"""A report that tries to ask the service."""


@dataclass(frozen=True)
class ScriptedWork:
    """Does what a file says: done, page (done, with a report), wait, refuse, fault or die.

    Attributes:
        order: The file; done where there is none.
    """

    order: Path

    def __call__(self, folder: Path, tell: Tell) -> None:
        """See `fusion.serving.settings.Work`."""
        order = self.order.read_text() if self.order.exists() else "done"
        tell("extract", 0.5)
        with self.order.with_name("begun").open("a") as begun:
            begun.write(f"{folder.name} {os.getpid()} {order}\n")
        if order == "wait":
            time.sleep(60)
        if order == "refuse":
            raise UserError(f"{folder}/clip: its sound is bad")
        if order == "fault":
            raise RuntimeError(f"a fault in {folder}")
        if order == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / "tracks").mkdir(exist_ok=True)
        (folder / "tracks" / "made_on_the_way").write_text("x")
        (folder / "out").mkdir(exist_ok=True)
        if order == "page":
            (folder / "out" / "report.html").write_text(PAGE)
        (folder / "out" / "summary.txt").write_text(f"{(folder / 'clip').stat().st_size} bytes\n")
