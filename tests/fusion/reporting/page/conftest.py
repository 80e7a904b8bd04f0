"""One browser for the tests of this folder: playwright's loop must not outlive them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import browsing


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    with browsing() as made:
        yield made
