"""Media in, feature tracks out.

    import features

    tracks = features.extract_file("talk.mp4", encoders=["expression", "wav2vec2"])
    tracks["expression", "main"].to_pandas()

`extract_arrays` takes pictures and sound in memory, `FeatureExtractor` loads encoders once for many
clips, and `TrackStore` reads what `python -m features.extract` has made of a folder.
"""

import importlib
from typing import TYPE_CHECKING, Any

from features.environment import environment_kept

if TYPE_CHECKING:
    from features.api import FeatureExtractor, extract_arrays, extract_file
    from features.encoders.base import BaseEncoder, Description, Tokens
    from features.errors import UserError
    from features.faces.detect import FaceSettings
    from features.store.feature_track import FeatureTrack, TrackInfo, read_track
    from features.store.track_store import TrackStore

__all__ = [
    "BaseEncoder",
    "Description",
    "FaceSettings",
    "FeatureExtractor",
    "FeatureTrack",
    "Tokens",
    "TrackInfo",
    "TrackStore",
    "UserError",
    "extract_arrays",
    "extract_file",
    "read_track",
]
_PLACES = {
    "features.api": ("FeatureExtractor", "extract_arrays", "extract_file"),
    "features.encoders.base": ("BaseEncoder", "Description", "Tokens"),
    "features.errors": ("UserError",),
    "features.faces.detect": ("FaceSettings",),
    "features.store.feature_track": ("FeatureTrack", "TrackInfo", "read_track"),
    "features.store.track_store": ("TrackStore",),
}


def __getattr__(name: str) -> Any:
    """Loads a public name when it is asked for, so that a command loads only what it needs."""
    for module, names in _PLACES.items():
        if name in names:
            with environment_kept():
                return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'features' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
