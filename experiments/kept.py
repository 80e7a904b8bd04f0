"""Results of the parts of a long study, kept on disk so that a killed one goes on with the next."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from joblib import Memory

import features
from features.store.fingerprint import settings_hash, sha256_of

Result = TypeVar("Result")


@dataclass(frozen=True)
class Cache:
    """Results by name and key.

    Attributes:
        folder: Where joblib keeps them; made if need be.
    """

    folder: Path

    def get(self, name: str, key: object, compute: Callable[[], Result]) -> Result:
        """What `compute` gives, from the disk if it was kept under this name and key."""
        kept = Memory(self.folder, verbose=0).cache(_computed, ignore=["compute"])
        result: Result = kept(name, settings_hash(key), compute)
        return result


def _computed(name: str, key: str, compute: Callable[[], Result]) -> Result:
    return compute()


def code_hash() -> str:
    """Hash of the source of `features`, as a part of a key: versions are not mixed."""
    return sha256_of(*sorted(Path(features.__file__).parent.rglob("*.py")))
