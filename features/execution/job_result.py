"""What came of an item: plain data, since the work is often done in another process or machine."""

from dataclasses import dataclass, field

from features.pipeline.timing import StageTimes


@dataclass(frozen=True)
class Outcome:
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
