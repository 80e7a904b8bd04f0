"""An executor on a Ray cluster: the extra `affuse[ray]`.

Data flow: address > cluster > how many actors; sources > `submit` > actors on any node > `wait` >
JobResults.

Each actor watches one worker process on its node, as ProcessExecutor does: hangs and crashes are an
item's fault there and then. An actor that is lost, with its node or without, is no item's fault:
the item goes to another. All nodes see the data and the store under the same paths.
"""

import logging
import os
import signal
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.errors import UserError
from features.execution.executors import ProcessExecutor
from features.execution.job import JobResult
from features.execution.resources import GPU_WORKERS, WORKER_BYTES, Share, parse_workers
from features.execution.worker import Builder

if TYPE_CHECKING:
    from features.pipeline.discovery import Source

POLL = 1.0
"""Seconds between looks at the cluster when nothing happens."""
LOSSES = 4
"""How often an item may lose its actor before it is given up."""
START_FAILURES = 4
"""How many actors may fail to start, with none that works in between."""


log = logging.getLogger(__name__)


class RayExecutor:
    """Actors on the nodes of a cluster, each with a worker process of its own.

    Args:
        build: Builds what each worker works with.
        workers: Number of actors, or `auto`: one for each core or share of a GPU that has memory.
        items: Items to do; more actors are useless.
        device: Where encoders compute.
        address: `auto`, `local` or the cluster's address.
        time_limit: Seconds that an item may go without progress; 0: any time.

    Raises:
        UserError: If Ray is absent or no cluster is found.
    """

    def __init__(
        self,
        build: Builder,
        workers: str,
        items: int,
        device: str,
        *,
        address: str = "auto",
        time_limit: float = 0.0,
    ) -> None:
        self._ray, self._ours = connected(address)
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        self._needs = actor_needs(nodes, workers, items, device)
        one = Share(1, (device,))
        self._arguments = build, one, time_limit
        self._seats = [self._new_seat() for _ in range(self._needs.actors)]
        self._queue, self._losses = deque["Source"](), Counter[str]()
        self._start_failures = 0

    @property
    def free(self) -> int:
        """Actors that have no item; those that are starting count."""
        busy = sum(seat.source is not None for seat in self._seats)
        return len(self._seats) - busy - len(self._queue)

    def submit(self, source: "Source") -> None:
        """Gives an item to the first actor that is free."""
        self._queue.append(source)
        self._hand_out()

    def wait(self) -> list[JobResult]:
        """Waits for at least one of the items submitted; none if there are none.

        Raises:
            UserError: If actors cannot start.
        """
        while self._queue or any(seat.source for seat in self._seats):
            self._hand_out()
            calls = {seat.call: seat for seat in self._seats if seat.call is not None}
            ready, _ = self._ray.wait(list(calls), num_returns=1, timeout=POLL)
            if results := [o for o in (self._take_in(calls[call]) for call in ready) if o]:
                return results
        return []

    def close(self) -> None:
        """Ends the actors, and the connection if it was made here."""
        for seat in self._seats:
            self._ray.kill(seat.actor)
        if self._ours:
            self._ray.shutdown()

    def _new_seat(self) -> "_Seat":
        """A place with an actor that starts as soon as a node has room for it."""
        kind = self._ray.remote(num_cpus=1, num_gpus=self._needs.gpus)(Supervisor)
        actor = kind.remote(*self._arguments)
        return _Seat(actor, actor.begin.remote())

    def _hand_out(self) -> None:
        """Gives what waits to actors that have started and are free."""
        for seat in self._seats:
            if self._queue and seat.call is None:
                seat.source = self._queue.popleft()
                seat.call = seat.actor.make.remote(seat.source)

    def _take_in(self, seat: "_Seat") -> JobResult | None:
        """What a call has brought; None if the actor has started or is lost."""
        errors = self._ray.exceptions
        try:
            result = self._ray.get(seat.call)
        except errors.RayTaskError as error:
            raise error.cause from error
        except errors.RayError as error:  # the actor is dead, or its node is
            return self._lost(seat, error)
        source, seat.call, seat.source = seat.source, None, None
        self._start_failures = 0
        return result if source else None

    def _lost(self, seat: "_Seat", error: Exception) -> JobResult | None:
        """Puts a new actor in the place of a lost one; its item goes to whoever is free first."""
        self._seats[self._seats.index(seat)] = self._new_seat()
        if seat.source is None:
            self._start_failures += 1
            if self._start_failures < START_FAILURES:
                return None
            why = " ".join(str(error).split())[:300]
            raise UserError(f"Ray's workers cannot start: {why}; is affuse on all nodes?")
        name = seat.source.id
        self._losses[name] += 1
        if self._losses[name] < LOSSES:
            log.warning("%s: lost with its node; goes to another", name)
            self._queue.appendleft(seat.source)
            return None
        cause = f"{name}: its worker on the Ray cluster was lost {LOSSES} times; see Ray's logs"
        return JobResult(name, cause=cause)


@dataclass(eq=False)
class _Seat:
    """An actor, its present call (of `begin` at first), and the item it is at."""

    actor: Any
    call: Any
    source: "Source | None" = None


class Supervisor:
    """The actor: watches one worker process on its node.

    Args:
        build: Builds what the worker works with.
        share: That one worker's threads and device.
        time_limit: As of ProcessExecutor.
    """

    def __init__(self, build: Builder, share: Share, time_limit: float) -> None:
        self._executor = ProcessExecutor(build, share, time_limit)

    def begin(self) -> None:
        """Tells, by returning, that the actor has started."""

    def make(self, source: "Source") -> JobResult:
        """Makes an item."""
        self._executor.submit(source)
        return self._executor.wait()[0]


@dataclass(frozen=True)
class ActorNeeds:
    """How many actors, of a core each, and what else Ray is to set aside for each.

    Attributes:
        actors: Number of actors.
        gpus: Share of a GPU; 0 on the CPU.
    """

    actors: int
    gpus: float


def actor_needs(nodes: list[dict[str, float]], workers: str, items: int, device: str) -> ActorNeeds:
    """Divides a cluster.

    Args:
        nodes: Resources (`CPU`, `GPU`, `memory` in bytes) of each living node.
        workers: `auto` or a number.
        items: Items to do.
        device: Where encoders compute; GPUs are used unless it is `cpu`.

    Raises:
        UserError: If no node has a CPU, or no actor is wanted.
    """
    able = [node for node in nodes if node.get("CPU", 0) >= 1]
    wanted = parse_workers(workers)
    if not able or wanted == 0:
        raise UserError("--executor ray: needs a node with CPUs, and --workers of at least 1")
    gpus = sum(node.get("GPU", 0) for node in able) if device != "cpu" else 0
    if wanted is None:
        places = sum(_places(node) for node in able)
        wanted = max(1, min(places, int(gpus * GPU_WORKERS)) if gpus else places)
    actors = max(1, min(wanted, items))
    return ActorNeeds(actors, min(1.0, int(gpus / actors * 1e4) / 1e4))


def _places(node: dict[str, float]) -> int:
    """Workers for which a node has cores and memory."""
    memory = node.get("memory")
    cores = int(node["CPU"])
    return cores if memory is None else min(cores, int(memory / WORKER_BYTES))


def connected(address: str) -> tuple[Any, bool]:
    """Ray, and whether it was connected to a cluster here and now.

    Raises:
        UserError: If Ray is absent or no cluster is found.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError("--executor ray: Ray is absent; pip install 'affuse[ray]'") from error
    if ray.is_initialized():
        return ray, False
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address == "local":
        options["include_dashboard"] = False
    elif address == "auto":
        address = os.environ.get("RAY_ADDRESS", "auto")
    on_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        why = " ".join(str(error).split())[:200]
        raise UserError(
            f"--ray_address {address}: no Ray cluster ({why}); start one with `ray start --head`,"
            " or give local"
        ) from error
    signal.signal(signal.SIGTERM, on_sigterm)  # Ray puts its own in the place of the command's
    return ray, True
