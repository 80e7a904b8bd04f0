"""`affuse`: every command of the project as one, also as `python -m fusion`.

Data flow: name of a command > its module, which alone is loaded > its settings > its work.

    affuse extract clips/                         # clips/tracks
    affuse train mtl --data.root ROOT             # a shipped recipe by name
    affuse predict talk.mp4 --out predictions
"""

import difflib
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from typing import NoReturn

from features.cli.app import OK, USAGE

COMMANDS = {
    "extract": ("features.extract", "from videos and sound to feature tracks"),
    "ingest": ("features.ingest", "take in features that another program computed"),
    "encoders": ("features.encoders.__main__", "list the encoders, or try one on a file"),
    "people": ("features.people", "who is on screen when"),
    "verify": ("features.verify", "find damaged, stale, missing and orphaned tracks"),
    "check": ("fusion.check", "what a data set holds, and what is wrong with it"),
    "train": ("fusion.train", "from tracks and labels to a model, by a recipe"),
    "search": ("fusion.search", "the settings of a recipe that score best"),
    "tune": ("fusion.tune", "choose thresholds, class bias and smoothing"),
    "predict": ("fusion.predict", "frame-level affect of any video, or of a store of tracks"),
    "columns": ("fusion.measuring.__main__", "what the columns of predictions mean"),
    "ensemble": ("fusion.ensemble", "one set of predictions from several models"),
    "evaluate": ("fusion.evaluate", "official scores with intervals, tables and pictures"),
    "submit": ("fusion.submit", "write or check a leaderboard file"),
    "report": ("fusion.report", "a page to look through a video, or timelines as pictures"),
    "events": ("fusion.events.__main__", "what happens when, by rules over predictions"),
    "summarize": ("fusion.statistics.__main__", "tables of people and clips, and comparisons"),
    "export": ("fusion.exports.__main__", "files for ELAN, Praat, BORIS, BIDS, Excel, ..."),
    "serve": ("fusion.serve", "predictions behind an upload, over HTTP"),
}
"""Name to the module and what it is for, in the order in which they are used."""
USAGE_LINE = "usage: affuse COMMAND [INPUT] [--OPTION VALUE ...]"


def listing() -> str:
    """The help of `affuse`."""
    lines = [f"  {name:<10}{purpose}" for name, (_, purpose) in COMMANDS.items()]
    return "\n".join(
        [
            USAGE_LINE,
            "",
            "Affect from faces and voices.",
            "",
            *lines,
            "",
            "affuse COMMAND --help says more of one",
        ]
    )


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """The command line.

    Args:
        argv: Arguments; those of the process if None.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    name = words[0] if words else ""
    if name in COMMANDS:
        import_module(COMMANDS[name][0]).main(prog=f"affuse {name}", argv=words[1:])
    if name == "--version":
        print(f"affuse {metadata.version('affuse')}")
        sys.exit(OK)
    if name in ("", "-h", "--help", "help"):
        print(listing())
        sys.exit(OK if name else USAGE)
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "affuse --help lists them"
    print(f"affuse: no command '{name}'; {hint}", file=sys.stderr)
    sys.exit(USAGE)
