"""Nothing stale is served: outputs of stages, out-of-fold scores, members, aligned tracks.

And nothing is written where nothing may be: read-only stores, caches that are named.
"""

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.errors import UserError
from features.store.feature_track import SOUND, read_track
from features.store.track_store import TrackStore
from fusion import evaluate, predict, tune
from fusion.abaw.reading.annotations import read_corpus
from fusion.data.prediction_files import list_predictions, read_predictions
from fusion.ensemble import MEMBERS, EnsembleSettings, ensemble
from fusion.evaluation.decided import predict_decided
from fusion.evaluation.scored_clips import CorpusSettings, LabelledSettings
from fusion.inference.checkpoint import load_checkpoint
from fusion.inference.predictor import predict_clips
from fusion.streams import cache
from fusion.streams.clip_streams import CACHE, load_clip
from fusion.training.cross_validation import train_several
from fusion.training.stages import train
from tests.fusion.small_corpora import put
from tests.fusion.tiny import CLIPS, DIM, FRAMES, TEST, write_corpus
from tests.fusion.training import test_cross_validation, test_stages

STREAMS = {"face": DIM, "voice": 3}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "tiny")


def va_of(path: Path) -> np.ndarray:
    """Valence and arousal in a file of predictions."""
    return read_predictions(path).values["va"]


def extract_anew(root: Path, track_id: str) -> None:
    """Other features under the header that they had, in a file of the old size and time."""
    video, _, person = track_id.partition("_")
    store = TrackStore(root / "tracks")
    before = store.path("face", track_id).stat()
    values = np.random.default_rng(5).normal(size=(FRAMES, DIM))
    path = put(store, "face", video, np.arange(FRAMES) / 25, values, person or "main")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_an_aligned_track_follows_its_original_whatever_the_file_says(root: Path) -> None:
    store, (clip, *_) = TrackStore(root / "tracks"), read_corpus(root)
    before = load_clip(store, clip, STREAMS, 0.2)
    assert before
    path = store.path("voice", clip.id)
    old, track = path.stat(), store.read("voice", clip.id)
    put(store, "voice", clip.id, track.times, track.values + 1, SOUND)
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (old.st_size, old.st_mtime_ns)
    after = load_clip(store, clip, STREAMS, 0.2)
    assert after
    np.testing.assert_allclose(after.streams["voice"][:], before.streams["voice"][:] + 1, 1e-5)


def features_of(runs: Path, stage: str, clip: str) -> np.ndarray:
    return read_track(runs / f"tiny/{stage}/outputs/features/{clip}.safetensors").values


def test_outputs_of_stages_are_made_anew_for_new_tracks(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = test_stages.settings(root, tmp_path)
    train(recipe)
    before = {(s, c): features_of(tmp_path, s, c) for s in ("va", "joint") for c in CLIPS}
    extract_anew(root, "3")
    train(recipe)
    for (stage, clip), rows in before.items():
        same = np.array_equal(features_of(tmp_path, stage, clip), rows)
        assert same == (clip != "3"), (stage, clip)
    assert "labels or tracks of 1 clip (3) have changed" in capsys.readouterr().out


def test_outputs_of_a_network_that_adapts_to_people_follow_all_their_clips(
    root: Path, tmp_path: Path
) -> None:
    (root / "annotations/people.csv").write_text("id,person\n1,Ann\n2,Ann\n")
    (root / "people.csv").write_text("id,person\n1,Ann\n2,Ann\n")
    recipe = test_stages.settings(root, tmp_path)
    recipe = replace(recipe, epochs=1, data=replace(recipe.data, adapt="person"))
    train(recipe)
    before = {clip: features_of(tmp_path, "va", clip) for clip in CLIPS}
    extract_anew(root, "2")
    train(recipe)
    changed = {c for c in CLIPS if not np.array_equal(features_of(tmp_path, "va", c), before[c])}
    assert changed == {"1", "2"}


def test_out_of_fold_predictions_are_made_anew_for_new_tracks(root: Path, tmp_path: Path) -> None:
    asked = test_cross_validation.settings(root, tmp_path)
    scores = train_several(asked)
    folder = tmp_path / "cv/out_of_fold"
    before = {name: read_predictions(path) for name, path in list_predictions(folder).items()}
    stamps = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    extract_anew(root, "3")
    assert train_several(asked) != scores
    for name, path in list_predictions(folder).items():
        assert np.array_equal(va_of(path), before[name].values["va"]) == (name != "3")
        assert (path.stat().st_mtime_ns == stamps[path]) == (name != "3")


def test_a_damaged_out_of_fold_prediction_is_made_anew(root: Path, tmp_path: Path) -> None:
    asked = test_cross_validation.settings(root, tmp_path)
    scores = train_several(asked)
    path = tmp_path / "cv/out_of_fold/3.parquet"
    path.write_bytes(path.read_bytes()[:50])
    assert train_several(asked) == scores


def test_members_of_an_ensemble_predict_anew_for_new_tracks(root: Path, tmp_path: Path) -> None:
    asked = test_cross_validation.settings(root, tmp_path, folds=0, name="a", epochs=1)
    members = [train(asked), train(replace(asked, name="b", seed=2))]
    blend = EnsembleSettings(
        members, tmp_path / "out", split="validation", data=CorpusSettings(root=root)
    )
    ensemble(blend)
    before = {n: va_of(p) for n, p in list_predictions(tmp_path / "out").items()}
    own = {p: p.stat().st_mtime_ns for p in (tmp_path / "out" / MEMBERS).rglob("*.parquet")}
    extract_anew(root, "3")
    ensemble(blend)
    after = {n: va_of(p) for n, p in list_predictions(tmp_path / "out").items()}
    assert not np.allclose(after["3"], before["3"])
    assert all((p.stat().st_mtime_ns == s) == (p.stem != "3") for p, s in own.items())


def test_no_stale_member_is_left_of_a_clip_without_tracks(root: Path, tmp_path: Path) -> None:
    asked = test_cross_validation.settings(root, tmp_path, folds=0, name="a", epochs=1)
    members = [train(asked), train(replace(asked, name="b", seed=2))]
    blend = EnsembleSettings(
        members, tmp_path / "out", split="validation", data=CorpusSettings(root=root)
    )
    ensemble(blend)
    for path in (root / "tracks").rglob("3.safetensors"):
        path.unlink()
    with pytest.raises(UserError, match=r"no predictions of 1 of 2 clips, such as '3'"):
        ensemble(blend)


# --- persons: one function for all commands ---------------------------------------------------


@pytest.fixture
def adapted(root: Path, tmp_path: Path) -> Path:
    """Checkpoint that adapts to people; validation's two clips are of one person, and test's."""
    (root / "people.csv").write_text("id,person\n3,Bob\n4_left,Bob\n5,Cid\n6,Cid\n")
    asked = test_stages.settings(root, tmp_path, stages=[], answers={}, epochs=1)
    return train(replace(asked, data=replace(asked.data, adapt="person")))


def test_all_commands_know_a_person_by_people_csv(
    root: Path, adapted: Path, tmp_path: Path
) -> None:
    checkpoint, store = load_checkpoint(adapted), TrackStore(root / "tracks")
    clips = [clip for clip in read_corpus(root) if clip.split == "validation"]
    assert {clip.group for clip in clips} == {"Bob"}
    true = {one.id: one.values["va"] for one in predict_clips(checkpoint, store, clips)}
    lonely = [replace(clip, group=clip.video) for clip in clips]
    assert not np.allclose(
        next(iter(predict_clips(checkpoint, store, lonely))).values["va"], true["3"]
    )

    data = CorpusSettings(root=root)
    two = [adapted, tmp_path / "two.ckpt"]
    shutil.copy(*two)
    ensemble(EnsembleSettings(two, tmp_path / "out", split="validation", data=data))
    (member,) = (tmp_path / "out" / MEMBERS).iterdir()  # equal files are one member's folder
    made = {n: va_of(p) for n, p in list_predictions(member).items()}
    assert made.keys() == true.keys()
    assert all(np.allclose(made[name], true[name], atol=1e-6) for name in true)

    seen, _ = predict_decided(adapted, data, "cpu", list(true), lambda one: one.values["va"])
    assert all(np.allclose(seen[name], true[name], atol=1e-6) for name in true)

    status = predict.command(
        predict.PredictSettings(checkpoint=adapted, store=root / "tracks", out=tmp_path / "said")
    )
    assert status == 0
    said = {n: va_of(p) for n, p in list_predictions(tmp_path / "said").items()}
    assert set(said) == set(CLIPS) | set(TEST)
    assert all(np.allclose(said[name], true[name], atol=1e-6) for name in true)


# --- where aligned tracks lie -----------------------------------------------------------------


def test_a_named_cache_is_used_in_training_and_after(root: Path, tmp_path: Path) -> None:
    asked = test_stages.settings(root, tmp_path)
    asked = replace(asked, epochs=1, data=replace(asked.data, cache=tmp_path / "cache"))
    best = train(asked)
    train_several(replace(asked, name="cv", folds=2, stages=[], answers={}))
    read_only_commands(root, best, tmp_path)
    assert list((tmp_path / "cache").rglob("*.safetensors"))
    assert not (root / "tracks" / CACHE).exists()


def read_only_commands(root: Path, best: Path, out: Path, **data: Path) -> None:
    """Every command that predicts."""
    corpus = CorpusSettings(root=root, **data)
    labelled = LabelledSettings(root=root, **data)
    evaluate.evaluate(evaluate.EvaluateSettings(checkpoint=best, data=labelled))
    tune.tune(tune.TuneSettings(checkpoint=best, data=corpus, out=out / "tuned.ckpt"))
    predict_decided(best, corpus, "cpu", list(TEST), lambda one: one)
    folder = predict.PredictSettings(
        checkpoint=best, store=root / "tracks", out=out / "said", cache=data.get("cache")
    )
    assert predict.command(folder) == 0
    members = [best, out / "tuned.ckpt"]
    ensemble(EnsembleSettings(members, out / "both", split="validation", data=corpus))


def test_a_cache_can_be_named_after_training(root: Path, tmp_path: Path) -> None:
    asked = test_stages.settings(root, tmp_path, stages=[], answers={}, epochs=1)
    best = train(asked)
    shutil.rmtree(root / "tracks" / CACHE)
    read_only_commands(root, best, tmp_path, cache=tmp_path / "cache")
    assert list((tmp_path / "cache").rglob("*.safetensors"))
    assert not (root / "tracks" / CACHE).exists()


@contextmanager
def powerless() -> Iterator[None]:
    """Without root's right to write everywhere, which tests in containers have."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(user)


@pytest.fixture
def locked() -> Iterator[tuple[Path, Path]]:
    """A store that can only be read, and a folder that can be written to."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are for their user alone
        base = Path(name)
        base.chmod(0o755)
        root = write_corpus(base / "tiny")
        (base / "out").mkdir()
        (base / "out").chmod(0o777)
        for folder in (root / "tracks", *(root / "tracks").iterdir()):
            folder.chmod(0o555)
        yield root, base / "out"
        for folder in (root / "tracks", *(root / "tracks").iterdir()):
            folder.chmod(0o755)


def test_a_read_only_store_can_be_trained_on_and_predicted_from(
    root: Path, locked: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cache, "_own", [])
    closed, out = locked
    asked = test_stages.settings(root, tmp_path, stages=[], answers={}, epochs=1)
    best = shutil.copy(train(asked), out / "best.ckpt")
    Path(best).chmod(0o644)
    read_only_commands(root, best, tmp_path)  # loads all modules while that is allowed
    expected = list_predictions(tmp_path / "said")
    with powerless(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(PermissionError):
            (closed / "tracks" / CACHE).mkdir()
        train(test_stages.settings(closed, out / "runs", stages=[], answers={}, epochs=1))
        read_only_commands(closed, best, out)
        (own,) = cache.own_caches(made=False)
        assert list(own.rglob("voice/*.safetensors"))
        cache._own[0].cleanup()
    said = [str(w.message) for w in caught if "can only be read" in str(w.message)]
    assert len(said) == 1
    assert "--data.cache FOLDER" in said[0]
    assert not (closed / "tracks" / CACHE).exists()
    for name, path in list_predictions(out / "said").items():
        assert np.array_equal(va_of(path), va_of(expected[name]))


def test_a_cache_that_was_named_must_be_writable(root: Path, locked: tuple[Path, Path]) -> None:
    closed, _ = locked
    clip = read_corpus(closed)[0]
    with powerless(), pytest.raises(PermissionError):
        load_clip(TrackStore(closed / "tracks"), clip, STREAMS, 0.2, closed / "tracks" / "own")
