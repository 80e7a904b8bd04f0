"""The server of the application. Data flow: socket > uvicorn > application.

On a signal the service is told at once, so that open event streams end and nothing new is taken
in; uvicorn then closes the connections, and the application stops its service.
"""

import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

CONNECTIONS = 200
"""Connections at a time; more are answered 503."""
PATIENCE = 3
"""Seconds that open connections are given at the end, such as those of uploads."""


class Server(uvicorn.Server):
    """A server that tells its service of a signal."""

    app: FastAPI

    @classmethod
    def of(cls, app: FastAPI) -> "Server":
        """The server of an application."""
        server = cls(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                log_level="warning",
                server_header=False,
                proxy_headers=False,
                limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=PATIENCE,
            )
        )
        server.app = app
        return server

    def run_until_stopped(self, listener: socket.socket) -> None:
        """Serves until a signal comes, which is not passed on."""
        try:
            self.run(sockets=[listener])
        except KeyboardInterrupt:  # uvicorn raises the signal again when all is closed
            if not self.should_exit:
                raise

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to stop."""
        self.app.state.service.stopping.set()
        super().handle_exit(sig, frame)
