"""Tasks beside ABAW's, from annotation to score: each is one file, and nothing else knows it.

A tiny corpus whose tracks tell the labels is trained on, evaluated, predicted, tuned and joined in
an ensemble by the commands that everybody uses.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.cli.app import run
from features.store.track_store import TrackStore
from fusion import ensemble, evaluate, predict, tune
from fusion.data.loading.config import DataSettings
from fusion.data.prediction_files import read_predictions
from fusion.inference.checkpoint import load_checkpoint
from fusion.model.settings import ModelSettings
from fusion.training.config import TrainSettings
from fusion.training.stages import train as train_recipe
from tests.fusion.small_corpora import put

# A class that tiny data lacks scores 0 with a warning.
pytestmark = pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore")
FRAMES, PEOPLE = 30, 12
SPLITS = ["train"] * 8 + ["validation"] * 4

CASES = {
    "emotions of frames": (
        {"emotions": {"classes": ["calm", "happy", "sad"]}},
        lambda state, _: [("calm", "happy", "sad")[i] for i in np.digitize(state, [-0.3, 0.3])],
        "emotion",
    ),
    "emotions of clips": (
        {"emotions": {"classes": ["no", "yes"], "level": "clip"}},
        lambda state, _: "yes" if state.mean() > 0 else "no",
        "emotion",
    ),
    "intensities": (
        {"intensities": {"names": ["Joy"]}},
        lambda state, _: round(float((state.mean() + 1) / 2), 3),
        "intensity_Joy",
    ),
    "values by ccc": (
        {"values": {"names": ["pain"], "low": 0, "high": 15}},
        lambda state, _: [round(float(7.5 * (v + 1)), 3) for v in state],
        "value_pain",
    ),
    "values by rmse": (
        {"values": {"names": ["pain"], "low": 0, "high": 15, "metric": "rmse", "loss": "mse"}},
        lambda state, _: [round(float(7.5 * (v + 1)), 3) for v in state],
        "value_pain",
    ),
}


def state_of(number: int) -> np.ndarray:
    """What the tracks tell, (F,) in [-1, 1]; about constant, and different in each clip."""
    level = np.random.default_rng(number).uniform(-0.9, 0.9)
    return np.clip(level + 0.1 * np.sin(np.arange(FRAMES)), -1, 1)


def write(root: Path, label, column: str) -> Path:
    store, rows = TrackStore(root / "tracks"), []
    for number, split in enumerate(SPLITS):
        name, state = f"c{number:02d}", state_of(number)
        times = np.arange(FRAMES) / 25
        put(store, "faces", name, times)
        put(store, "face", name, times, state[:, None] * np.linspace(-1, 1, 4))
        said = label(state, number)
        frames = enumerate(said, 1) if isinstance(said, list) else [("", said)]
        rows += [(name, split, f"p{number}", frame, value) for frame, value in frames]
    table = pd.DataFrame(rows, columns=["id", "split", "person", "frame", column])
    table.to_csv(root / "labels.csv", index=False)
    return root


def call(module, settings_type, *argv: object) -> None:
    with pytest.raises(SystemExit) as stop:
        run(settings_type, module.command, prog="t", description="", argv=[str(a) for a in argv])
    assert not stop.value.code


@pytest.fixture(scope="module", params=list(CASES), ids=[name.replace(" ", "-") for name in CASES])
def trained(request, tmp_path_factory):
    """The corpus, the tasks, the labelled column and the checkpoint of a run."""
    tasks, label, column = CASES[request.param]
    folder = tmp_path_factory.mktemp("case")
    root = write(folder, label, column)
    settings = TrainSettings(
        name="tiny",
        runs=folder / "runs",
        data=DataSettings(root=root, streams=["face"], window=20, stride=10, batch=4),
        model=ModelSettings(
            dim=16,
            stream_dim=8,
            tcn_levels=1,
            temporal={"name": "transformer", "layers": 1, "heads": 2},
            dropout=0.0,
        ),
        tasks=tasks,
        epochs=20,
    )
    return root, tasks, column, train_recipe(settings)


def test_what_is_easy_is_learnt_and_scored_by_the_tasks_own_metric(trained, capsys):
    root, tasks, _, best = trained
    (name,) = tasks
    call(
        evaluate,
        evaluate.EvaluateSettings,
        *("--checkpoint", best, "--data.root", root, "--out", best.parent / "report"),
    )
    said = capsys.readouterr().out
    title = load_checkpoint(best).tasks[name].title
    table = pd.read_csv(best.parent / "report/scores.csv", index_col="score")["value"]
    assert title in said
    if tasks[name].get("metric") == "rmse":
        assert -3 < table[title] < 0
    else:
        assert table[title] > 0.6
    logs = pd.read_csv(next((best.parent / "logs").glob("*/metrics.csv")))
    assert f"val/{title}" in logs
    assert f"train/{name}" in logs


def test_predictions_have_its_columns_and_are_read_back(trained, tmp_path):
    root, tasks, _, best = trained
    (name,) = tasks
    argv = ("--checkpoint", best, "--store", root / "tracks", "--out", tmp_path)
    call(predict, predict.PredictSettings, *argv)
    files = sorted(tmp_path.glob("*.parquet"))
    assert len(files) == PEOPLE
    one = read_predictions(files[0])
    assert list(one.tasks) == [name]
    assert set(one.tasks[name].columns) <= set(pd.read_parquet(files[0]).columns)


def test_it_can_be_tuned_and_joined_with_others(trained, tmp_path, capsys):
    root, tasks, _, best = trained
    (name,) = tasks
    tuned = tmp_path / "tuned.ckpt"
    argv = ("--checkpoint", best, "--data.root", root, "--out", tuned, "--folds", 2)
    call(tune, tune.TuneSettings, *argv)
    title = load_checkpoint(tuned).tasks[name].title
    assert title in capsys.readouterr().out
    call(
        ensemble,
        ensemble.EnsembleSettings,
        *("--members", f"{best},{tuned}", "--data.root", root, "--weights", "equal"),
        *("--select", "all", "--out", tmp_path / "joined"),
    )
    joined = read_predictions(next((tmp_path / "joined").glob("*.parquet")))
    assert list(joined.tasks) == [name]
