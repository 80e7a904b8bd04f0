"""`python -m features.extract`: from a folder of videos to a store of feature tracks.

Data flow: folder > sources > shard > plan (what is missing) > claim > work, item by item > tracks
> summary.

    python -m features.extract                                  # the demo corpus
    python -m features.extract --data.root /data/Aff-Wild2      # your own
    python -m features.extract --encoders '[expression,wav2vec2]' --wav2vec2.model DIR
    python -m features.extract --data.root /data/Aff-Wild2 --plan true       # how long, how big
    python -m features.extract --data.root /data/Aff-Wild2 --shard 3/8       # one of 8 machines
    python -m features.extract --data.root /data/Aff-Wild2 --retry_failed true

A second run does only what is missing, damaged, or changed in source, weights or settings. Any
number of runs may work on one store: each takes what no other works on. What failed is listed in
`STORE/failures.csv` and passed over until the file or a setting changes. A SLURM script is in
features/shards.py.
"""

from dataclasses import dataclass, field
from pathlib import Path

from features.claims import INDEX, Claims
from features.cli import FAILED, OK, run
from features.demo_data import default_store, root_or_demo
from features.encoders.registry import EncoderSettings, build_encoder
from features.faces.detect import FaceSettings
from features.leftovers import sweep
from features.pipeline import Extractor
from features.plan import make_plan
from features.shards import in_shard
from features.sources import SourceHashes, find_sources
from features.store import TrackStore
from features.summary import ExtractSummary
from features.wanted import FACES
from features.worker import Worker


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
        shard: `i/N`: only the i-th of N parts of about equal work, e.g. `3/8`. None: everything.
        plan: Only say what there is to do and how long it would take.
        retry_failed: Try again what failed before, though nothing has changed.
    """

    data: SourceSettings = field(default_factory=SourceSettings)
    encoders: list[str] = field(default_factory=lambda: ["expression", "wav2vec2", "prosody"])
    faces: FaceSettings = field(default_factory=FaceSettings)
    shard: str | None = None
    plan: bool = False
    retry_failed: bool = False


def extract(settings: ExtractSettings) -> ExtractSummary:
    """Extracts what is missing; one bad item never stops the others.

    Raises:
        UserError: If there is nothing to extract or an encoder cannot be built.
        OSError: If the store can no longer be written to; finished work is kept.
    """
    root = root_or_demo(settings.data.root)
    store = settings.data.store or default_store(root)
    sources = in_shard(find_sources(root), settings.shard)
    hashes = SourceHashes(store / "sources.json")
    encoders = [build_encoder(name, settings, settings.faces.margin) for name in settings.encoders]

    def extractor_in(folder: Path) -> Extractor:
        crops_fps = settings.data.crops_fps
        return Extractor(TrackStore(folder), hashes, settings.faces, encoders, crops_fps)

    extractor = extractor_in(store)
    summary = ExtractSummary(store, len(sources), times=extractor.times)
    with Claims(store) as claims:
        sweep(store, {FACES, *(stream for one in encoders for stream in one.streams)}, claims)
        worker = Worker(extractor, claims, summary, settings.retry_failed)
        todos = worker.todos(sources)
        with claims.lock(INDEX):
            hashes.save()
        print(f"{len(sources)} items below {root}: {summary.ready} ready, {len(todos)} to do")
        if settings.plan:
            make_plan(todos, store, extractor_in).print()
        else:
            worker.work(todos)
    return summary


def command(settings: ExtractSettings) -> int:
    """Runs an extraction and prints its summary, or only says what it would do."""
    summary = extract(settings)
    if settings.plan:
        return OK
    summary.print()
    return OK if summary.complete else FAILED


if __name__ == "__main__":
    run(ExtractSettings, command, prog="features.extract", description=__doc__.split("\n")[0])
