import numpy as np
import pytest

import features
from features.encoders.visual.face.encoder import POSE, UNITS
from features.store.track_store import TrackStore
from fusion.inference.predictor import clips_of_store
from fusion.measuring.readings import READINGS, read_measures
from tests.media import face_frame, tone, write_video

FRAMES, FPS = 12, 12


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TrackStore:
    """Tracks of a film whose first frames show no face, with a tone beside it."""
    here = tmp_path_factory.mktemp("readings")
    empty = [np.full((160, 192, 3), 90, np.uint8)] * 4
    seen = [face_frame(192, 160, [(80 + i, 80)], size=110) for i in range(FRAMES - 4)]
    clip = write_video(here / "talk.mp4", [*empty, *seen], fps=FPS, sound=tone(FRAMES / FPS))
    features.extract_file(clip, ["face", "speech"], store=here / "tracks", device="cpu")
    return TrackStore(here / "tracks")


def test_all_that_the_store_has_is_told_and_nothing_where_nothing_is_seen(
    store: TrackStore,
) -> None:
    (clip,) = clips_of_store(store)
    found = read_measures(store, clip, FRAMES)
    assert list(found) == [reading.measure for reading in READINGS]
    seen = store.read("faces", "talk").valid
    assert 0 < seen.sum() < FRAMES
    for name in ("units", "pose", "quality", "box", "landmarks"):
        assert (~np.isnan(found[name].values).any(axis=1) == seen).all(), name
    units = store.read("face.units", "talk")
    np.testing.assert_allclose(found["units"].values[seen], units.values[seen], atol=1e-6)
    assert units.info.columns == UNITS == tuple(n.removesuffix("_p") for n in found["units"].names)
    assert store.read("face.pose", "talk").info.columns == POSE == found["pose"].names
    faces = store.read("faces", "talk")
    assert faces.info.columns[:14] == (
        *(name.removeprefix("box_") for name in found["box"].names),
        *found["landmarks"].names,
    )
    assert not np.isnan(found["speech"].values).any()
    assert (found["speech"].values < 0.5).all()  # a tone is no voice


def test_frames_that_are_no_longer_those_of_the_store_are_not_mixed(store: TrackStore) -> None:
    (clip,) = clips_of_store(store)
    with pytest.raises(ValueError, match=f"not {FRAMES + 1} frames"):
        read_measures(store, clip, FRAMES + 1)
