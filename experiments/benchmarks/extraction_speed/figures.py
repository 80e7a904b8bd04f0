"""What `extract_speed` measured, as figures: medians, the bound for perfect overlap, ratios.

Data flow: results `ROUND/KIND/CONTESTANT` > medians over rounds > `Speeds` of a set of clips.

The bound: with perfect overlap on C cores, work of W processor seconds takes

    max(longest, W / C)

seconds, where `longest` is the longest stage of one video that cannot be split: all but decoding
work on a video in order, one block after the other, so a stage of one video keeps to one core;
decoding can use several threads, and videos do not wait for each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from experiments.benchmarks.extraction_speed.parts import BATCHES

Rounds = Sequence[Mapping[str, Any]]
AFFWILD2_FRAMES, AFFWILD2_HOURS = 2_993_081, 29.54
"""Frames and hours of Aff-Wild2's 594 valence-arousal videos, of its published list."""


@dataclass(frozen=True)
class Speeds:
    """What was found on one set of clips, medians over the rounds.

    Attributes:
        kind: Size and rate.
        frames: Frames of the long clips.
        sound: Seconds of sound of the long clips.
        stages: Stage to processor seconds of each long video, in one order of videos.
        every_frame: Frames a second of one core, searching every frame.
        decode_all: Frames a second of decoding with all cores.
        crowd: Processor seconds of a stage with all cores at work, over those alone.
        command, sample, tiny: The literal command: frames, seconds, processor, together.
        rivals: Name to frames, seconds, processor, together, net seconds; or the fault.
        batches: Faces a second of one core by the number encoded at once.
    """

    kind: str
    frames: float
    sound: float
    stages: dict[str, list[float]]
    every_frame: float
    decode_all: float
    crowd: float
    command: dict[str, float]
    sample: dict[str, float]
    tiny: dict[str, float]
    rivals: dict[str, dict[str, float] | str]
    batches: dict[int, float]

    @property
    def work(self) -> float:
        """Processor seconds of all stages on the long clips."""
        return sum(map(sum, self.stages.values()))

    @property
    def longest(self) -> float:
        """Seconds of the longest stage of one video that cannot be split."""
        return max(max(each) for name, each in self.stages.items() if name != "decode")

    def bound(self, cores: int) -> float:
        """Seconds of the long clips with perfect overlap."""
        return max(self.longest, self.work / cores)

    @property
    def net(self) -> float:
        """Frames a second of the command on the long clips without what starting costs."""
        return net_rate(self.command, self.tiny)

    def share(self, cores: int) -> float:
        """Share of the bound that the command reaches, starting not counted."""
        return self.net * self.bound(cores) / self.frames


def net_rate(whole: Mapping[str, float], tiny: Mapping[str, float]) -> float:
    """Frames a second between a run and one over tiny clips: starting is in both."""
    return (whole["frames"] - tiny["frames"]) / (whole["seconds"] - tiny["seconds"])


def times_as_fast(one: Speeds, rival: Mapping[str, float]) -> float:
    """The command over a rival on the same sample, starting not counted for either."""
    return net_rate(one.sample, one.tiny) * rival["net"] / rival["frames"]


def affwild2_hours(one: Speeds, cores: int) -> float:
    """Hours for all of Aff-Wild2 if its pictures were like these and all of it had sound."""
    heard = sum(one.stages["sound"]) / one.sound if one.sound else 0.0
    seen = (one.work - sum(one.stages["sound"])) / one.frames
    work = AFFWILD2_FRAMES * seen + AFFWILD2_HOURS * 3600 * heard
    return work / cores / one.share(cores) / 3600


# From results to figures ------------------------------------------------------------------


def speeds_of(kind: str, results: Mapping[str, Any]) -> Speeds:
    """Medians of what was measured on one set of clips."""
    rounds: dict[str, list[Any]] = {}
    for name, result in results.items():
        _, its_kind, contestant = name.split("/")
        if its_kind == kind:
            rounds.setdefault(contestant, []).append(result)
    decode, sound = rounds["decode, one core"], rounds["sound"]
    frames = _amounts(decode)
    stages = {"decode": _processor(decode), "sound": _processor(sound)}
    for stage in ("detect at default", "crop and encode"):
        each = zip(frames, _processor(rounds[stage]), _amounts(rounds[stage]), strict=True)
        stages[stage] = [count * spent / amount if amount else 0.0 for count, spent, amount in each]
    alone = sum(_processor(rounds["detect at default"]))
    crowd = median(max(result["processor"]) for result in rounds["all cores at once"])
    rivals: dict[str, dict[str, float] | str] = {}
    rivals |= {name: _rival(rounds[name]) for name in ("loop", "fer") if name in rounds}
    return Speeds(
        kind=kind,
        frames=sum(frames),
        sound=sum(_amounts(sound)),
        stages=stages,
        every_frame=_rate(rounds["detect on every frame"], "processor"),
        decode_all=_rate(rounds["decode, all cores"], "wall"),
        crowd=crowd / alone,
        command=_medians(rounds["command, long"]),
        sample=_medians(rounds["command, sample"]),
        tiny=_medians(rounds["command, tiny"]),
        rivals=rivals,
        batches={n: _rate(rounds[f"encode {n}"], "processor") for n in BATCHES},
    )


def _column(rounds: Rounds, name: str) -> list[float]:
    """Medians over the rounds of a figure of each video."""
    tables = [[video[name] for video in result["videos"].values()] for result in rounds]
    return [median(column) for column in zip(*tables, strict=True)]


def _processor(rounds: Rounds) -> list[float]:
    return _column(rounds, "processor")


def _amounts(rounds: Rounds) -> list[float]:
    return _column(rounds, "amount")


def _rate(rounds: Rounds, seconds: str) -> float:
    """Amount a second over all videos."""
    return sum(_amounts(rounds)) / sum(_column(rounds, seconds))


def _medians(rounds: Rounds) -> dict[str, float]:
    """Medians of the plain figures of a run."""
    names = [name for name, value in rounds[0].items() if isinstance(value, int | float)]
    return {name: median(result[name] for result in rounds) for name in names}


def _rival(rounds: Rounds) -> dict[str, float] | str:
    """Figures of a rival with its frames and net seconds; the fault if it did not run."""
    if faults := [result["fault"] for result in rounds if "fault" in result]:
        return str(faults[0])
    tables = [list(result["videos"].values()) for result in rounds]
    frames = sum(video.get("amount", video.get("frames")) for video in tables[0])
    net = median(sum(v.get("wall", v.get("seconds")) for v in videos) for videos in tables)
    return {**_medians(rounds), "frames": frames, "net": net}
