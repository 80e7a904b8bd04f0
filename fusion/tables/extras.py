"""Packages that only some of the work needs, and which extra installs them."""

import importlib
from typing import Any

from features.errors import UserError


def needed(package: str, what: str, extra: str) -> Any:
    """A package.

    Args:
        package: As it is imported.
        what: Needs it.
        extra: Of affuse, that installs it.

    Raises:
        UserError: If it is not there; says how to install it.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UserError(f"{what} needs more: pip install 'affuse[{extra}]'") from error
