"""Results of the parts of a long study, so that a killed one goes on with the next part.

Data flow: name of a part > measured, or read if it was measured before > one JSON file.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import features
from features.store.feature_track import write_atomically
from features.store.hashing import settings_hash, sha256_of


class KeptResults:
    """Results by name in one file.

    Args:
        folder: Where the file lies; made if need be.
        depends: What the results depend on beside the code of `features`: another value, another
            file.
    """

    def __init__(self, folder: Path, depends: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{settings_hash([depends, code_hash()])}.json"
        self.values: dict[str, Any] = (
            json.loads(self.path.read_text()) if self.path.exists() else {}
        )

    def get(self, name: str, measure: Callable[[], Any]) -> Any:
        """The result of a part (JSON-able), measured if it is not known yet."""
        if name not in self.values:
            self.set(name, measure())
        return self.values[name]

    def set(self, name: str, value: Any) -> None:
        """Writes down a result."""
        self.values[name] = value
        write_atomically(self.path, json.dumps(self.values).encode())


def code_hash() -> str:
    """Hash of the source files of `features`: what another version measured is not mixed in."""
    folder = Path(features.__file__).parent
    return sha256_of(*sorted(folder.rglob("*.py")))
