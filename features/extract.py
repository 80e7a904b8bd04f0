"""`python -m features.extract`: from a folder of videos to a store of feature tracks.

Data flow: folder > sources > plan (what is missing) > work, item by item > tracks > summary.

    python -m features.extract                                  # the demo corpus
    python -m features.extract --data.root /data/Aff-Wild2      # your own
    python -m features.extract --encoders '[expression,wav2vec2]' --wav2vec2.model DIR

A second run does only what is missing, damaged, or changed in source, weights or settings.
"""

from dataclasses import dataclass, field
from pathlib import Path

from features.cli import FAILED, OK, UserError, run
from features.demo_data import default_store, root_or_demo
from features.encoders.registry import EncoderSettings, build_encoder
from features.faces.detect import FaceSettings
from features.pipeline import Extractor, Todo
from features.progress import ProgressReport
from features.sources import SourceHashes, find_sources
from features.store import TrackStore
from features.timing import StageTimes


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
    """

    data: SourceSettings = field(default_factory=SourceSettings)
    encoders: list[str] = field(default_factory=lambda: ["expression", "wav2vec2", "prosody"])
    faces: FaceSettings = field(default_factory=FaceSettings)


@dataclass
class ExtractSummary:
    """What an extraction did.

    Attributes:
        store: Where the tracks are.
        items: Number of sources.
        ready: Sources that needed nothing.
        failures: Source id to cause.
        times: Seconds and frames by stage.
    """

    store: Path
    items: int
    ready: int
    failures: dict[str, str]
    times: StageTimes

    def print(self) -> None:
        """Prints the closing lines."""
        done = self.items - self.ready - len(self.failures)
        print(f"{self.items} items: {done} extracted, {self.ready} ready before, "
              f"{len(self.failures)} failed")  # fmt: skip
        for line in self.times.lines():
            print(f"  {line}")
        for name, cause in self.failures.items():
            print(f"  failed: {name}: {cause}")
        print(f"tracks: {self.store}")


def extract(settings: ExtractSettings) -> ExtractSummary:
    """Extracts what is missing; one bad item never stops the others.

    Raises:
        UserError: If there is nothing to extract or an encoder cannot be built.
    """
    root = root_or_demo(settings.data.root)
    store = TrackStore(settings.data.store or default_store(root))
    sources = find_sources(root)
    hashes = SourceHashes(store.root / "sources.json")
    encoders = [build_encoder(name, settings, settings.faces.margin) for name in settings.encoders]
    extractor = Extractor(store, hashes, settings.faces, encoders, settings.data.crops_fps)

    todos: list[Todo] = []
    failures: dict[str, str] = {}
    for source in sources:
        try:
            todos.append(extractor.plan(source))
        except UserError as error:
            failures[source.id] = str(error)
    hashes.save()
    work = [todo for todo in todos if not todo.empty]
    print(f"{len(sources)} items below {root}: {len(todos) - len(work)} ready, {len(work)} to do")
    with ProgressReport("extract", len(work)) as progress:
        for todo in work:
            try:
                extractor.work(todo)
            except UserError as error:
                failures[todo.source.id] = str(error)
            progress.step(todo.source.id)
    ready = len(todos) - len(work)
    return ExtractSummary(store.root, len(sources), ready, failures, extractor.times)


def command(settings: ExtractSettings) -> int:
    """Runs an extraction and prints its summary."""
    summary = extract(settings)
    summary.print()
    return FAILED if summary.failures else OK


if __name__ == "__main__":
    run(ExtractSettings, command, prog="features.extract", description=__doc__.split("\n")[0])
