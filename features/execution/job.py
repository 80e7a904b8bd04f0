"""One item: who can make it, and how it is made.

Data flow: Recipe > Extractor, in whichever process is to work > source > tracks, and a JobResult.
"""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from features.cli.scratch import TemporaryFault
from features.encoders.base import Encoder
from features.encoders.device import resolve_device
from features.encoders.registry import EncoderSettings, build_encoder, describe_encoder
from features.errors import UserError
from features.media.notices import gathered_notices
from features.pipeline.discovery import Source
from features.pipeline.failures import cause_of, is_out_of_memory, is_the_runs
from features.pipeline.planner import Plan, Planner, TrackSettings
from features.pipeline.source_hashes import SourceHashes
from features.pipeline.timing import StageTimes
from features.store.track_store import TrackStore

if TYPE_CHECKING:  # loads torch, which a process that only plans can do without
    from features.pipeline.extractor import Extractor

_ROOM = "end what else fills it, take fewer --workers, or use a larger machine"
UNFORESEEN = "leave it out, and report it with the traceback on stderr"
"""Ends the cause of a failure that nobody foresaw."""


@dataclass(frozen=True)
class JobResult:
    """What came of an item.

    Attributes:
        id: Id of the source.
        made: Whether anything was made; if not, and without a cause, nothing was lacking.
        cause: Why it failed, in one line; empty if it did not.
        trace: Traceback of a fault that nobody foresaw; for the one who mends it.
        fault: What no item is to blame for and stops the run: a full disk, rights lost.
        halved: How often the block of frames was halved for lack of memory.
        times: Seconds and frames by stage.
        notices: What was said of its files: losses that were bridged, choices that were made.
    """

    id: str
    made: bool = False
    cause: str = ""
    trace: str = ""
    fault: OSError | None = None
    halved: int = 0
    times: StageTimes = field(default_factory=StageTimes)
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """What it takes to build an Extractor anywhere; can be pickled.

    Attributes:
        store: Folder of the tracks, also of the memory of the sources' hashes.
        encoders: Settings of all encoders.
        names: The encoders to run.
        settings: What tracks depend on besides.
    """

    store: Path
    encoders: EncoderSettings
    names: tuple[str, ...]
    settings: TrackSettings

    def __call__(self, device: str) -> "Extractor":
        """Builds one that computes on a device; UserError if an encoder cannot be built."""
        hashes = SourceHashes(self.store / "sources.json")
        return self.extractor(self.store, hashes, self.encoders_on(device), device)

    def extractor(
        self, store: Path, hashes: SourceHashes, encoders: Sequence[Encoder], device: str
    ) -> "Extractor":
        """An Extractor into any store, with encoders and hashes that are there already."""
        from features.pipeline.extractor import Extractor

        where = TrackStore(store)
        return Extractor(where, hashes, self.settings, encoders, resolve_device(device))

    def planner(self, hashes: SourceHashes) -> Planner:
        """What sources should have in the store, told without loading an encoder.

        Raises:
            UserError: If an encoder cannot be had, as far as that is seen without its weights.
        """
        margin = self.settings.faces.margin
        described = [describe_encoder(name, self.encoders, margin) for name in self.names]
        return Planner(TrackStore(self.store), hashes, self.settings, described)

    def encoders_on(self, device: str) -> list[Encoder]:
        """The encoders on a device; UserError if one cannot be built."""
        settings = self.encoders.on(device)
        return [build_encoder(name, settings, self.settings.faces.margin) for name in self.names]


def run_job(extractor: "Extractor", source: Source) -> JobResult:
    """Makes what a source lacks; whatever goes wrong is in the result, but Ctrl-C."""
    with gathered_notices() as notices:
        result = _made(extractor, source)
    return replace(result, notices=tuple(notices))


def _made(extractor: "Extractor", source: Source) -> JobResult:
    """The result without notices."""
    extractor.times = StageTimes()
    result = JobResult(source.id, times=extractor.times)
    try:
        plan = extractor.plan(source)
        if plan.empty:
            return result
        return replace(result, made=True, halved=_work(extractor, plan))
    except UserError as error:
        return replace(result, cause=str(error))
    except OSError as error:
        if is_the_runs(error, source):
            kind = TemporaryFault if isinstance(error, TemporaryFault) else OSError
            fault = kind(error.errno, error.strerror, error.filename)  # can be pickled
            return replace(result, fault=fault)
        return replace(result, cause=cause_of(error, source))
    # Whatever a library raises on an odd file, or a mistake of ours, must not end the others' work.
    except Exception as error:
        return replace(result, cause=_unforeseen(error, source), trace=traceback.format_exc())


def _work(extractor: "Extractor", plan: Plan) -> int:
    """Works on an item in ever smaller blocks until they fit; how often they were halved.

    Where sound found no memory beside pictures, it is given all of it once.
    """
    import torch

    from features.pipeline.extractor import SoundOutOfMemory

    extractor.whole_block()
    halved, alone = 0, False
    while True:
        try:
            extractor.work(plan)
            return halved
        except SoundOutOfMemory as error:
            if alone or not (plan.faces or plan.visual):
                raise UserError(f"{plan.source.id}: out of memory at its sound; {_ROOM}") from error
            alone = True
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if not extractor.halve_block():
                raise UserError(
                    f"{plan.source.id}: out of memory even frame by frame; {_ROOM}"
                ) from error
            halved += 1
        torch.cuda.empty_cache()
        plan = extractor.plan(plan.source)  # some of it may have been written


def _unforeseen(error: Exception, source: Source) -> str:
    """The cause of a failure that nobody foresaw, in one line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"in {last.name}, {Path(last.filename).name} line {last.lineno}"
    what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]} ({where})"
    return f"{source.id}: {what}; {UNFORESEEN}"
