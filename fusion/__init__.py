"""Tracks and labels in; trained models, predictions, scores and leaderboard files out.

    from fusion import Affect

    affect = Affect.from_pretrained("runs/mtl/best.ckpt")
    people = affect("talk.mp4")
    people[0].to_pandas(); people[0].plot(); people[0].save("talk.parquet")

`fusion.fit` trains a recipe and `fusion.score` scores what came of it; `fusion.train`,
`fusion.evaluate` and the other modules beside these are the commands.
"""

import importlib
from typing import TYPE_CHECKING, Any

from features.environment import environment_kept

if TYPE_CHECKING:
    from features.errors import UserError
    from fusion.api.affect import Affect
    from fusion.api.predictions import Predictions
    from fusion.api.training import FitResult, ScoreResult, fit, score
    from fusion.inference.checkpoint import Checkpoint, load_checkpoint
    from fusion.training.config import TrainSettings
    from fusion.training.lightning_module import AffectModule

__all__ = [
    "Affect",
    "AffectModule",
    "Checkpoint",
    "FitResult",
    "Predictions",
    "ScoreResult",
    "TrainSettings",
    "UserError",
    "fit",
    "load_checkpoint",
    "score",
]
_PLACES = {
    "features.errors": ("UserError",),
    "fusion.api.affect": ("Affect",),
    "fusion.api.predictions": ("Predictions",),
    "fusion.api.training": ("FitResult", "ScoreResult", "fit", "score"),
    "fusion.inference.checkpoint": ("Checkpoint", "load_checkpoint"),
    "fusion.training.config": ("TrainSettings",),
    "fusion.training.lightning_module": ("AffectModule",),
}


def __getattr__(name: str) -> Any:
    """Loads a public name when it is asked for, so that a command loads only what it needs."""
    for module, names in _PLACES.items():
        if name in names:
            with environment_kept():
                return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'fusion' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
