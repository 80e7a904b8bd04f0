"""Who sees what the library says: the user of a command, whoever listens, else nobody."""

import logging

import pytest

from features.cli.progress import ProgressReport, heard_by, shown_on_screen

log = logging.getLogger("features.somewhere")


def work() -> None:
    log.info("%d of 2", 1)
    log.warning("odd")
    logging.getLogger("others").info("a library's own business")
    with ProgressReport("work", 2) as progress:
        progress.step("a")
        progress.step("b")


def test_a_command_shows_lines_on_stdout_and_warnings_and_progress_on_stderr(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with shown_on_screen(), shown_on_screen():
        work()
    assert capfd.readouterr() == ("1 of 2\n", "odd\nwork 2/2 b\n")


def test_a_script_sees_nothing_and_finds_logging_as_it_was(
    capfd: pytest.CaptureFixture[str],
) -> None:
    package, root = logging.getLogger("features"), logging.getLogger()
    before = package.level, list(root.handlers)
    with shown_on_screen():
        pass
    assert (package.level, root.handlers) == before
    log.info("nothing")
    with ProgressReport("work", 1) as progress:
        progress.step("a")
    assert capfd.readouterr() == ("", "")


def test_who_listens_is_told_instead_of_the_screen(capfd: pytest.CaptureFixture[str]) -> None:
    told: list[tuple[str, float]] = []
    with shown_on_screen(), heard_by(lambda title, share: told.append((title, share))):
        work()
    assert told == [("work", 0.5), ("work", 1.0)]
    assert capfd.readouterr() == ("1 of 2\n", "odd\n")
