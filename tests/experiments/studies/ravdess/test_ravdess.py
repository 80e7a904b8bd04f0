from dataclasses import replace

import numpy as np
import pytest

from experiments.studies.ravdess import ravdess
from experiments.studies.ravdess.data import read_corpus
from experiments.studies.ravdess.linear import regression
from experiments.studies.ravdess.ravdess import RavdessSettings, command, make_splits
from experiments.studies.ravdess.systems import ANCHOR, System, Trainer
from experiments.studies.ravdess.table import Split, judge, row, scores, spread
from features.errors import UserError
from tests.experiments.ravdess_small import SMALL, Ear, write_folder
from tests.shared import shared_data


@pytest.fixture
def ear(monkeypatch):
    ear = Ear()
    monkeypatch.setattr(ravdess, "make_encoders", lambda whisper: {"ear": ear})
    monkeypatch.setattr(ravdess, "ClipSettings", lambda _streams: replace(SMALL, batch=64))
    return ear


def test_a_system_sums_its_members_and_an_ensemble_its_seeds():
    labels = np.array([0, 1])
    split = Split("fold 0", np.zeros(2, bool), np.ones(2, bool), labels)
    a, b = np.eye(8)[[0, 2]], np.eye(8)[[1, 1]]
    said = {("a", "fold 0", 1): a, ("b", "fold 0", 1): b}
    said |= {("a", "fold 0", 2): -3 * a, ("b", "fold 0", 2): b}
    one = System("x", "both", ((1.0, "a"), (2.0, "b")))
    assert scores(one, said, [split], [1])[0, 0, 0] == 0.5
    light = replace(one, terms=((1.0, "a"), (0.5, "b")))
    assert scores(light, said, [split], [1, 2])[0, :, 0].tolist() == [0.5, 0.5]
    alone = System("x", "both", ((1.0, "a"),), ensemble=True)
    assert scores(alone, said, [split], [1, 2])[0, :, 0].tolist() == [0.0, 0.0]


def test_scores_of_known_guesses():
    labels = np.arange(8)
    assert judge(labels, labels) == (1.0, 1.0)
    accuracy, f1 = judge(np.zeros(8, int), labels)
    assert accuracy == 0.125
    assert f1 == pytest.approx(2 / 9 / 8)


def test_errors_are_over_folds_of_the_seeds_means():
    values = np.array([[0.5, 0.7], [0.8, 0.8]])
    assert spread(values, folds=True) == "0.700 ± 0.100"
    assert spread(values[:1], folds=False, sign="+") == "+0.600 ± 0.100 (+0.500, +0.700)"
    assert spread(values[:1, :1], folds=False) == "0.500"
    line = row(
        replace(ANCHOR, name="x"),
        values[..., None] + [0, 0],
        values[..., None] + [0, 0],
        folds=True,
    )
    assert line.endswith("| +0.000 |")


def test_a_run_is_written_and_a_second_one_trains_nothing(tmp_path, ear, monkeypatch):
    root = write_folder(tmp_path / "data", lacking=("03-01-05-01-01-01-02",))
    told = RavdessSettings(
        train=root,
        out=tmp_path / "out",
        page=tmp_path / "page.md",
        seeds=[1, 2],
        epochs=1,
        adapt=["none", "causal"],
    )
    assert command(told) == 0
    text, heard = told.page.read_text(), ear.heard
    assert "Transductive: running statistics" in text
    assert text.count("**late fusion of two logistic regressions**") == 2
    assert str(tmp_path) not in text

    monkeypatch.setattr(Trainer, "scores", lambda *_: pytest.fail("trained again"))
    assert command(told) == 0
    assert told.page.read_text() == text
    assert ear.heard == heard


def test_labels_of_the_test_folder_change_no_score(tmp_path, ear):
    train = write_folder(tmp_path / "train")
    test = write_folder(tmp_path / "test", actors=(11, 12), clips=1)
    told = RavdessSettings(
        train, test, None, tmp_path / "out", tmp_path / "p.md", [1], 1, ["person"]
    )
    assert command(told) == 0
    said = _said(tmp_path / "out")
    lines = (test / "labels.csv").read_text().splitlines()
    shifted = [
        ",".join([clip, actor, str(int(code) % 8 + 1)])
        for clip, actor, code, _ in (line.split(",") for line in lines[1:])
    ]
    (test / "labels.csv").write_text("\n".join(["clip,actor,emotion_code", *shifted]))
    assert command(replace(told, out=tmp_path / "other")) == 0
    other = _said(tmp_path / "other")
    assert said.keys() == other.keys()
    for name, one in said.items():
        np.testing.assert_array_equal(one, other[name])
    assert "another folder's actors" in told.page.read_text()


def _said(out):
    files = sorted((out / "said").rglob("*.npz"))
    return {file.name: np.load(file)["scores"] for file in files}


def test_folders_that_share_an_actor_are_refused(tmp_path, ear):
    train = write_folder(tmp_path / "train")
    test = write_folder(tmp_path / "test", actors=(4, 5), clips=1)
    with pytest.raises(UserError, match="actor 4"):
        command(RavdessSettings(train, test, out=tmp_path / "out"))


def test_a_folder_without_folds_asks_for_them_or_for_other_actors(tmp_path, ear):
    train = write_folder(tmp_path / "train")
    lines = [",".join(line.split(",")[:3]) for line in (train / "labels.csv").open()]
    (train / "labels.csv").write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"fold.*--test"):
        command(RavdessSettings(train, out=tmp_path / "out"))


def test_folds_hold_out_whole_actors(tmp_path):
    corpus = read_corpus(write_folder(tmp_path))
    for split in make_splits(corpus, None):
        assert not set(corpus.actors[split.train]) & set(corpus.actors[split.test])
        assert (split.train ^ split.test).all()


def test_the_face_s_anchor_is_that_of_the_data_s_own_page():
    corpus = read_corpus(shared_data() / "ravdess")
    accuracy = []
    for split in make_splits(corpus, None):
        fitted = regression(0.1)(corpus.units[split.train], corpus.labels[split.train])
        said = fitted(corpus.units[split.test])
        accuracy.append((said.argmax(1) == split.labels).mean())
    assert np.mean(accuracy) == pytest.approx(0.577, abs=0.001)
