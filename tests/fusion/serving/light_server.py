"""A server whose work is quick, as a process: `python -m tests.fusion.serving.light_server`."""

import sys
from pathlib import Path

from features.cli.signals import terminable
from fusion.serve import listening
from fusion.serving.settings import ServiceSettings
from fusion.serving.web.app import create_app
from fusion.serving.web.server import Server
from tests.fusion.serving.works import ScriptedWork

if __name__ == "__main__":
    given = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    folder = Path(given["--folder"])
    settings = ServiceSettings(
        folder, ScriptedWork(folder.parent / "order"), queue=int(given["--queue"]), reserve=0
    )
    with terminable(), listening("127.0.0.1", int(given["--port"])) as listener:
        Server.of(create_app(settings)).run_until_stopped(listener)
