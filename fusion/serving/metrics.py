"""What the service counts, in the text format of Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary, generate_latest

from fusion.serving.jobs import JobStore, State

OUTCOMES = ("accepted", "too_large", "too_slow", "not_media", "queue_full", "no_space", "aborted")
"""What can become of an upload."""


class Metrics:
    """Counters of one service.

    Attributes:
        starts: Processes that were started to work.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._uploads = Counter(
            "affuse_uploads", "Uploads by what became of them", ["outcome"], registry=registry
        )
        for outcome in OUTCOMES:
            self._uploads.labels(outcome)
        self._jobs = Gauge("affuse_jobs", "Jobs by state", ["state"], registry=registry)
        self._ended = Counter("affuse_jobs_ended", "Jobs ended", ["state"], registry=registry)
        self._seconds = Summary("affuse_job_seconds", "Time that jobs took", registry=registry)
        self._free = Gauge("affuse_disk_free_bytes", "Free on the disk", registry=registry)
        self._workers = Gauge("affuse_workers", "Threads that take jobs", registry=registry)
        self.starts = Counter("affuse_worker_starts", "Processes started", registry=registry)

    def upload(self, outcome: str) -> None:
        """Counts an upload."""
        self._uploads.labels(outcome).inc()

    def ended(self, state: State, seconds: float) -> None:
        """Counts a job that ended."""
        self._ended.labels(state).inc()
        self._seconds.observe(seconds)

    def text(self, store: JobStore, free: int, workers: int) -> bytes:
        """All of it, as it stands."""
        for state, count in store.counts().items():
            self._jobs.labels(state).set(count)
        self._free.set(free)
        self._workers.set(workers)
        return generate_latest(self._registry)
