"""`python -m features.extract`: from a folder of videos to a store of feature tracks.

Data flow: folder > sources > shard > plan (what is missing) > claim > workers, an item each at a
time > tracks > summary.

    python -m features.extract                                 # the demo corpus
    python -m features.extract /data/Aff-Wild2                 # your own
    python -m features.extract --encoders expression,wav2vec2 --wav2vec2.model DIR
    python -m features.extract /data/Aff-Wild2 --plan          # how long, how big
    python -m features.extract /data/Aff-Wild2 --shard 3/8     # one of 8 machines
    python -m features.extract /data/Aff-Wild2 --retry_failed
    python -m features.extract /data/Aff-Wild2 --persons all   # instead of 2 a video
    python -m features.extract /data/Aff-Wild2 --workers 4     # instead of auto
    python -m features.extract /data/Aff-Wild2 --executor ray  # a Ray cluster

A second run does only what is missing, damaged, or changed in source, weights or settings. Any
number of runs may work on one store: each takes what no other works on. What failed is listed in
`STORE/failures.csv` and passed over until the file or a setting changes. A SLURM script is in
features/execution/sharding.py.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from features.cli.app import FAILED, OK, run
from features.cli.default_corpus import default_store, root_or_demo
from features.cli.progress import hearer
from features.cli.wording import counted
from features.encoders.device import resolve_device
from features.encoders.registry import EncoderSettings, require_streams_of_their_own
from features.errors import UserError
from features.execution.cost_estimate import estimate_cost
from features.execution.executors import Executor, InProcessExecutor, ProcessExecutor
from features.execution.forkserver import warm_up
from features.execution.job import JobResult, Recipe, run_job
from features.execution.resources import parse_workers, share, threads_of_a_worker
from features.execution.scheduler import Scheduler
from features.execution.sharding import in_shard
from features.execution.telling import Progress, telling
from features.faces.detect import FaceSettings
from features.media import Reader
from features.pipeline.discovery import Source, look_through, require_distinct
from features.pipeline.planner import FACES, Plan, TrackSettings
from features.pipeline.source_hashes import SourceHashes
from features.pipeline.summary import ExtractSummary
from features.store.claims import INDEX, Claims
from features.store.cleanup import sweep
from features.store.person_names import parse_persons
from features.store.temp_folders import sweep_folders
from features.store.track_store import TrackStore

if TYPE_CHECKING:  # loads torch
    from features.pipeline.extractor import Extractor

log = logging.getLogger("features.extract")  # as a command the module has another name


@dataclass
class SourceSettings:
    """Where videos are and where tracks go.

    Args:
        root: Folder with videos, sound or ready-made crops at any depth, or one file. None: the
            demo corpus.
        store: Folder of the tracks. None: `ROOT/tracks`.
        crops_fps: Frame rate of ready-made crops that have no video beside them.
    """

    root: Path | None = None
    store: Path | None = None
    crops_fps: float | None = None


@dataclass
class ExtractSettings(EncoderSettings):
    """Settings of extraction.

    Args:
        data: Where videos are and where tracks go.
        encoders: Names of the encoders to run. Prosody costs little; the report shows it.
        faces: How faces are found, followed and cut out.
        persons: Who is kept: `main` (who fills most of a video), so many at most (of two who are
            in view together, `left` and `right` besides), or `all`.
        reader: Who decodes pictures: `pyav`, or `decord` where it gives the same ones.
        shard: `i/N`: only the i-th of N parts of about equal work, e.g. `3/8`. None: everything.
        plan: Only say what there is to do and how long it would take.
        retry_failed: Try again what failed before, though nothing has changed.
        workers: Worker processes (with Ray: actors). `auto` goes by cores, memory and GPUs; 0 works
            in this process, where there is no time limit.
        time_limit: Seconds that an item may go without progress before it is given up; 0: any.
        executor: `local` for this machine, `ray` for a cluster that shares the folders.
        ray_address: `auto` (a cluster that runs here, or the one in `RAY_ADDRESS`), `local` (starts
            one here), or `HOST:PORT`.
    """

    POSITIONAL: ClassVar[str] = "data.root"
    ESSENTIAL: ClassVar[tuple[str, ...]] = (
        "data.store",
        "encoders",
        "persons",
        "device",
        "workers",
        "time_limit",
        "retry_failed",
        "plan",
        "shard",
        "faces.every",
    )

    data: SourceSettings = field(default_factory=SourceSettings)
    encoders: list[str] = field(default_factory=lambda: ["expression", "wav2vec2", "prosody"])
    faces: FaceSettings = field(default_factory=FaceSettings)
    persons: str = "2"
    reader: Reader = "pyav"
    shard: str | None = None
    plan: bool = False
    retry_failed: bool = False
    workers: str = "auto"
    time_limit: float = 300.0
    executor: Literal["local", "ray"] = "local"
    ray_address: str = "auto"

    def check(self) -> None:
        """Raises UserError, naming the setting, for one that is out of range."""
        self.faces.check()
        fps = self.data.crops_fps
        if fps is not None and not 0 < fps < float("inf"):
            raise UserError(f"--data.crops_fps {fps} must be above 0")
        if not 0 <= self.time_limit < float("inf"):
            raise UserError(f"--time_limit {self.time_limit} must be at least 0; 0 is no limit")


def extract(settings: ExtractSettings) -> ExtractSummary:
    """Extracts what is missing; one bad item never stops the others.

    Raises:
        UserError: If there is nothing to extract or an encoder cannot be built.
        OSError: If the store can no longer be written to; finished work is kept.
    """
    settings.check()
    root = root_or_demo(settings.data.root)
    if settings.executor == "local" and parse_workers(settings.workers) != 0 and not settings.plan:
        warm_up()
    store = settings.data.store or default_store(root)
    found = look_through(root, store)
    require_distinct(found.sources, parse_persons(settings.persons))
    sources = in_shard(found.sources, settings.shard)
    hashes, recipe = SourceHashes(store / "sources.json"), _recipe(settings, store)
    _check_device(settings)
    planner = recipe.planner(hashes)
    require_streams_of_their_own(planner.encoders, TrackStore(store))
    summary = ExtractSummary(store, len(sources), passed=found.passed, unreadable=found.unreadable)
    streams = {FACES, *(stream for one in planner.encoders for stream in one.streams)}
    with Claims(store) as claims, _swept(store, streams, claims):
        scheduler = Scheduler(planner, claims, summary, settings.retry_failed)
        plans = scheduler.plans(sources)
        with claims.lock(INDEX):
            hashes.save()
        items = counted(len(sources), "item")
        log.info("%s below %s: %d ready, %d to do", items, root, summary.ready, len(plans))
        if settings.plan:
            with threads_of_a_worker():
                _print_plan(settings, plans, recipe, hashes)
        elif plans:
            with _executor(settings, recipe, hashes, len(plans)) as executor:
                scheduler.work(plans, executor)
    return summary


def _recipe(settings: ExtractSettings, store: Path) -> Recipe:
    """What workers build their extractors from."""
    own = EncoderSettings.within(settings)
    tracks = TrackSettings(
        settings.faces, settings.data.crops_fps, settings.persons, settings.reader
    )
    return Recipe(store, own, tuple(settings.encoders), tracks)


def _check_device(settings: ExtractSettings) -> None:
    """Complains of an absent device here rather than in every worker."""
    if settings.executor == "local" and settings.device not in ("auto", "cpu"):
        resolve_device(settings.device)


def _extractors(
    settings: ExtractSettings, recipe: Recipe, hashes: SourceHashes
) -> "Callable[[Path], Extractor]":
    """Makes extractors of this process for any store, all with the same encoders."""
    encoders = recipe.encoders_on(settings.device)
    return lambda store: recipe.extractor(store, hashes, encoders, settings.device)


@contextmanager
def _executor(
    settings: ExtractSettings, recipe: Recipe, hashes: SourceHashes, items: int
) -> Iterator[Executor]:
    """Who makes the items; all workers end with the context."""
    executor: Executor
    if settings.executor == "ray":
        from features.execution.ray_executor import (
            RayExecutor,  # an extra that need not be installed
        )

        executor = RayExecutor(recipe, settings.workers, items, settings.device,
                       address=settings.ray_address, time_limit=settings.time_limit)  # fmt: skip
        with closing(executor):
            yield executor
        return
    machine = share(settings.workers, items, settings.device)
    if machine.workers:
        with closing(ProcessExecutor(recipe, machine, settings.time_limit)) as executor:
            yield executor
        return
    with threads_of_a_worker():
        extractor = _extractors(settings, recipe, hashes)(recipe.store)
        hearing = hearer() if items == 1 else None
        told = partial(hearing, "extract") if hearing else None
        yield InProcessExecutor(partial(_made, extractor, told))


def _made(extractor: "Extractor", told: Progress | None, source: Source) -> JobResult:
    """Makes an item in this process; an only one tells how far it is."""
    with telling(told, source, extractor):
        return run_job(extractor, source)


def _print_plan(
    settings: ExtractSettings, plans: Sequence[Plan], recipe: Recipe, hashes: SourceHashes
) -> None:
    """Says what there is to do and how long the workers of these settings would take here."""
    workers = share(settings.workers, len(plans), settings.device).workers
    extractor_in = _extractors(settings, recipe, hashes)
    print(estimate_cost(plans, recipe.store, extractor_in, workers))


@contextmanager
def _swept(store: Path, streams: Collection[str], claims: Claims) -> Iterator[None]:
    """Removes temporary files: before, those of dead runs; after, those of workers killed here."""
    sweep_folders()
    sweep(store, streams, claims)
    try:
        yield
    finally:
        # What stopped the run is told, not that the store cannot be swept either.
        with suppress(OSError):
            claims.release_all()
            sweep(store, streams, claims)


def command(settings: ExtractSettings) -> int:
    """Runs an extraction and prints its summary, or only says what it would do."""
    summary = extract(settings)
    if settings.plan:
        return OK
    print(summary)
    return OK if summary.complete else FAILED


main = partial(run, ExtractSettings, command, prog="features.extract", description=__doc__ or "")

if __name__ == "__main__":
    main()
