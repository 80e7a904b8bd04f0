"""A real server on a real socket: bodies that never end or break off, streams at the stop."""

import socket
from pathlib import Path

import httpx

from tests.fusion.serving.conftest import LIMIT, eventually, files_of, posted


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
