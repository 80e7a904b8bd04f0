"""ABAW (Aff-Wild2), editions 2 to 11: fusion.abaw reads it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from fusion.abaw.reading.annotations import CorpusKind, read_corpus
from fusion.abaw.reading.layout import find_layout
from fusion.corpora.registry import register
from fusion.tasks.clips import Clip


def find(root: Path, files: Sequence[Path]) -> list[Path]:
    """The root, if there are annotations anywhere below it."""
    layout = find_layout(root)
    return [root] if layout.labels or layout.mtl else []


def _only(kind: CorpusKind) -> Callable[[Sequence[Path]], list[Clip]]:
    return lambda paths: read_corpus(paths[0], kind)


@register(
    "ABAW's annotations",
    layout="folders such as VA_Estimation_Challenge/Train_Set with .txt files",
    find=find,
    kinds={kind: _only(kind) for kind in ("single", "mtl")},
)
def read(paths: Sequence[Path]) -> list[Clip]:
    """All clips below the root.

    Raises:
        UserError: If there are annotations for single tasks and multi-task ones, or bad ones.
    """
    return read_corpus(paths[0])
