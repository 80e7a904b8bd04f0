"""What CONTRIBUTING.md holds, for the tests that keep it true."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "CONTRIBUTING.md"


def section(title: str) -> str:
    """The text below a heading, up to the next."""
    text = PAGE.read_text(encoding="utf-8")
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def example(title: str) -> str:
    """The code of a section, as it stands."""
    (code,) = re.findall(r"^```\w+\n(.*?)^```$", section(title), re.DOTALL | re.MULTILINE)
    return code
