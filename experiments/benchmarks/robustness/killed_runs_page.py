"""The page of `killed_runs`. Data flow: kills, outcomes, meetings as kept > tables > Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from statistics import mean
from typing import TYPE_CHECKING, Any

from experiments.benchmarks.robustness import two_runs
from experiments.benchmarks.robustness.killed_runs_parts import VICTIMS, Kill, Outcome

if TYPE_CHECKING:
    from experiments.benchmarks.robustness.killed_runs import KilledRunsSettings


def page(
    settings: "KilledRunsSettings", reach: float, found: Mapping[str, Any], verified: bool
) -> str:
    """The page in Markdown.

    Args:
        settings: Of the study.
        reach: Latest instant of a kill, as a share of the time of an undisturbed run.
        found: What the study kept, by name.
        verified: Whether `features.verify` finds nothing wrong in the last store.
    """
    kills = [Kill(**each) for each in found["kills"]]
    outcomes = [Outcome(**each) for each in found["outcomes"]]
    options = f" --options '{settings.options}'" if settings.options else ""
    same = sum(not each.differing for each in outcomes)
    return _TEXT.format(
        day=date.today(),
        command=f"python -m experiments.benchmarks.robustness.killed_runs --clips DIR --clips_count"
        f" {settings.clips_count} --kills {settings.kills}{options}",
        clips=settings.clips_count,
        seconds=found["seconds"],
        kills=len(kills),
        reach=reach * found["seconds"],
        stores=len(outcomes),
        same=same,
        different=", ".join(sorted({p for o in outcomes for p in o.differing})) or "none",
        left=", ".join(sorted({p for o in outcomes for p in o.left})) or "none",
        retried=sum(each.retried for each in outcomes),
        verified="finds nothing wrong" if verified else "FINDS PROBLEMS",
        table="\n".join(_rows(kills)),
        two=two_runs.section(found, settings.clips_count),
    )


def _rows(kills: Sequence[Kill]) -> Iterable[str]:
    yield (
        "| killed | kills | while starting | at work | items in flight, mean (most)"
        " | finished items redone | whole tracks of items in flight made once more"
        " | processes that outlived it | temporary files outside the store |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for name in (*VICTIMS, "**together**"):
        some = [kill for kill in kills if name in (kill.victim, "**together**")]
        if some:
            yield _row(name, some)


def _row(name: str, kills: Sequence[Kill]) -> str:
    working = [len(kill.in_flight) for kill in kills if kill.working]
    flying = f"{mean(working):.1f} ({max(working)})" if working else "none"
    cells = [len(kills), len(kills) - len(working), len(working), flying]
    cells += [sum(len(kill.redone) for kill in kills), sum(len(kill.rewritten) for kill in kills)]
    cells += [sum(kill.outlived for kill in kills), sum(len(kill.temporary) for kill in kills)]
    return f"| {name} | " + " | ".join(map(str, cells)) + " |"


_TEXT = """# Killed runs

{day}, 2 cores of a shared machine:

    {command}

{clips} short clips of real faces (1 to 2 s), the packaged encoders. An undisturbed run took
{seconds:.1f} s. Then {kills} times `kill -9`: each run is killed at an instant drawn evenly from
its first {reach:.1f} s, which hold its start and part of its work, and started again on the same
store; in turns, all of its processes are killed, or only the first one (which the user started), or
only one of its workers, after which the run goes on and the next instant counts from there. Where a
run has no workers, its first process is killed instead. Whenever a run ends by itself, its store is
complete: it is compared, and the next run begins a new one.

- Complete stores: {stores}; byte for byte as the undisturbed one: {same}.
  Files that differ: {different}.
- Temporary files and claims left in them: {left}.
- Stores for which a run was asked to try failed items again (`--retry_failed true`): {retried}.
- `features.verify` {verified} in the last one.

{table}

Items in flight: those claimed at the kill, of kills at work. Finished: all of its tracks were there
and nobody claimed it; the target is that none is redone, so at most the items in flight are.
{two}"""
