"""The service over HTTP. Data flow: request > Guard > routes > Service.

A client names a job by its id, which is looked up, and a result by its name, which is compared with
those that the job has; the body of an upload is its bytes alone.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Path, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.requests import ClientDisconnect

from fusion.serving.folders import OUT, new_id
from fusion.serving.jobs import Job
from fusion.serving.service import NoSpace, QueueFull, Service
from fusion.serving.settings import LOCAL_HOSTS, ServiceSettings
from fusion.serving.web import page
from fusion.serving.web.events import changes_of
from fusion.serving.web.guard import Guard, require_token
from fusion.serving.web.media_check import media_found
from fusion.serving.web.models import TYPES, Health, JobView, Problem, job_view
from fusion.serving.web.upload import TooLarge, TooSlow, receive

ALONE = "sandbox allow-scripts allow-downloads; frame-ancestors 'none'"
"""What a report may do beside what it allows itself."""
JobId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="Id of a job.")]
_BODY = {
    "requestBody": {
        "required": True,
        "description": "The video or sound itself, as bytes: no form. `curl -T talk.mp4 -X POST`.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_FILE: dict[str, Any] = {"content": {kind: {} for kind in TYPES.values()}}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem} for status in statuses}


open_routes = APIRouter()
routes = APIRouter(dependencies=[Depends(require_token)], responses=_problems(401, 403))


def service_of(request: Request) -> Service:
    """The service that a request is for."""
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(service_of)]


def wanted(service: Served, job: JobId) -> Job:
    """The job that a client names; 404 if there is none."""
    found = service.store.get(job)
    if found is None:
        raise HTTPException(404, "no such job")
    return found


Wanted = Annotated[Job, Depends(wanted)]


@open_routes.get("/", include_in_schema=False)
def upload_page() -> Response:
    """A page to upload with."""
    return page.answer()


@open_routes.get("/health", responses={503: {"model": Health}})
def health(service: Served, response: Response) -> Health:
    """Whether uploads are taken and worked on."""
    status = service.status()
    response.status_code = 200 if status == "ok" else 503
    return Health(status=status)


@routes.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def metrics(service: Served) -> Response:
    """Counters in the text format of Prometheus."""
    text = service.metrics.text(service.store, service.folders.free(), service.working)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@routes.post(
    "/jobs",
    status_code=202,
    openapi_extra=_BODY,
    responses=_problems(408, 413, 415, 429, 503, 507),
)
async def upload(service: Served, request: Request, response: Response) -> JobView:
    """Takes in a video or sound; the answer is the job, whose id is the only way to it."""
    if service.stopping.is_set():
        raise HTTPException(503, "the service is being stopped", {"Retry-After": "30"})
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise HTTPException(415, "send the file itself as the body, not a form")
    outcome = "aborted"
    try:
        with service.place():
            job = await _taken_in(service, request)
        outcome = "accepted"
    except QueueFull:
        outcome, after = "queue_full", str(service.retry_after())
        raise HTTPException(429, "too many wait; try again", {"Retry-After": after}) from None
    except NoSpace:
        outcome = "no_space"
        raise HTTPException(507, "the disk of the service is full") from None
    except TooLarge:
        outcome = "too_large"
        raise HTTPException(413, f"more than {service.settings.limit:,} bytes") from None
    except TooSlow:
        outcome = "too_slow"
        raise HTTPException(408, "the upload took too long, or stood still") from None
    except ClientDisconnect:
        raise HTTPException(400, "the upload was broken off") from None
    except NotMedia:
        outcome = "not_media"
        raise HTTPException(415, "neither a video nor sound that can be decoded") from None
    finally:
        service.metrics.upload(outcome)
    response.headers["Location"] = f"/jobs/{job.id}"
    return job_view(job, service)


class NotMedia(Exception):
    """An upload that is neither a video nor sound."""


async def _taken_in(service: Service, request: Request) -> Job:
    """Receives an upload, checks it and makes it a job; nothing of it is left otherwise."""
    settings, name = service.settings, new_id()
    if _length(request) > settings.limit:
        raise TooLarge
    path = service.folders.incoming(name)
    try:
        size = await receive(
            aiter(request.stream()),
            path,
            limit=settings.limit,
            idle=settings.idle,
            whole=settings.upload_time,
        )
        if not await media_found(path):
            raise NotMedia
        return service.accept(name, size)
    except BaseException:
        service.folders.remove(name)
        raise


def _length(request: Request) -> int:
    """Bytes that a client says it will send; 0 if it does not say. They are counted anyway."""
    said = request.headers.get("content-length", "")
    return int(said) if said.isdecimal() else 0


@routes.get("/jobs/{job}", responses=_problems(404))
def state(service: Served, job: Wanted) -> JobView:
    """A job as it stands."""
    return job_view(job, service)


@routes.get(
    "/jobs/{job}/events",
    response_class=StreamingResponse,
    responses={**_problems(404), 200: {"content": {"text/event-stream": {}}}},
)
async def events(service: Served, job: Wanted) -> StreamingResponse:
    """Server-sent events: the job at each change, by the name of its state, until its end."""
    return StreamingResponse(changes_of(service, job.id), media_type="text/event-stream")


@routes.get(
    "/jobs/{job}/files/{name}",
    response_class=FileResponse,
    responses={**_problems(404, 410), 200: _FILE},
)
def file(service: Served, job: Wanted, name: str) -> FileResponse:
    """A result of a job that is done."""
    if job.state == "expired":
        raise HTTPException(410, "the files of this job are gone")
    own = next((own for own, _ in job.files if own == name), None)
    if own is None:
        raise HTTPException(404, "no such result")
    path = service.folders.job(job.id) / OUT / own
    if not path.is_file():  # deleted since the job was looked up
        raise HTTPException(410, "the files of this job are gone")
    ending = FilePath(own).suffix
    kind = TYPES.get(ending, "application/octet-stream")
    if ending == ".html":  # shown, though as a page of nowhere, which cannot ask this service
        headers = {"Content-Security-Policy": ALONE}
        return FileResponse(path, media_type=kind, headers=headers)
    return FileResponse(path, media_type=kind, filename=own)


@routes.delete("/jobs/{job}", responses=_problems(404))
def delete(service: Served, job: Wanted) -> JobView:
    """Cancels a job, or removes its results; its files are gone when the answer comes."""
    service.delete(job)
    return job_view(wanted(service, job.id), service)


def create_app(settings: ServiceSettings) -> FastAPI:
    """The application; its service starts and stops with it.

    Raises:
        UserError: If another service works in the folder.
    """
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.stop()

    app = FastAPI(
        title="affuse",
        version=metadata.version("affuse"),
        description="Affect from faces and voices: upload a video or sound, get predictions.",
        lifespan=lifespan,
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.include_router(open_routes)
    app.include_router(routes)
    app.add_middleware(Guard, hosts=() if settings.token else LOCAL_HOSTS)
    return app
