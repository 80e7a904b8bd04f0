"""The page to upload with, in a real browser: from a file to the result, and what is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.browser import browsing, until
from tests.fusion.serving.conftest import files_of, listening

TOKEN = "a-token-of-this-test"
STATE = "document.getElementById('said').textContent"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browsing() as browser:
        yield browser


@contextmanager
def opened(browser: Any, address: tuple[str, int], allowed: str = "\0") -> Iterator[Any]:
    """The page; what its console complains of fails the test, unless it holds `allowed`."""
    context, said = browser.new_context(), list[str]()
    page = context.new_page()
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"http://{address[0]}:{address[1]}/")
    try:
        yield page
        assert [text for text in said if allowed not in text] == []
    finally:
        context.close()


def test_a_file_becomes_a_result_that_is_seen_fetched_and_deleted(
    browser: Any, tmp_path: Path, clip: bytes
) -> None:
    (tmp_path / "talk.wav").write_bytes(clip)
    (tmp_path / "order").write_text("page")
    with listening(tmp_path) as address, opened(browser, address) as page:
        page.set_input_files("#file", tmp_path / "talk.wav")
        page.click("button:text('Upload')")
        until(page, "!document.getElementById('result').hidden")
        assert page.inner_text("#summary").strip() == f"{len(clip)} bytes"
        with page.expect_download() as fetched:
            page.click("button:has-text('summary.txt')")
        assert Path(fetched.value.path()).read_text() == f"{len(clip)} bytes\n"
        with page.context.expect_page() as shown:
            page.click("a:text('Open the report')")
        until(shown.value, "document.title !== 'waits'")
        assert shown.value.title() == "alone"
        page.click("#remove")
        until(page, f"{STATE} === 'expired'")
        assert page.is_hidden("#result")
    assert files_of(tmp_path / "served") == []


def test_a_token_is_asked_for_and_then_sent(browser: Any, tmp_path: Path, clip: bytes) -> None:
    (tmp_path / "talk.wav").write_bytes(clip)
    with listening(tmp_path, token=TOKEN) as address, opened(browser, address, "401") as page:
        page.set_input_files("#file", tmp_path / "talk.wav")
        page.click("button:text('Upload')")
        until(page, f"{STATE} === 'the token is missing or wrong'")
        page.fill("#token", TOKEN)
        page.click("button:text('Upload')")
        until(page, "!document.getElementById('result').hidden")
        assert page.inner_text("#summary").strip() == f"{len(clip)} bytes"


def test_what_is_no_media_is_said(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "talk.txt").write_text("<b>no video</b>")
    with listening(tmp_path) as address, opened(browser, address, "415") as page:
        page.set_input_files("#file", tmp_path / "talk.txt")
        page.click("button:text('Upload')")
        until(page, f"{STATE} === 'neither a video nor sound that can be decoded'")
