"""What clients are told, as it stands in the OpenAPI description, with examples."""

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from fusion.serving.jobs import Job, State
from fusion.serving.service import Service

_ID = "0f8fad5bd9cb469fa16570867728950e"
TYPES = {
    ".parquet": "application/vnd.apache.parquet",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".mp4": "video/mp4",
}
"""Endings of results and how they are served; others as bytes."""


class FileView(BaseModel):
    """A result: `clip.parquet`, `clip.csv` with `clip.csv.json`, `summary.txt`, `report.html`."""

    name: str
    bytes: int
    url: str

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "clip.parquet",
                    "bytes": 76521,
                    "url": f"/jobs/{_ID}/files/clip.parquet",
                }
            ]
        }
    )


class JobView(BaseModel):
    """A job: its state, how far it is, and its results when it is done."""

    id: str
    state: State
    stage: str
    share: float
    before: int | None
    created: datetime
    started: datetime | None
    ended: datetime | None
    expires: datetime | None
    cause: str
    files: list[FileView]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": _ID,
                    "state": "running",
                    "stage": "extract",
                    "share": 0.4,
                    "before": None,
                    "created": "2026-11-27T12:00:00Z",
                    "started": "2026-11-27T12:00:01Z",
                    "ended": None,
                    "expires": None,
                    "cause": "",
                    "files": [],
                }
            ]
        }
    )


class Health(BaseModel):
    """Whether the service works."""

    status: Literal["ok", "stopping", "no worker", "no space"]

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str

    model_config = ConfigDict(json_schema_extra={"examples": [{"detail": "no such job"}]})


def job_view(job: Job, service: Service) -> JobView:
    """What a client is told of a job."""
    ended = job.ended if job.state != "expired" else None
    return JobView(
        id=job.id,
        state=job.state,
        stage=job.stage,
        share=job.share,
        before=service.store.waiting_before(job) if job.state == "queued" else None,
        created=_moment(job.created),
        started=_moment(job.started) if job.started else None,
        ended=_moment(job.ended) if job.ended else None,
        expires=_moment(ended + service.settings.keep) if ended else None,
        cause=job.cause,
        files=[
            FileView(name=name, bytes=size, url=f"/jobs/{job.id}/files/{name}")
            for name, size in job.files
        ],
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
