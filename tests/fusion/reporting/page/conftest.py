"""A browser for each module of tests: playwright's loop must not outlive it."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import browsing


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as made:
        yield made
