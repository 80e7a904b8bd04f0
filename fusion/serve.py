"""`python -m fusion.serve`: predictions behind an upload, on this machine or for others.

Data flow: upload over HTTP > job > what fusion.predict does > files to download.

    python -m fusion.serve                                     # for this machine: 127.0.0.1:8000
    python -m fusion.serve --host 0.0.0.0 --token_file token   # for whoever has the token
    curl -T talk.mp4 -X POST http://127.0.0.1:8000/jobs

A page to upload with is at /, the description of the interface at /openapi.json. Jobs outlive a
restart. Put a server that speaks TLS in front of it before others use it.
"""

import importlib.util
import socket
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from features.cli.app import OK, run
from features.errors import UserError

if TYPE_CHECKING:  # loads FastAPI
    from fusion.serving.settings import ServiceSettings

MB, HOUR = 1 << 20, 3600.0


@dataclass
class ServeSettings:
    """Settings of the service.

    Args:
        folder: Where uploads, results and the queue lie; one service a folder.
        host: Address to listen at. Other than 127.0.0.1 takes a token.
        port: Port to listen at; 0: any that is free.
        token_file: File with the token that clients must send (`Authorization: Bearer TOKEN`).
            None: none is needed.
        checkpoint: File written by fusion.train. None: the packaged model.
        persons: Who is kept of an upload: `main`, so many at most, or `all`.
        device: Where to compute: `auto`, `cpu`, `cuda:1`, ...
        workers: Processes that predict, each on its share of the cores.
        limit_mb: Megabytes (of 1,048,576 bytes) of an upload, at most.
        queue: Uploads that wait, at most.
        overlay: Whether results have a film too, with what was predicted in its pictures.
        keep_hours: Hours for which results can be fetched; then all of a job is removed.
        job_hours: Hours that a job may take.
    """

    ESSENTIAL: ClassVar[tuple[str, ...]] = (
        "folder",
        "host",
        "port",
        "token_file",
        "checkpoint",
        "persons",
        "device",
        "workers",
        "limit_mb",
        "queue",
        "overlay",
        "keep_hours",
        "job_hours",
    )

    folder: Path = Path("served")
    host: str = "127.0.0.1"
    port: int = 8000
    token_file: Path | None = None
    checkpoint: Path | None = None
    persons: str = "2"
    device: str = "auto"
    workers: int = 1
    limit_mb: float = 2048.0
    queue: int = 20
    overlay: bool = False
    keep_hours: float = 24.0
    job_hours: float = 1.0


def command(settings: ServeSettings) -> int:
    """Serves until SIGTERM or Ctrl-C, which stop it in good order."""
    if importlib.util.find_spec("fastapi") is None or importlib.util.find_spec("uvicorn") is None:
        raise UserError("the service needs FastAPI and uvicorn; pip install 'affuse[serve]'")
    from fusion.serving.web.app import create_app
    from fusion.serving.web.server import Server

    with listening(settings.host, settings.port) as listener:
        app = create_app(service_settings(settings))
        host, port = listener.getsockname()[:2]
        who = "whoever has the token" if settings.token_file else "this machine alone"
        print(f"http://{f'[{host}]' if ':' in host else host}:{port}, for {who}", flush=True)
        Server.of(app).run_until_stopped(listener)
    print("stopped; what waits goes on at the next start")
    return OK


def service_settings(settings: ServeSettings) -> "ServiceSettings":
    """Settings of the service, checked.

    Raises:
        UserError: If a value makes no sense, or others could ask without a token.
    """
    from features.store.person_names import parse_persons
    from fusion.serving.settings import LOCAL_HOSTS, ServiceSettings
    from fusion.serving.work import PredictWork

    for name in ("workers", "limit_mb", "queue", "keep_hours", "job_hours"):
        if not getattr(settings, name) > 0:
            raise UserError(f"--{name} must be above 0")
    token = read_token(settings.token_file) if settings.token_file else None
    if token is None and settings.host not in LOCAL_HOSTS:
        raise UserError(
            f"--host {settings.host} lets others ask, which takes --token_file; see --help"
        )
    parse_persons(settings.persons)
    checkpoint = settings.checkpoint and settings.checkpoint.absolute()
    if checkpoint or settings.device != "auto":  # what is bad is told now, not by every job
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:  # torch stays out of this one
            pool.submit(_require_loadable, checkpoint, settings.device).result()
    return ServiceSettings(
        folder=settings.folder,
        work=PredictWork(checkpoint, settings.persons, settings.device, settings.overlay),
        token=token,
        limit=round(settings.limit_mb * MB),
        queue=settings.queue,
        keep=settings.keep_hours * HOUR,
        job_time=settings.job_hours * HOUR,
        workers=settings.workers,
    )


def _require_loadable(checkpoint: Path | None, device: str) -> None:
    from fusion.inference.checkpoint import load_checkpoint
    from fusion.pretrained import PACKAGED

    load_checkpoint(checkpoint or PACKAGED, device)


def read_token(path: Path) -> str:
    """The token in a file.

    Raises:
        UserError: If there is no such file, or what is in it is short or of odd characters.
    """
    from fusion.serving.settings import SHORTEST_TOKEN

    try:
        token = path.read_text().strip()
    except (FileNotFoundError, IsADirectoryError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: no file with a token") from error
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise UserError(
            f"{path}: a token has {SHORTEST_TOKEN} ASCII characters or more; make one with"
            f" {Path(sys.executable).name} -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        UserError: If there is no such address here, or it is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise UserError(f"{host}:{port}: {error}; give another --host or --port") from error


main = partial(run, ServeSettings, command, prog="fusion.serve", description=__doc__ or "")

if __name__ == "__main__":
    main()
