"""Names that clash: refused before work starts, and no track takes another's place."""

from pathlib import Path

import numpy as np
import pytest

from features.encoders.audio.prosody import ProsodySettings
from features.encoders.audio.wav2vec2 import Wav2Vec2Settings
from features.errors import UserError
from features.extract import ExtractSettings, SourceSettings, extract
from features.pipeline.discovery import find_sources, require_distinct
from features.store.feature_track import FeatureTrack, TrackInfo
from features.store.track_store import TrackStore
from tests.media import tone, write_sound


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def settings(root: Path, *encoders: str, **more: object) -> ExtractSettings:
    data = SourceSettings(root=root)
    return ExtractSettings(data=data, encoders=list(encoders), workers="0", **more)  # type: ignore[arg-type]


def track(video: str, person: str = "main", stream: str = "prosody") -> FeatureTrack:
    info = TrackInfo(video, person, stream, "net", "r", "s", "x")
    return FeatureTrack(np.zeros((2, 1), np.float32), np.arange(2.0), np.ones(2, bool), info)


def test_a_video_called_as_somebody_in_another_is_refused_before_work_starts(
    tmp_path: Path,
) -> None:
    touch(tmp_path, "call.mp4", "call_left.mp4", "talk.mp4", "talk_person3.mp4", "x_left.mp4")
    with pytest.raises(UserError, match=r"'call_left' and the person 'left' in 'call' would"):
        extract(settings(tmp_path, "prosody"))
    assert not (tmp_path / "tracks").exists()
    with pytest.raises(UserError, match=r"'call_left'.*; 'talk_person3' and the person 'person3'"):
        extract(settings(tmp_path, "prosody", persons="3"))


@pytest.mark.parametrize(
    ("names", "persons"),
    [
        (["call.mp4", "call_left.mp4"], 1),
        (["talk.mp4", "talk_person3.mp4"], 2),
        (["x_left.mp4", "x_right.mp4", "dyad01_person1.mp4"], 9),
        (["a.wav", "a_left.mp4"], 9),
        (["cropped_aligned/c/00001.jpg", "c_left.mp4"], 9),
        (["d.mp4", "d_leftish.mp4", "d_main.mp4"], 9),
    ],
)
def test_names_that_cannot_clash_are_taken(tmp_path: Path, names: list[str], persons: int) -> None:
    touch(tmp_path, *names)
    require_distinct(find_sources(tmp_path), persons)


def test_crops_of_a_person_clash_with_a_video_of_that_name(tmp_path: Path) -> None:
    touch(tmp_path, "c.mp4", "c_left.mp4", "cropped_aligned/c_right/00001.jpg")
    require_distinct(find_sources(tmp_path), 2)  # in the crops there is nobody called left
    touch(tmp_path, "c_right.mp4")
    sources = find_sources(tmp_path)  # whose crops they are by now
    assert {source.id: list(source.crops) for source in sources if source.crops} == {
        "c_right": ["main"]
    }


def test_no_track_takes_the_place_of_anothers(tmp_path: Path) -> None:
    store = TrackStore(tmp_path)
    path = store.write(track("call_left"))
    before = path.read_bytes()
    with pytest.raises(
        UserError, match=r"call_left\.safetensors is of 'main' in video 'call_left'"
    ):
        store.write(track("call", "left"))
    assert path.read_bytes() == before
    store.write(track("call_left"))  # its own is renewed


def test_headers_tell_of_whom_tracks_are(tmp_path: Path) -> None:
    store = TrackStore(tmp_path)
    for one in (track("call", "left"), track("talk_left", "sound"), track("12", "left", "faces")):
        store.write(one)
    told = {name: store.told(name) for name in ("call_left", "talk_left", "12_left", "12")}
    assert {name: info and (info.video, info.person) for name, info in told.items()} == {
        "call_left": ("call", "left"),
        "talk_left": ("talk_left", "sound"),
        "12_left": ("12", "left"),
        "12": None,
    }


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    write_sound(tmp_path / "a.wav", tone(0.5), 44100, "pcm_s16le")
    return tmp_path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wav2vec2": Wav2Vec2Settings(stream="prosody")}, "encoder prosody and from encoder wav"),
        (
            {"prosody": ProsodySettings(stream="faces")},
            "the search for faces and from encoder pros",
        ),
        ({"encoders": ["prosody", "prosody"]}, "encoder prosody and from encoder prosody"),
    ],
)
def test_two_makers_of_one_stream_are_refused(
    voice: Path, change: dict[str, object], message: str
) -> None:
    words = {"encoders": ["prosody", "wav2vec2"]} | change
    with pytest.raises(UserError, match=f"would come from {message}.*leave one out of"):
        extract(ExtractSettings(data=SourceSettings(root=voice), workers="0", **words))  # type: ignore[arg-type]
    assert not (voice / "tracks").exists()


def test_a_stream_that_another_maker_has_in_the_store_is_left_to_it(voice: Path) -> None:
    path = TrackStore(voice / "tracks").write(track("b"))
    before = path.read_bytes()
    with pytest.raises(UserError, match="from encoder net and from encoder prosody"):
        extract(settings(voice, "prosody"))
    assert path.read_bytes() == before
