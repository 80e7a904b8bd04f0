"""The demo, the training of packaged weights, benchmarks and studies, each in a room of its own.

`python -m experiments.NAME` of before the rooms works for one release more, and says the new name.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

_ROOT = Path(__file__).parents[1]


class _Moved(MetaPathFinder):
    """Finds `experiments.NAME` in the one room that holds NAME, where it no longer lies here."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A command under its old name; None for all else."""
        package, _, name = fullname.rpartition(".")
        places = ("experiments/*/**", "tests") if package == __name__ else ()
        found = [path for place in places for path in _ROOT.glob(f"{place}/{name}.py")]
        if len(found) != 1 or '__name__ == "__main__"' not in found[0].read_text("utf-8"):
            return None
        new = ".".join(found[0].relative_to(_ROOT).with_suffix("").parts)
        print(f"{fullname} is {new} now", file=sys.stderr, flush=True)
        return spec_from_file_location(fullname, found[0])


sys.meta_path.append(_Moved())
