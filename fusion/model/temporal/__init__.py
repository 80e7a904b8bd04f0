"""Context over time: one file a temporal part."""

from fusion.model.temporal import none, pyramid, recurrent, tcn, transformer
from fusion.model.temporal.base import TemporalSettings, TemporalShape, temporals

__all__ = [
    "TemporalSettings",
    "TemporalShape",
    "none",
    "pyramid",
    "recurrent",
    "tcn",
    "temporals",
    "transformer",
]
