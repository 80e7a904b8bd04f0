"""The service under load: many uploads, some broken off, some garbage, its processes killed.

    python -m experiments.benchmarks.service_load
    python -m experiments.benchmarks.service_load --uploads 20 --clients 3

Data flow: a clip made here > clients > `fusion.serve`, whose worker and server are killed on the
way > every job's end > table. A client that gets no answer, or 429, sends again.
"""

import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil

from experiments.demo.clips import plan_clips, shoot
from experiments.pages import table, write_page
from features.cli.app import FAILED, OK, run
from features.cli.progress import ProgressReport

MB = 1 << 20
ABORTED, GARBAGE = 0.10, 0.05
"""Shares of the uploads."""
WORKER, SERVER = 1 / 3, 2 / 3
"""Shares of the uploads after which each is killed."""


@dataclass
class ServiceLoadSettings:
    """Settings of the measurement.

    Args:
        clip: What is uploaded. None: a second of the demo corpus.
        uploads: How many there are.
        clients: How many send at a time.
        seed: Of the order of good and bad uploads.
        server: Words that start the service; folder, port and queue are added.
        out: The page that is written. None: none.
    """

    clip: Path | None = None
    uploads: int = 100
    clients: int = 5
    seed: int = 0
    server: list[str] = field(default_factory=lambda: [sys.executable, "-m", "fusion.serve"])
    out: Path | None = Path(__file__).parents[1] / "results/service-load.md"


class Supervisor:
    """Starts the service, and anew after it was killed; notes the memory that it takes.

    Args:
        words: Words that start it.
        folder: Its folder.
    """

    def __init__(self, words: list[str], folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.folder = folder
        self._words = [*words, "--folder", str(folder), "--port", str(self.port), "--queue", "8"]
        self.memory: list[tuple[float, float]] = []
        """MB of the server and of its processes, each second."""
        self._over = threading.Event()
        self.start()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()

    def start(self) -> None:
        """Starts the service."""
        self.process = psutil.Popen(self._words, stdout=subprocess.DEVNULL)

    def kill_worker(self) -> None:
        """Kills the process that works, as soon as there is one."""
        while not (found := self._workers()):
            time.sleep(0.05)
        found[0].kill()

    def kill_server(self) -> None:
        """Kills the server, and starts it anew."""
        self.process.kill()
        self.process.wait()
        self.start()

    def stop(self) -> int:
        """Stops it in good order; its exit status."""
        self._over.set()
        self._watch.join()
        self.process.terminate()
        return int(self.process.wait(30))

    def _workers(self) -> list[psutil.Process]:
        return [
            child
            for child in self.process.children()
            if any("spawn_main" in word for word in child.cmdline())
        ]

    def _look(self) -> None:
        while not self._over.wait(1):
            with suppress(psutil.NoSuchProcess):
                own = self.process.memory_info().rss / MB
                self.memory.append((own, sum(w.memory_info().rss for w in self._workers()) / MB))


class Load:
    """Clients of one service.

    Args:
        service: The service.
        body: Bytes of the clip.
    """

    def __init__(self, service: Supervisor, body: bytes) -> None:
        self.service, self.body = service, body
        self.ended: Counter[str] = Counter()
        self.jobs: list[str] = []
        self.full = self.unanswered = 0
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=60)

    def one(self, kind: str) -> None:
        """One upload of a kind to its end."""
        if kind == "aborted":
            self._aborted()
            self.ended[kind] += 1
        elif kind == "garbage":
            answer = self._answered("POST", "/jobs", random.Random(1).randbytes(5000))
            self.ended["refused" if answer.status_code == 415 else "garbage taken"] += 1
        else:
            self._good()

    def delete(self) -> None:
        """Deletes all jobs."""
        for name in self.jobs:
            self._answered("DELETE", f"/jobs/{name}")

    def _good(self) -> None:
        while (answer := self._answered("POST", "/jobs", self.body)).status_code == 429:
            self.full += 1
            time.sleep(min(float(answer.headers["retry-after"]), 1.0))
        answer.raise_for_status()
        name = answer.json()["id"]
        self.jobs.append(name)
        while (job := self._answered("GET", f"/jobs/{name}").json())["state"] in (
            "queued",
            "running",
        ):
            time.sleep(0.2)
        self.ended[job["state"] if job["files"] or job["state"] != "done" else "empty"] += 1

    def _aborted(self) -> None:
        head = f"POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(self.body)}\r\n\r\n"
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.service.port)) as line:
            line.sendall(head.encode() + self.body[: len(self.body) // 2])

    def _answered(self, method: str, path: str, body: bytes | None = None) -> httpx.Response:
        """The answer, asked for until there is one."""
        while True:
            try:
                return self._client.request(method, path, content=body)
            except httpx.TransportError:
                self.unanswered += 1
                time.sleep(0.2)


def kinds(settings: ServiceLoadSettings) -> list[str]:
    """What each upload is, in a random order."""
    aborted, garbage = (max(1, round(settings.uploads * share)) for share in (ABORTED, GARBAGE))
    good = settings.uploads - aborted - garbage
    found = ["aborted"] * aborted + ["garbage"] * garbage + ["good"] * good
    random.Random(settings.seed).shuffle(found)
    return found


def clip_of(settings: ServiceLoadSettings) -> bytes:
    """What is uploaded."""
    if settings.clip:
        return settings.clip.read_bytes()
    with TemporaryDirectory() as folder:
        (plan,) = plan_clips(1, settings.seed, 1.0)
        shoot(plan, settings.seed, Path(folder) / "clip.mp4")
        return (Path(folder) / "clip.mp4").read_bytes()


def command(settings: ServiceLoadSettings) -> int:
    """Runs the load and writes the page."""
    body = clip_of(settings)
    todo = kinds(settings)
    with TemporaryDirectory() as folder:
        service = Supervisor(settings.server, Path(folder) / "served")
        load, began = Load(service, body), time.monotonic()
        killers = {
            round(len(todo) * WORKER): service.kill_worker,
            round(len(todo) * SERVER): service.kill_server,
        }
        with (
            ProgressReport("uploads", len(todo)) as progress,
            ThreadPoolExecutor(settings.clients) as pool,
        ):
            for count, _ in enumerate(pool.map(load.one, todo), 1):
                killers.get(count, lambda: None)()
                progress.step("")
        took = time.monotonic() - began
        load.delete()
        left = [path for path in (service.folder / "jobs").rglob("*") if path.is_file()]
        left += [*(service.folder / "incoming").iterdir()]
        status = service.stop()
    wanted = Counter(todo)
    hoped = {"done": wanted["good"], "refused": wanted["garbage"], "aborted": wanted["aborted"]}
    good = load.ended == hoped and not left and status == 0
    write_page(page(settings, load, service, took, len(left), status), settings.out)
    return OK if good else FAILED


def page(
    settings: ServiceLoadSettings,
    load: Load,
    service: Supervisor,
    took: float,
    left: int,
    status: int,
) -> str:
    """The page of results."""
    asked = Counter(kinds(settings))
    rows = [
        {"": "good; done", "count": f"{asked['good']}; {load.ended['done']}"},
        {"": "garbage; refused", "count": f"{asked['garbage']}; {load.ended['refused']}"},
        {"": "broken off", "count": f"{asked['aborted']}"},
        {"": "answers 429 on the way", "count": f"{load.full}"},
        {"": "requests without an answer (the server was away)", "count": f"{load.unanswered}"},
        {"": "files left after all jobs were deleted", "count": f"{left}"},
        {"": "exit status of the server at SIGTERM", "count": f"{status}"},
        {"": "seconds in all", "count": f"{took:.0f}"},
    ]
    thirds = [_third(service.memory, i) for i in range(3)]
    memory = [
        {"": "server", **{f"third {i + 1}": f"{own:.0f}" for i, (own, _) in enumerate(thirds)}},
        {"": "worker", **{f"third {i + 1}": f"{work:.0f}" for i, (_, work) in enumerate(thirds)}},
    ]
    size = len(load.body) / 1024
    return f"""# The service under load

`python -m experiments.benchmarks.service_load`, {date.today()}: {settings.uploads} uploads of
{size:.0f} KiB by {settings.clients} clients, 10 % broken off and 5 % garbage; after a third of them
the worker was killed, after two thirds the server (SIGKILL).

{table(rows)}

Memory in MB, the median over each third of the time:

{table(memory)}
"""


def _third(memory: list[tuple[float, float]], number: int) -> tuple[float, float]:
    size = max(1, len(memory) // 3)
    part = memory[number * size : (number + 1) * size] or [(0.0, 0.0)]
    return statistics.median(own for own, _ in part), statistics.median(work for _, work in part)


if __name__ == "__main__":
    run(
        ServiceLoadSettings,
        command,
        prog="experiments.benchmarks.service_load",
        description=__doc__.split("\n")[0],
    )
