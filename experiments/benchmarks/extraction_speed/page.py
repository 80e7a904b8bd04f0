"""The page of `extract_speed`. Data flow: `Speeds` of each set of clips > tables > Markdown."""

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.extraction_speed.figures import (
    AFFWILD2_FRAMES,
    AFFWILD2_HOURS,
    Speeds,
    affwild2_hours,
    net_rate,
    speeds_of,
    times_as_fast,
)
from experiments.benchmarks.extraction_speed.parts import BATCHES

if TYPE_CHECKING:
    from experiments.benchmarks.extraction_speed.extract_speed import ExtractSpeedSettings

REAL_TIME_RATE = 30.0
"""Frames a second that a real-time factor of 1 means."""
LOOP_TARGET, REAL_TIME_TARGET, BOUND_TARGET = 10.0, 3.0, 0.8


def page(
    settings: "ExtractSpeedSettings", sets: Mapping[str, Sequence[Path]], results: Mapping[str, Any]
) -> str:
    """The page in Markdown."""
    cores = len(os.sched_getaffinity(0))
    all_speeds = [speeds_of(kind, results) for kind in sets]
    text = _TEXT.format(
        day=date.today(),
        cores=cores,
        command=_command(settings),
        rounds=settings.rounds,
        seconds=settings.seconds,
        sample=settings.sample,
        targets=_table(_targets(all_speeds, cores)),
        totals=_table(_totals(all_speeds, cores)),
        real_time=REAL_TIME_RATE,
        affwild2_frames=AFFWILD2_FRAMES,
        affwild2_hours=AFFWILD2_HOURS,
        affwild2=_table(_affwild2(all_speeds, cores)),
        batches=_table(_batches(all_speeds)),
    )
    return text + "".join(_section(one, len(sets[one.kind]), cores) for one in all_speeds)


def _command(settings: "ExtractSpeedSettings") -> str:
    """The command line, without the folders of whoever ran it."""
    words = f"--rounds {settings.rounds} --seconds {settings.seconds:g}"
    words += f" --sample {settings.sample:g}"
    words += " --fer_python VENV/bin/python" if settings.fer_python else ""
    words += f" --options '{settings.options}'" if settings.options else ""
    return (
        f"python -m experiments.benchmarks.extraction_speed.extract_speed --clips '[DIR]' {words}"
    )


def _table(rows: Iterable[Sequence[str]]) -> str:
    """Markdown table; the first row is the head."""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _targets(all_speeds: Iterable[Speeds], cores: int) -> Iterable[Sequence[str]]:
    yield "clips", "figure", "found", "target", "met"
    for one in all_speeds:
        loop = one.rivals["loop"]
        assert not isinstance(loop, str)
        for name, value, least in (
            ("whole command / loop", times_as_fast(one, loop), LOOP_TARGET),
            ("whole command, times real time", one.net / REAL_TIME_RATE, REAL_TIME_TARGET),
            ("share of the bound", one.share(cores), BOUND_TARGET),
        ):
            met = "yes" if value >= least else "NO"
            yield one.kind, name, f"{value:.2f}", f"at least {least:g}", met


def _totals(all_speeds: Iterable[Speeds], cores: int) -> Iterable[Sequence[str]]:
    yield (
        "clips",
        "frames",
        "command, s",
        "of which starting, s",
        "frames/s with starting",
        "frames/s",
        "times real time",
        "bound, frames/s",
        "sum of the stages, frames/s",
    )
    for one in all_speeds:
        whole, tiny = one.command, one.tiny
        cells = [f"{one.frames:.0f}", f"{whole['seconds']:.1f}", f"{tiny['seconds']:.1f}"]
        cells += [f"{whole['frames'] / whole['seconds']:.1f}", f"{one.net:.1f}"]
        cells += [f"{one.net / REAL_TIME_RATE:.2f}", f"{one.frames / one.bound(cores):.1f}"]
        yield [one.kind, *cells, f"{one.frames / one.work:.1f}"]


def _affwild2(all_speeds: Iterable[Speeds], cores: int) -> Iterable[Sequence[str]]:
    yield "clips like", "hours on these cores"
    for one in all_speeds:
        yield one.kind, f"{affwild2_hours(one, cores):.1f}"


def _batches(all_speeds: Iterable[Speeds]) -> Iterable[Sequence[str]]:
    yield "faces at once", *map(str, BATCHES)
    for one in all_speeds:
        yield f"faces/s, {one.kind}", *(f"{one.batches[n]:.0f}" for n in BATCHES)


def _section(one: Speeds, clips: int, cores: int) -> str:
    """What was found on one set of clips."""
    return _SECTION.format(
        kind=one.kind,
        clips=clips,
        frames=one.frames,
        sound=one.sound,
        every_frame=one.every_frame,
        decode_all=one.decode_all,
        crowd=one.crowd,
        cores=cores,
        longest=one.longest,
        work=one.work,
        stages=_table(_stages(one)),
        rivals=_table(_rivals(one)),
    )


def _stages(one: Speeds) -> Iterable[Sequence[str]]:
    yield "stage", "processor s", "ms a frame", "frames/s of one core", "share"
    for name, each in one.stages.items():
        spent = sum(each)
        rate = f"{one.frames / spent:.0f}" if spent else "none"
        cells = [f"{spent:.1f}", f"{1e3 * spent / one.frames:.2f}", rate]
        yield [name, *cells, f"{spent / one.work:.0%}"]
    cells = [f"{one.work:.1f}", f"{1e3 * one.work / one.frames:.2f}"]
    yield ["**sum**", *cells, f"{one.frames / one.work:.0f}", "100%"]
    spent = one.command["processor"]
    cells = [f"{spent:.1f}", f"{1e3 * spent / one.frames:.2f}", f"{one.frames / spent:.0f}"]
    yield ["the command, starting included", *cells, f"{spent / one.work:.0%}"]


def _rivals(one: Speeds) -> Iterable[Sequence[str]]:
    yield (
        "",
        "frames",
        "frames/s",
        "times real time",
        "frames/s with starting",
        "cores busy",
        "memory, MiB",
        "command / it",
    )
    for name, run, net in (
        ("the command, long clips", one.command, one.net),
        ("the command, samples", one.sample, net_rate(one.sample, one.tiny)),
    ):
        yield [name, *_run_cells(run, net), "1"]
    for name, rival in one.rivals.items():
        if isinstance(rival, str):
            yield [f"{name}: did not run ({rival})", *[""] * 7]
        else:
            ratio = f"{times_as_fast(one, rival):.1f}"
            yield [_RIVALS[name], *_run_cells(rival, rival["frames"] / rival["net"]), ratio]


def _run_cells(run: Mapping[str, float], net: float) -> list[str]:
    return [
        f"{run['frames']:.0f}",
        f"{net:.1f}",
        f"{net / REAL_TIME_RATE:.2f}",
        f"{run['frames'] / run['seconds']:.1f}",
        f"{run['processor'] / run['seconds']:.2f}",
        f"{run['together']:.0f}",
    ]


_RIVALS = {
    "loop": "loop: OpenCV, MTCNN on each frame, a face at a time",
    "fer": "`fer` (PyPI), MTCNN, its files switched off",
}

_TEXT = """# Speed of extraction

{day}, {cores} cores of a shared machine, no GPU:

    {command}

Clips of real faces, looped without encoding them again to {seconds:g} s each; for what is slow,
{sample:g} s of each. In {rounds} rounds the contestants take turns; figures are medians.

- The command is `python -m features.extract --data.root CLIPS --data.store NEW` with the packaged
  encoders and no limit on threads.
- Frames a second do not count starting unless it says so: for the command, that is the difference
  from a run over the same clips cut to half a second; for others, from the first frame.
- Real time is {real_time:g} frames a second.
- Bound for perfect overlap on C cores: max(longest stage of one video that cannot be split,
  processor seconds of all stages / C). All stages but decoding work on a video in order.
- Stages: each in a process of its own on one core, by the time of the processor, which others' work
  hardly touches; on pictures in memory.
- Memory: most at one instant, sum of the RSS of all processes, sampled every .2 s; pages that
  processes share count for each.

{targets}

{totals}

## All of Aff-Wild2

594 valence-arousal videos, {affwild2_frames:,} frames, {affwild2_hours:g} hours: the stages as
measured, over the cores, over the share of the bound that the command reaches. Its videos have many
sizes; the rows are what it would take if all were like these clips. A GPU machine was not measured.

{affwild2}

## Faces encoded at once

Packaged visual encoder, cut-out faces in memory, one core. What more faces at once gain here is
what batches across videos could gain on a CPU.

{batches}
"""

_SECTION = """
## {kind}

Clips: {clips}. Together {frames:.0f} frames and {sound:.0f} s of sound, looped.

{stages}

Decoding with all cores: {decode_all:.0f} frames a second. Searching every frame instead of the
default: {every_frame:.1f} frames a second of one core. Longest stage of one video: {longest:.1f} s;
processor seconds of all: {work:.1f}. With {cores} processes that each search a sample, each takes
{crowd:.2f} times the processor time that one alone takes: what cores cost each other.

{rivals}
"""
