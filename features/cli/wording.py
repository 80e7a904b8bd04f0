"""Numbers in messages as a person would write them, and what a command says at its end."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path


def counted(number: int, thing: str, things: str = "") -> str:
    """A number with what it counts: `1 item`, `2 items`, `no items`, `12,345 items`.

    Args:
        number: 0 or more.
        thing: One of them.
        things: Several of them, where that is not `thing` with an s.
    """
    plural = things or f"{thing}s"
    digits = f"{number:,}" if number > 9999 else str(number or "no")
    return f"{digits} {thing if number == 1 else plural}"


def in_words(seconds: float) -> str:
    """A time for people: `3 h 20 min`, `2 h`, `20 min`, `20 s`, `less than a second`."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes >= 2:
        return f"{minutes} min"
    return f"{seconds:.0f} s" if round(seconds) else "less than a second"


def closing_lines(
    made: str, files: Iterable[Path], remarks: Iterable[str], failures: Mapping[str, str]
) -> Iterator[str]:
    """What was written, what is odd, what failed, and how much of each.

    Args:
        made: What was made, counted, e.g. `3 files`.
        files: Those that were written; told once each.
        remarks: What is odd, though done.
        failures: Id to cause.
    """
    yield from map(str, dict.fromkeys(files))
    yield from (f"  remark: {remark}" for remark in remarks)
    yield from (f"  failed: {name}: {cause}" for name, cause in failures.items())
    yield f"{made}, {len(failures)} failed"
