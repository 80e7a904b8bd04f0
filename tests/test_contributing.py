"""The examples of CONTRIBUTING.md, run as they stand: one of each kind is added from outside.

Its fusion block is trained in tests/fusion/model/test_registry.py, the data set of
fusion/corpora/README.md read in tests/fusion/corpora, a modality extracted in
tests/features/encoders/test_token_encoders.py.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.cli.app import parse, run
from features.store.track_store import TrackStore
from fusion import evaluate, predict, train
from fusion.data.prediction_files import read_predictions
from fusion.inference.checkpoint import load_checkpoint
from fusion.tasks import registry
from fusion.training.config import TrainSettings
from tests.fusion.small_corpora import put
from tests.page import ROOT, example

FRAMES = 30
SPLITS = ["train"] * 8 + ["validation"] * 4
RECIPE = """
name: tiny
plugins: [gaze_of_a_test]
tasks: {gaze: {}}
data: {streams: [face], window: 20, stride: 10, batch: 4}
model:
  {dim: 16, stream_dim: 8, tcn_levels: 0, dropout: 0.0, temporal: {name: none}}
optimizer: {lr: 0.01}
epochs: 20
"""


def write_corpus(root: Path) -> Path:
    """A labels.csv with gaze, and tracks that tell it."""
    store, rows, rng = TrackStore(root / "tracks"), [], np.random.default_rng(0)
    for number, split in enumerate(SPLITS):
        name, times = f"c{number:02d}", np.arange(FRAMES) / 25
        gaze = rng.uniform(-80, 80, (FRAMES, 2))
        put(store, "faces", name, times)
        put(store, "face", name, times, np.hstack([gaze, gaze @ [[1], [-1]]]) / 90)
        rows += [(name, split, i, *angles) for i, angles in enumerate(gaze.round(2), 1)]
    table = pd.DataFrame(rows, columns=["id", "split", "frame", "gaze_yaw", "gaze_pitch"])
    table.to_csv(root / "labels.csv", index=False)
    return root


def call(module, kind: type, *argv: object) -> None:
    with pytest.raises(SystemExit) as stop:
        run(kind, module.command, prog="t", description="", argv=[str(a) for a in argv])
    assert not stop.value.code


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process: the task is not known until its module is imported."""
    registry.known_tasks()  # those of the project are loaded once
    known = {name: task for name, task in registry._KNOWN.items() if name != "gaze"}
    monkeypatch.setattr(registry, "_KNOWN", known)
    monkeypatch.delitem(sys.modules, "gaze_of_a_test", raising=False)


def test_one_file_adds_a_task_that_is_trained_scored_and_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "gaze_of_a_test.py").write_text(example("Adding a task"))
    monkeypatch.syspath_prepend(str(tmp_path))
    forget(monkeypatch)
    (tmp_path / "corpus").mkdir()
    root, cfg = write_corpus(tmp_path / "corpus"), tmp_path / "tiny.yaml"
    cfg.write_text(RECIPE)
    call(train, TrainSettings, "--cfg", cfg, "--data.root", root, "--runs", tmp_path / "runs")
    (best,) = (tmp_path / "runs").rglob("best.ckpt")
    assert list(load_checkpoint(best).tasks) == ["gaze"]
    forget(monkeypatch)
    told = ("--checkpoint", best, "--plugins", "gaze_of_a_test")
    out = ("--data.root", root, "--out", tmp_path / "report")
    call(evaluate, evaluate.EvaluateSettings, *told, *out)
    scores = pd.read_csv(tmp_path / "report/scores.csv", index_col="score")["value"]
    assert scores["GAZE"] > 0.7
    assert "GAZE" in capsys.readouterr().out
    into = ("--store", root / "tracks", "--out", tmp_path / "out")
    forget(monkeypatch)
    call(predict, predict.PredictSettings, *told, *into)
    said = tmp_path / "out/c00.parquet"
    assert {"yaw", "pitch"} <= set(pd.read_parquet(said).columns)
    assert np.ptp(read_predictions(said).values["gaze"]) > 1, "degrees, not a share of the range"


def test_one_file_adds_a_system(tmp_path: Path) -> None:
    for name, text in {
        "mtl.yaml": (ROOT / "configs/mtl.yaml").read_text(),
        "late.yaml": example("Adding a system"),
    }.items():
        (tmp_path / name).write_text(text)

    def read(name: str) -> TrainSettings:
        return parse(TrainSettings, prog="t", description="", argv=[f"--cfg={tmp_path / name}"])

    late, base = read("late.yaml"), read("mtl.yaml")
    assert (late.name, late.model.temporal["name"], late.model.stream_dropout) == (
        "late",
        "gru",
        0.3,
    )
    assert base.model.temporal != late.model.temporal
    assert base.model.stream_dropout != late.model.stream_dropout
    assert base.data == late.data
