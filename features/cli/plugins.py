"""Modules of the user's that add to what settings may name: `--plugins my_blocks,my_tasks`.

A plugin is a module that can be imported, from the current folder too; whatever it registers when
it is imported (a fusion block by `fusions.register`, say) can be named like what comes with us.
"""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from features.errors import UsageError


def load_plugins(modules: Sequence[str]) -> None:
    """Imports the modules, in order; what is imported already stays as it is.

    Raises:
        UsageError: If there is no such module. What goes wrong inside one is its own fault and
            passes through.
    """
    here = str(Path.cwd())
    if modules and here not in sys.path:  # where a console script runs, the folder is not on it
        sys.path.append(here)
    for name in modules:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            raise UsageError(
                f"plugins: no module '{name}'; give its import path, and its folder in PYTHONPATH"
                " unless it is the current one"
            ) from error
