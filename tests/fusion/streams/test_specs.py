"""A model never meets the features of another encoder."""

import numpy as np
import pytest

from features.errors import UserError
from features.store.track_store import TrackStore
from fusion.streams.stream_spec import StreamSpec, require_same_specs, stream_specs
from tests.fusion.small_corpora import identity, module, put


def test_specs_tell_what_a_stream_is_made_of(corpus, store):
    assert stream_specs(store, ["voice"]) == {"voice": StreamSpec(3, "net", "r1", "s1")}


def test_an_unknown_stream_is_refused_with_the_known_ones(corpus, store):
    with pytest.raises(UserError, match=r"'fce', only 'face', 'faces', 'voice'.*features\.extract"):
        module(corpus, store, streams=["fce"])
    with pytest.raises(UserError, match="only none at all"):
        module(corpus, TrackStore(store.root / "nowhere"))


@pytest.mark.parametrize("change", [{"revision": "r2"}, {"encoder": "other"}, {"dim": 5}])
def test_a_stream_of_two_encoders_is_refused(corpus, store, change):
    dim = change.pop("dim", 4)
    put(store, "face", "3", np.arange(45) / 30, np.ones((45, dim)), **change)
    with pytest.raises(UserError, match=r"face mixes encoders: .*3 tracks.*1 track such as 3"):
        module(corpus, store)


def test_a_checkpoint_refuses_other_encoders_and_absent_streams_and_warns_of_settings():
    want = {"face": StreamSpec(4, "net", "r1", "s1")}
    require_same_specs(want, want | {"more": StreamSpec(1, "x", "y", "z")})
    with pytest.raises(UserError, match=r"'face' holds net r2 .* trained on net r1"):
        require_same_specs(want, {"face": StreamSpec(4, "net", "r2", "s1")})
    with pytest.raises(UserError, match=r"needs the stream 'face'"):
        require_same_specs(want, {"voice": want["face"]})
    with pytest.warns(UserWarning, match="other settings"):
        require_same_specs(want, {"face": StreamSpec(4, "net", "r1", "s2")})


def test_a_model_meets_a_store_that_lacks_one_of_its_streams(corpus, store):
    specs = stream_specs(store, ["face"]) | {"text": StreamSpec(6, "bert", "r", "s")}
    data = module(corpus, store, specs=specs, normalisers=identity({"face": 4, "text": 6}))
    data.setup("test")
    batch = next(iter(data.test_dataloader()))
    assert batch.streams["text"].shape == (2, 20, 6)
    assert not batch.valid["text"].any()
    with pytest.raises(UserError, match="no stream 'text'"):
        module(corpus, store, specs={"text": specs["text"]})
    with pytest.raises(UserError, match="trained on net r9"):
        module(corpus, store, specs={"face": StreamSpec(4, "net", "r9", "s1")})
