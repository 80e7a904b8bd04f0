"""The embedded default: the demo corpus, made when a command is given no data."""

import logging
import os
import subprocess
import sys
from pathlib import Path

from features.cli.progress import is_on_screen
from features.errors import UserError

log = logging.getLogger(__name__)

DEMO_ROOT = Path("data/demo")
CHECKOUT = Path(__file__).parents[2]
"""Where the maker of the corpus lies, which is not installed with the packages."""


def root_or_demo(root: Path | None) -> Path:
    """`root`, or the demo corpus in the current folder if None, made first where it is absent.

    The corpus is made by a command of its own, since this package knows nothing of labels.

    Raises:
        UserError: If the corpus cannot be made, as where there is no checkout of the project.
    """
    if root is not None:
        return root
    if not (CHECKOUT / "experiments/demo/corpus.py").is_file():
        raise UserError(
            "no data: give a folder by --data.root (the demo corpus is made in a checkout only)"
        )
    log.info("no --data.root given: using the demo corpus in %s", DEMO_ROOT)
    command = [sys.executable, "-m", "experiments.demo.corpus", "--out", str(DEMO_ROOT)]
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    env, quiet = os.environ | {"PYTHONPATH": path}, not is_on_screen()
    done = subprocess.run(command, capture_output=quiet, text=True, check=False, env=env)
    if done.returncode:
        why = (done.stderr or "see the lines above").strip().splitlines()[-1]
        raise UserError(f"{DEMO_ROOT}: the demo corpus could not be made; {why}")
    return DEMO_ROOT


def default_store(root: Path) -> Path:
    """Where the tracks of a data root lie unless said otherwise: `ROOT/tracks`."""
    return (root if root.is_dir() else root.parent) / "tracks"
