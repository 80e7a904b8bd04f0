"""What the ablation compares: plain multi-task learning, each system, each without its idea.

A variant is a shipped recipe with some settings changed; `pairs` says which differences count.
"""

from dataclasses import dataclass, field
from typing import Any

USUAL = ["visual", "audio"]
PRIOR = ["visual", "prior", "audio"]
LEVELS = ["visual.1", "visual.2", "visual.3", "audio"]
_ALONE = {
    "va": {"loss": {"expr": 0.0, "au": 0.0}},
    "expr": {"loss": {"va": 0.0, "au": 0.0}},
    "au": {"loss": {"va": 0.0, "expr": 0.0}},
}
_APART = [{"name": task, "settings": own} for task, own in _ALONE.items()]
_IN_TIME = {"data": {"streams": []}, "model": {"temporal": "transformer"}}
_TIME = {"name": "time", "settings": _IN_TIME, "start": {"heads": "joint"}, "feeds": ["joint"]}
_JOINT_START = {
    "encoders": "va",
    "fusion": "va",
    "heads.va": "va",
    "heads.expr": "expr",
    "heads.au": "au",
}
_JOINT = {"name": "joint", "start": _JOINT_START, "feeds": [*_ALONE]}
_TAUGHT = [{"name": "teacher"}, {"name": "student", "teachers": ["teacher"]}]
_LABELLED = [*_APART, {"name": "student", "teachers": [*_ALONE]}]


@dataclass(frozen=True)
class Variant:
    """One system, with or without its idea.

    Attributes:
        name: In tables.
        recipe: Name of the recipe in configs.
        streams: Of the benchmark.
        changes: Settings other than the recipe's, whose stages do not count: those here do.
        against: Variants whose scores are subtracted from this one's: the same without the idea,
            and plain multi-task learning on the same streams.
    """

    name: str
    recipe: str
    streams: list[str]
    changes: dict[str, Any] = field(default_factory=dict)
    against: tuple[str, ...] = ()


VARIANTS = (
    Variant("mtl", "mtl", USUAL, against=("lfan-like",)),
    Variant(
        "lfan-like",
        "mtl",
        USUAL,
        {"model": {"fusion": "leader-follower", "temporal": "none", "tcn_levels": 4}},
    ),
    Variant("mtl, prior", "mtl", PRIOR, against=("mtl",)),
    Variant("mtl, levels", "mtl", LEVELS, against=("mtl",)),
    Variant(
        "pasn", "pasn", PRIOR, against=("pasn, parallel heads", "pasn, no prior", "mtl, prior")
    ),
    Variant("pasn, parallel heads", "pasn", PRIOR, {"model": {"head": "parallel"}}),
    Variant("pasn, no prior", "pasn", USUAL),
    Variant(
        "progressive",
        "progressive",
        USUAL,
        {"stages": [*_APART, _JOINT, _TIME]},
        ("progressive, joint from scratch", "mtl"),
    ),
    Variant(
        "progressive, joint from scratch",
        "progressive",
        USUAL,
        {"stages": [{"name": "joint"}, _TIME]},
    ),
    Variant(
        "distill",
        "distill",
        USUAL,
        {"stages": _TAUGHT},
        ("distill, no teacher", "distill, no shared labels", "mtl"),
    ),
    Variant("distill, no teacher", "distill", USUAL),
    Variant(
        "distill, no shared labels",
        "distill",
        USUAL,
        {"stages": _TAUGHT, "data": {"share_labels": False}},
    ),
    Variant(
        "fpn",
        "fpn",
        LEVELS,
        {"model": {"fusion": {"levels": LEVELS[:-1]}}, "stages": _LABELLED},
        ("fpn, no top-down path", "fpn, no teachers", "mtl, levels"),
    ),
    Variant(
        "fpn, no top-down path",
        "fpn",
        LEVELS,
        {
            "model": {
                "fusion": "concat",
                "temporal": {"name": "tcn", "layers": 3},
                "head": "parallel",
            },
            "stages": _LABELLED,
        },
    ),
    Variant("fpn, no teachers", "fpn", LEVELS, {"model": {"fusion": {"levels": LEVELS[:-1]}}}),
)
