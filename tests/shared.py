"""Where real data for tests lies, if this machine has it; it is never part of the project."""

import os
from pathlib import Path

import pytest


def shared_data() -> Path:
    """The folder of real data beside the checkout (or `$AFFUSE_SHARED_DATA`); skips without it."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("AFFUSE_SHARED_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent")
    return folder
