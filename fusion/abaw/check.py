"""`python -m fusion.abaw.check ROOT`: the older name of fusion.check, which does the same."""

import sys

from features.cli.app import run
from fusion.check import CheckReport, CheckSettings, arguments, check, command

__all__ = ["CheckReport", "CheckSettings", "arguments", "check", "command"]

if __name__ == "__main__":
    run(
        CheckSettings,
        command,
        prog="fusion.abaw.check",
        description=__doc__.split("\n")[0],
        argv=arguments(sys.argv[1:]),
    )
