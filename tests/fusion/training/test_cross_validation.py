"""Folds and seeds: what is trained on, held out, found finished, scored and kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import UserError
from fusion.abaw.reading.annotations import read_corpus
from fusion.data.loading.config import DataSettings
from fusion.data.prediction_files import list_predictions, read_predictions
from fusion.inference.checkpoint import load_checkpoint
from fusion.model.settings import ModelSettings
from fusion.tasks.labels import one_after_another
from fusion.training import validation as held_out
from fusion.training.config import TrainSettings
from fusion.training.cross_validation import TABLE, score_held_out, summary, train_several
from fusion.training.lightning_module import AffectModule
from fusion.training.run_folder import DONE
from fusion.training.stages import train
from tests.fusion.classic import official_scores
from tests.fusion.tiny import CLIPS, write_corpus

FOLDS = 2


def settings(root: Path, runs: Path, **changes: object) -> TrainSettings:
    defaults = {
        "name": "cv",
        "runs": runs,
        "data": DataSettings(
            root=root, store=root / "tracks", streams=["face"], window=20, stride=15, batch=4
        ),
        "model": ModelSettings(
            dim=8,
            stream_dim=4,
            tcn_levels=1,
            temporal={"name": "transformer", "layers": 1, "heads": 1},
        ),
        "epochs": 1,
        "folds": FOLDS,
    }
    return TrainSettings(**(defaults | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def done(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """Folder of a finished cross-validation, and what it returned."""
    runs = tmp_path_factory.mktemp("runs")
    return runs / "cv", train_several(settings(root, runs))


def test_each_clip_is_predicted_by_the_run_that_has_not_seen_it(done) -> None:
    folder, _ = done
    found = list_predictions(folder / "out_of_fold")
    assert set(found) == set(CLIPS)
    runs = [load_checkpoint(folder / f"fold{i}/best.ckpt") for i in range(FOLDS)]
    for name, path in found.items():
        author = read_predictions(path).provenance["checkpoint"]
        unseen = [r.revision for r in runs if name not in r.provenance["train_clips"]]
        assert unseen == [author]


def test_the_pooled_score_is_the_official_one_of_the_kept_predictions(root: Path, done) -> None:
    folder, scores = done
    made = [read_predictions(p) for p in list_predictions(folder / "out_of_fold").values()]
    labels = {clip.id: clip.labels for clip in read_corpus(root)}
    pooled = one_after_another([labels[one.id] for one in made])
    parts = [np.concatenate([p.decided(task) for p in made]) for task in ("va", "expr", "au")]
    official = official_scores(pooled, *parts)
    assert scores == pytest.approx({name: official[name] for name in scores})


def test_the_table_holds_folds_mean_deviation_and_pooled(done) -> None:
    folder, scores = done
    table = pd.read_csv(folder / TABLE, index_col="run")
    assert list(table.index) == ["fold0", "fold1", "mean", "sd", "pooled"]
    assert dict(table.loc["pooled"]) == pytest.approx(scores)
    assert table.loc["mean", "P"] == pytest.approx(table.loc[["fold0", "fold1"], "P"].mean())


def test_finished_folds_and_predictions_are_found(root: Path, done, monkeypatch) -> None:
    folder, scores = done

    def never(*_: object, **__: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr("pytorch_lightning.Trainer.fit", never)
    monkeypatch.setattr(held_out, "predict_clips", never)
    assert train_several(settings(root, folder.parent)) == scores


def test_a_killed_cross_validation_goes_on_with_its_fold(root, tmp_path, monkeypatch) -> None:
    asked = settings(root, tmp_path, epochs=2)

    def stop(module: AffectModule) -> None:
        if module.payload["config"]["data"]["fold"] == 1 and module.current_epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(AffectModule, "on_train_epoch_start", stop)
        with pytest.raises(KeyboardInterrupt):
            train_several(asked)
    first = (tmp_path / "cv/fold0/best.ckpt").stat().st_mtime_ns
    assert not (tmp_path / "cv/fold1" / DONE).exists()
    train_several(asked)
    assert (tmp_path / "cv/fold0/best.ckpt").stat().st_mtime_ns == first
    second_leg = pd.read_csv(tmp_path / "cv/fold1/logs/version_1/metrics.csv")
    assert sorted(second_leg["epoch"].unique()) == [1]


def test_a_fold_that_has_seen_what_is_held_out_now_is_refused(root, tmp_path) -> None:
    one = settings(root, tmp_path, folds=0)
    fold = replace(one, data=replace(one.data, fold=0, folds=2))
    seen = load_checkpoint(train(fold)).provenance["train_clips"]
    (root / "people.csv").write_text(
        "id,person\n" + "".join(f"{c},Ann\n" for c in CLIPS if c in seen[:1] or c not in seen)
    )
    try:
        with pytest.raises(UserError, match="trained on clips held out now"):
            train(fold)
    finally:
        (root / "people.csv").unlink()


def test_a_single_fold_is_scored_on_what_it_holds_out(root: Path, done) -> None:
    folder, _ = done
    one = settings(root, folder.parent, folds=0)
    one = replace(one, data=replace(one.data, fold=1, folds=FOLDS))
    table = pd.read_csv(folder / TABLE, index_col="run")
    metrics = score_held_out(one, folder / "fold1/best.ckpt")
    assert metrics.scores()["P"] == pytest.approx(table.loc["fold1", "P"])


def test_seeds_are_runs_of_their_own_with_their_mean(root: Path, tmp_path: Path) -> None:
    scores = train_several(settings(root, tmp_path, folds=0, seeds=[3, 4]), keep=False)
    runs = [load_checkpoint(tmp_path / f"cv/seed{seed}/best.ckpt") for seed in (3, 4)]
    assert [run.config["seed"] for run in runs] == [3, 4]
    table = pd.read_csv(tmp_path / "cv" / TABLE, index_col="run")
    assert list(table.index) == ["seed3", "seed4", "mean", "sd"]
    assert scores["P"] == pytest.approx(table.loc[["seed3", "seed4"], "P"].mean())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"folds": 1}, "at least 2"),
        ({"folds": 9}, "between 2 and 4"),
        ({"devices": 2}, "devices"),
        ({"seeds": [1, 1]}, "differ"),
        ({"data": DataSettings(fold=1)}, "data.fold"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(root, tmp_path, changes, complaint):
    asked = settings(root, tmp_path, **changes)
    asked = replace(asked, data=replace(asked.data, root=root, store=root / "tracks"))
    with pytest.raises(UserError, match=complaint):
        train_several(asked)
    assert not (tmp_path / "cv").exists()


def test_the_table_of_a_task_without_labels_says_so() -> None:
    table = summary({"fold0": {"VA": 0.4, "AU": np.nan}, "fold1": {"VA": 0.6, "AU": np.nan}})
    assert table.loc["mean", "VA"] == pytest.approx(0.5)
    assert table.loc["sd", "VA"] == pytest.approx(0.02**0.5)
    assert np.isnan(table.loc["mean", "AU"])
