"""The formats there are, by name."""

import difflib
from collections.abc import Iterable

from features.errors import UsageError
from fusion.exports.base import Format
from fusion.exports.bids import Bids
from fusion.exports.boris import Boris
from fusion.exports.elan import Elan
from fusion.exports.excel import Excel
from fusion.exports.flat import JsonLines, Parquet
from fusion.exports.openface import OpenFace
from fusion.exports.praat import Praat
from fusion.exports.webvtt import WebVtt

FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        *(Elan(), Praat(), Boris(), OpenFace(), Bids()),
        *(WebVtt(), JsonLines(), Parquet(), Excel()),
    )
}


def chosen(names: Iterable[str]) -> list[Format]:
    """Formats by name.

    Raises:
        UsageError: If none is named, or one is unknown; says the nearest.
        UserError: If one needs a package that is not installed.
    """
    found = []
    for name in names:
        if name not in FORMATS:
            near = difflib.get_close_matches(name, FORMATS, n=1, cutoff=0.0)[0]
            raise UsageError(
                f"no format '{name}'; did you mean '{near}'? known are {', '.join(FORMATS)}"
            )
        found.append(FORMATS[name])
    for each in found:
        each.library()
    if not found:
        known = "; ".join(f"{each.name}: {each.purpose}" for each in FORMATS.values())
        raise UsageError(f"--format says which, separated by commas. {known}")
    return found
