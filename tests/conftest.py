"""One thread a test process: several of them run side by side (`make test`)."""

import os
import signal
from collections.abc import Iterator

import pytest

from features.cli.progress import shown_on_screen

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported, also by subprocesses

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts background jobs like this
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def capsys(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """A test that looks at the screen sees what a command shows, whatever function it calls."""
    with shown_on_screen():
        yield capsys
