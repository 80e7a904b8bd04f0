"""A real server on a real socket: bodies that never end or break off, streams at the stop."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from fusion.serving.settings import ServiceSettings
from tests.fusion.serving.conftest import files_of, posted
from tests.fusion.serving.works import ScriptedWork

LIMIT = 100_000


def eventually(true: Callable[[], bool]) -> bool:
    over = time.monotonic() + 20
    while not true() and time.monotonic() < over:
        time.sleep(0.02)
    return true()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """Where a service listens; it has to have stopped at the end."""
    pytest.importorskip("fastapi")
    from fusion.serving.web.app import create_app
    from fusion.serving.web.server import Server

    work = ScriptedWork(tmp_path / "order")
    settings = ServiceSettings(tmp_path / "served", work, limit=LIMIT, reserve=0, grace=0.0)
    server = Server.of(create_app(settings))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run_until_stopped, args=[listener])
        thread.start()
        assert eventually(lambda: server.started)
        yield listener.getsockname()
        server.handle_exit(15, None)
        thread.join(20)
        assert not thread.is_alive()


def test_the_answer_comes_before_an_endless_body_ends(
    address: tuple[str, int], tmp_path: Path
) -> None:
    head = b"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
    with socket.create_connection(address, timeout=20) as line:
        line.sendall(head)
        for _ in range(LIMIT // 10_000 + 1):
            line.sendall(chunk)
        assert line.recv(100).startswith(b"HTTP/1.1 413 ")
    assert files_of(tmp_path / "served") == []


def test_an_upload_that_is_broken_off_leaves_nothing(
    address: tuple[str, int], tmp_path: Path
) -> None:
    head = b"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50000\r\n\r\n"
    with socket.create_connection(address, timeout=20) as line:
        line.sendall(head + b"x" * 100)
        assert eventually(lambda: files_of(tmp_path / "served") != [])
    assert eventually(lambda: files_of(tmp_path / "served") == [])


def test_a_stream_of_events_ends_when_the_service_stops(
    address: tuple[str, int], clip: bytes, tmp_path: Path
) -> None:
    (tmp_path / "order").write_text("wait")
    with httpx.Client(base_url=f"http://127.0.0.1:{address[1]}", timeout=20) as client:
        name = posted(client, clip)
        stream = client.send(client.build_request("GET", f"/jobs/{name}/events"), stream=True)
        assert next(stream.iter_text()).startswith("event: ")
        # the fixture stops the service while the stream is open
