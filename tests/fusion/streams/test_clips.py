"""Which tracks belong to a clip, and how they come onto its frame clock."""

from pathlib import Path

import numpy as np
import pytest

from features.errors import UserError
from features.store.feature_track import SOUND
from fusion.streams.clip_streams import load_clip
from fusion.streams.clip_tracks import clip_ids, sound_clock
from tests.fusion.small_corpora import DIMS, clip, module, put, put_video


def test_the_sound_of_a_video_serves_both_its_people_and_a_face_only_its_own(store):
    clock = np.arange(10) / 10
    for person in ("left", "right"):
        put(store, "faces", "12", clock, person=person)
    put(store, "face", "12", clock, person="right")
    put(store, "face", "12", clock)  # main: a third track, of neither
    put(store, "voice", "12", clock, person=SOUND)
    left = load_clip(store, clip("12_left", video="12"), DIMS, 0.2)
    right = load_clip(store, clip("12_right", video="12"), DIMS, 0.2)
    assert left.valid["voice"].all()
    assert right.valid["voice"].all()
    assert right.valid["face"].all()
    assert not left.valid["face"].any()


def test_a_person_not_told_apart_has_the_frames_of_the_video_unseen(store):
    put_video(store, "12", 10)
    data = load_clip(store, clip("12_right", video="12"), DIMS, 0.2)
    np.testing.assert_array_equal(data.times, np.arange(10) / 30)
    assert not data.face.any()
    assert not data.valid["face"].any()
    assert data.valid["voice"].any()


def test_a_clip_level_vector_of_a_video_serves_its_people(store):
    put(store, "faces", "12", np.arange(10) / 10, person="left")
    put(store, "au", "12", [0.0], values=[[5, 6]], notes="clip-level")
    data = load_clip(store, clip("12_left", video="12"), {"au": 2}, 0.2)
    assert (data.streams["au"][2:9] == [5, 6]).all()
    assert data.valid["au"].all()


def test_an_id_is_never_matched_by_prefix(store):
    put_video(store, "12", 10)
    put_video(store, "123", 10)
    assert load_clip(store, clip("1"), DIMS, 0.2) is None


def test_a_clip_without_a_stream_gets_invalid_rows_of_the_right_size(store):
    put(store, "faces", "1", np.arange(10) / 10)
    data = load_clip(store, clip("1"), DIMS, 0.2)
    assert data.streams["voice"][:].shape == (10, 3)
    assert data.streams["voice"][4:7].shape == (3, 3)
    assert not any(mask.any() for mask in data.valid.values())


def test_without_faces_the_first_visual_stream_gives_the_clock(store):
    put(store, "face", "1", np.arange(10) / 10)
    put(store, "voice", "1", np.arange(50) / 50, person=SOUND)
    data = load_clip(store, clip("1"), {"voice": 3, "face": 4}, 0.2)
    assert len(data) == 10


def test_sound_without_pictures_has_a_clock_of_its_own(store):
    tokens = np.arange(50) / 50 + 0.01
    put(store, "voice", "1", tokens, person=SOUND, duration=1.01)
    put(store, "mel", "1", tokens[::2], person=SOUND, duration=1.01)
    for dims in ({"voice": 3}, {"mel": 2}, {"face": 4, "mel": 2, "voice": 3}):
        data = load_clip(store, clip("1"), dims, 0.2)
        np.testing.assert_array_equal(data.times, np.arange(26) / 25)
        assert not data.face.any()
    assert data.valid["voice"].all()
    assert not data.valid["face"].any()
    assert np.abs(data.streams["voice"][5:20][:, 0] - data.times[5:20]).max() <= 0.0101
    assert len(sound_clock(4.0)) == len(sound_clock(100 * 0.04)) == 100
    put_video(store, "2", 10)
    put(store, "voice", "3", tokens, person=SOUND)  # of a video whose pictures are not there yet
    assert clip_ids(store) == ["1", "2"]


def test_sound_whose_pictures_are_not_extracted_gives_no_frames_and_says_so(store):
    put(store, "voice", "1", np.arange(50) / 50, person=SOUND)
    with pytest.raises(UserError, match=r"^1: .*no 'faces'.*features\.extract"):
        load_clip(store, clip("1"), DIMS, 0.2)


def test_streams_are_aligned_in_time_and_sound_that_starts_late_stays_late(store):
    put_video(store, "1", 60, late=0.5)
    data = load_clip(store, clip("1"), DIMS, 0.2)
    voice, heard = data.streams["voice"][:], data.valid["voice"]
    assert heard.tolist() == [time >= 0.39 for time in data.times]
    middle = slice(18, 60)
    assert np.abs(voice[middle, 0] - data.times[middle]).max() <= 0.0101
    np.testing.assert_allclose(data.streams["face"][:][:, 0], data.times, rtol=1e-6)


def test_aligned_tracks_are_kept_and_made_anew_only_when_something_changed(store):
    put_video(store, "1", 60)

    def aligned(window=0.2):
        load_clip(store, clip("1"), DIMS, window)
        return {p: p.stat().st_mtime_ns for p in (store.root / ".aligned").rglob("*.safetensors")}

    first = aligned()
    assert len(first) == 1  # the face's track is on the clock already and is not copied
    assert aligned() == first
    assert len(aligned(window=0.5)) == 2
    put(store, "voice", "1", np.arange(100) / 50, values=np.ones((100, 3)), person=SOUND)
    assert len(aligned()) == 3
    assert (load_clip(store, clip("1"), DIMS, 0.2).streams["voice"][:] == 1).all()
    put(store, "faces", "1", np.arange(60) / 25)
    put(store, "face", "1", np.arange(60) / 25)
    assert len(aligned()) == 4
    assert store.streams() == ["face", "faces", "voice"]


def test_a_damaged_aligned_track_is_made_anew(store):
    put_video(store, "1", 60)
    load_clip(store, clip("1"), DIMS, 0.2)
    [kept] = (store.root / ".aligned").rglob("*.safetensors")
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-7])
    assert load_clip(store, clip("1"), DIMS, 0.2).valid["voice"].all()
    assert kept.read_bytes() == whole


@pytest.mark.parametrize("stream", ["faces", "face", "voice"])
def test_a_damaged_track_is_named_with_the_remedy(corpus, store, stream):
    path = store.path(stream, "2")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(UserError, match=r"2\.safetensors.*features\.extract again") as caught:
        module(corpus, store).setup("fit")
    assert "\n" not in str(caught.value)


def test_many_clips_need_few_open_files(store):
    clips = [clip(str(i), frames=21) for i in range(40)]
    for item in clips:
        put_video(store, item.id, 21)
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("this system does not list open files under /proc")
    before = len(list(folder.iterdir()))
    data = module([*clips, clip("0", "validation", 21)], store)
    data.setup("fit")
    batches = list(data.train_dataloader())
    assert sum(len(batch.clip) for batch in batches) == 80
    assert len(list(folder.iterdir())) <= before + 3
