"""A job's progress as server-sent events. Data flow: job as it stands > its changes > lines."""

import asyncio
import time
from collections.abc import AsyncIterator

from fusion.serving.service import Service
from fusion.serving.web.models import job_view

LOOK = 0.25
"""Seconds between looks."""
ALIVE = 15.0
"""Seconds after which a comment shows that the line is open, where nothing changes."""


async def changes_of(service: Service, name: str) -> AsyncIterator[str]:
    """An event, named as the state, at each change of a job until its end."""
    told, last = "", time.monotonic()
    while not service.stopping.is_set():
        job = service.store.get(name)
        if job is None:
            return
        now, view = time.monotonic(), job_view(job, service).model_dump_json()
        if view != told:
            told, last = view, now
            yield f"event: {job.state}\ndata: {view}\n\n"
        elif now >= last + ALIVE:
            last = now
            yield ": \n\n"
        if job.state not in ("queued", "running"):
            return
        await asyncio.sleep(LOOK)
