"""A service with a quick work, and a clip for it."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fusion.serving.works import ScriptedWork
from tests.media import tone, write_sound

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
HOST = "http://127.0.0.1:8000"
PATIENCE = 20.0
LIMIT = 100_000
"""Bytes of an upload to a service that listens, at most."""
Client = httpx.Client
Start = Callable[..., Any]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A tenth of a second of sound."""
    folder = tmp_path_factory.mktemp("clip")
    return write_sound(folder / "a.wav", tone(0.1, 8000), 8000, "pcm_s16le").read_bytes()


@pytest.fixture
def started(tmp_path: Path) -> Start:
    """Starts a service with some settings, and gives its client."""
    from fastapi.testclient import TestClient

    from fusion.serving.settings import ServiceSettings
    from fusion.serving.web.app import create_app

    @contextmanager
    def start(**changes: Any) -> Iterator[Client]:
        usual: dict[str, Any] = {
            "folder": tmp_path / "served",
            "work": ScriptedWork(tmp_path / "order"),
            "limit": 1 << 20,
            "reserve": 0,
            "grace": 0.0,
        }
        with TestClient(create_app(ServiceSettings(**usual | changes)), base_url=HOST) as client:
            yield client

    return start


@pytest.fixture
def client(started: Start) -> Iterator[Client]:
    """A client of a service as it is by default."""
    with started() as client:
        yield client


def eventually(true: Callable[[], bool]) -> bool:
    """Whether something becomes true in good time."""
    over = time.monotonic() + PATIENCE
    while not true() and time.monotonic() < over:
        time.sleep(0.02)
    return true()


@contextmanager
def listening(tmp_path: Path, **changes: Any) -> Iterator[tuple[str, int]]:
    """A service on a real socket, and where it listens; it has to stop in good time at the end."""
    from fusion.serving.settings import ServiceSettings
    from fusion.serving.web.app import create_app
    from fusion.serving.web.server import Server

    work = ScriptedWork(tmp_path / "order")
    usual: dict[str, Any] = {"limit": LIMIT, "reserve": 0, "grace": 0.0}
    settings = ServiceSettings(tmp_path / "served", work, **usual | changes)
    server = Server.of(create_app(settings))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run_until_stopped, args=[listener])
        thread.start()
        assert eventually(lambda: server.started)
        try:
            yield listener.getsockname()
        finally:
            server.handle_exit(15, None)
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture
def address(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """Where a service listens."""
    with listening(tmp_path) as address:
        yield address


def until(client: Client, name: str, *states: str) -> dict[str, Any]:
    """The job when it is in one of some states."""
    over = time.monotonic() + PATIENCE
    while True:
        job: dict[str, Any] = client.get(f"/jobs/{name}").json()
        if job["state"] in states:
            return job
        assert time.monotonic() < over, job
        time.sleep(0.05)


def posted(client: Client, body: bytes) -> str:
    """Id of the job of an upload that is accepted."""
    answer = client.post("/jobs", content=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def files_of(folder: Path) -> list[str]:
    """Files below the folder of a service that belong to jobs."""
    return sorted(
        path.relative_to(folder).as_posix()
        for part in ("incoming", "jobs")
        for path in (folder / part).rglob("*")
        if path.is_file()
    )
