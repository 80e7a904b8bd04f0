"""The Ray cluster: how it is found, and how it is divided among actors.

Data flow: address > connection; resources of the nodes > ActorNeeds.
"""

import logging
import os
import signal
from dataclasses import dataclass
from typing import Any

from features.errors import UserError
from features.execution.resources import GPU_WORKERS, WORKER_BYTES, parse_workers


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
