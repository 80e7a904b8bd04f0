"""The user's environment variables: libraries that we import change some of them (opencv, decord,
torch, Lightning), which a script or notebook that calls us should not notice.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def environment_kept() -> Iterator[None]:
    """Afterwards the variables of this process are what they were before."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value
