"""From several encoded streams to one: one file a fusion."""

from fusion.model.fusion import concat, cross_attention, gated, leader_follower, top_down
from fusion.model.fusion.base import FusionSettings, FusionShape, fusions

__all__ = [
    "FusionSettings",
    "FusionShape",
    "concat",
    "cross_attention",
    "fusions",
    "gated",
    "leader_follower",
    "top_down",
]
