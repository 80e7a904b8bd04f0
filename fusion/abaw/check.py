"""`python -m fusion.abaw.check ROOT`: the older name of fusion.check, which does the same."""

from functools import partial

from fusion import check as renamed
from fusion.check import CheckReport, CheckSettings, check, command

__all__ = ["CheckReport", "CheckSettings", "check", "command"]

main = partial(renamed.main, prog="fusion.abaw.check")

if __name__ == "__main__":
    main()
