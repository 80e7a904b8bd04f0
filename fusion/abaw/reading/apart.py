"""Labels that lie in folders of their own, which `read_corpus` does not look at."""

from collections.abc import Callable, Mapping
from pathlib import Path

from fusion.abaw.reading.compound import read_compound_corpus
from fusion.tasks.clips import Clip
from fusion.tasks.compound import Compound

READERS: Mapping[str, Callable[[Path, str | None], list[Clip]]] = {
    Compound.name: read_compound_corpus
}
"""Task to what reads the clips of a folder, of one split or of all."""
