"""The page: runs of `fusion.train --cfg ravdess` beside linear models of the same folds."""

from pathlib import Path

import numpy as np
import pytest

from experiments.studies.ravdess.clips import read_moments
from experiments.studies.ravdess.ravdess import RavdessSettings, command
from experiments.studies.ravdess.systems import ANCHOR, MODEL, SYSTEMS, Split, System
from experiments.studies.ravdess.table import judge, rows, scores, spread
from features.cli.app import parse
from features.errors import UserError
from features.store.feature_track import SOUND
from features.store.track_store import TrackStore
from fusion.training.config import TrainSettings
from fusion.training.cross_validation import train_several
from tests.fusion.small_corpora import put

LAYERS = ["whisper.1", "whisper.2"]
SMALL = "--model.dim 16 --model.stream_dim 8 --model.tcn_levels 0 --epochs 1 --folds 2"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four actors who play each emotion twice."""
    folder = tmp_path_factory.mktemp("ravdess")
    store, rng = TrackStore(folder / "tracks"), np.random.default_rng(0)
    for actor in range(1, 5):
        for code in range(1, 9):
            for take in (1, 2):
                name = f"03-01-0{code}-01-01-0{take}-0{actor}"
                (folder / f"{name}.flac").touch()
                for layer in LAYERS:
                    sound = np.eye(4)[code % 4] + 0.3 * rng.normal(size=(50, 4))
                    times = np.arange(50) / 50 + 0.01
                    put(store, layer, name, times, sound, person=SOUND, duration=1.0)
                units = np.eye(2)[code // 5] + 0.1 * rng.normal(size=(1, 2))
                put(store, "openface", name, [0.0], units, notes="clip-level")
    return folder


@pytest.fixture(scope="module")
def runs(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of two folds."""
    folder = tmp_path_factory.mktemp("runs")
    for name, more in (("ravdess", ""), ("ravdess_person", "--data.adapt person")):
        words = f"--cfg ravdess --data.root {root} --runs {folder} --name {name} {SMALL} {more}"
        words += " --data.streams whisper.2,openface"
        train_several(parse(TrainSettings, prog="t", description="", argv=words.split()))
    return folder


def settings(root: Path, runs: Path, page: Path) -> RavdessSettings:
    return RavdessSettings(root, runs / "ravdess", runs / "ravdess_person", LAYERS, page=page)


def test_the_page_has_both_kinds_and_the_folds_of_the_run(
    root: Path, runs: Path, tmp_path: Path
) -> None:
    asked = settings(root, runs, tmp_path / "page.md")
    assert command(asked) == 0
    text = asked.page.read_text()
    assert text.count(f"**{ANCHOR.name}**") == 2
    assert "Transductive: person statistics of unlabelled test frames." in text
    assert "64 clips, 2 folds" in " ".join(text.split())
    assert str(tmp_path) not in text


def test_a_run_of_another_adaptation_is_refused(root: Path, runs: Path, tmp_path: Path) -> None:
    asked = settings(root, runs, tmp_path / "page.md")
    asked.run = asked.adapted or asked.run
    with pytest.raises(UserError, match="adapted person, not none"):
        command(asked)


def test_a_run_without_folds_and_a_clip_without_a_stream_are_named(
    root: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="no folds"):
        command(RavdessSettings(root, tmp_path, layers=LAYERS))
    with pytest.raises(UserError, match=r"lacks its 'whisper\.9'"):
        command(RavdessSettings(root, tmp_path, layers=["whisper.9"]))


def test_moments_are_those_of_the_tracks_and_a_persons_are_scaled_alone(root: Path) -> None:
    clips = read_moments(root, LAYERS, "openface")
    track = TrackStore(root / "tracks").read("whisper.2", clips.ids[3])
    np.testing.assert_allclose(clips.sound[3, 8:12], track.values.mean(0), rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(clips.sound[3, 12:], track.values.std(0), rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(clips.units[:, :2] ** 2, clips.units[:, 2:].clip(0), atol=1e-5)
    assert clips.labels.tolist() == [int(name[7]) - 1 for name in clips.ids]
    clips.sound[clips.people == "Actor_02"] += 100
    scaled = clips.by_person()
    for person in np.unique(clips.people):
        own = scaled.sound[clips.people == person]
        np.testing.assert_allclose(own.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(own.std(0), 1, atol=1e-5)


def test_a_system_sums_its_members() -> None:
    split = Split("fold0", np.ones(2, bool), np.array([0, 1]), np.array(["a", "b"]))
    said = {"a": {"fold0": np.eye(8)[[0, 2]]}, "b": {"fold0": np.eye(8)[[1, 1]]}}
    heavy = System("x", "both", {"a": 1.0, "b": 2.0})
    light = System("x", "both", {"a": 1.0, "b": 0.5})
    assert scores(heavy, [split], said)[0, 0] == 0.5
    assert scores(light, [split], said)[0, 0] == 0.5
    assert scores(System("x", "both", {"b": 1.0}), [split], said)[0, 0] == 0.5


def test_differences_are_paired_with_the_anchor() -> None:
    labels = np.arange(8)
    splits = [Split(f"fold{k}", np.ones(8, bool), labels, labels) for k in (0, 1)]
    right, wrong = np.eye(8), np.roll(np.eye(8), 1, axis=0)
    members = {name for system in SYSTEMS for name in system.terms}
    said = {name: {"fold0": right, "fold1": wrong} for name in members}
    said[MODEL] = {"fold0": 100 * right, "fold1": 100 * right}
    cells = {row["system"]: row for row in rows("none", splits, said)}
    assert cells["`fusion.train --cfg ravdess`"]["accuracy"] == "1.000 ± 0.000"
    apart = "accuracy less the anchor's"
    assert cells["`fusion.train --cfg ravdess`"][apart] == "+0.500 ± 0.500"
    assert cells[f"**{ANCHOR.name}**"][apart] == ""


def test_scores_of_known_guesses() -> None:
    labels = np.arange(8)
    assert judge(labels, labels) == (1.0, 1.0)
    accuracy, f1 = judge(np.zeros(8, int), labels)
    assert accuracy == 0.125
    assert f1 == pytest.approx(2 / 9 / 8)
    assert spread(np.array([0.6, 0.8])) == "0.700 ± 0.100"
