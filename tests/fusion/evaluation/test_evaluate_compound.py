"""Compound expressions scored: `evaluate --challenge CE`, from folders and from a checkpoint."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from fusion.abaw.challenges import compound_classes
from fusion.abaw.reading.annotations import read_truth
from fusion.abaw.reading.compound import read_compound_corpus
from fusion.data.prediction_files import read_predictions, write_predictions
from fusion.data.predictions import FramePredictions
from fusion.metrics.evaluation import score_pair
from fusion.metrics.remarks import MARK
from fusion.tasks.compound import COMPOUNDS
from fusion.tasks.registry import make_tasks
from fusion.training.stages import train
from tests.fusion.abaw_files import write
from tests.fusion.classic import classic_predictions
from tests.fusion.test_evaluate import call, change
from tests.fusion.test_evaluate import predict as predict_basic
from tests.fusion.test_evaluate import write_labels as write_basic
from tests.fusion.tiny import FRAMES, write_corpus
from tests.fusion.training.test_selection import settings

pytestmark = pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore")
CLIPS = {"1": 40, "2": 35, "12_left": 30, "12_right": 30}


def write_labels(root: Path, clips: dict[str, int], split: str = "Test_Set") -> Path:
    for seed, (name, frames) in enumerate(clips.items()):
        rows = np.random.default_rng(seed).integers(0, 6, frames)  # the seventh is in none
        rows[:3] = -1
        lines = [",".join(COMPOUNDS), *map(str, rows)]
        write(root / "CE_Challenge" / split / f"{name}.txt", "\n".join(lines) + "\n")
    return root


def predict(out: Path, compound: bool = False, **provenance: str) -> Path:
    for seed, (name, frames) in enumerate(CLIPS.items()):
        rng = np.random.default_rng(50 + seed)
        sigmoids = rng.random((frames, 6), dtype=np.float32)
        one = classic_predictions(
            name,
            name.partition("_")[0],
            np.arange(frames) / 30,
            np.ones(frames, bool),
            np.zeros((frames, 2), np.float32),
            rng.dirichlet(np.ones(8), frames).astype(np.float32),
            np.zeros((frames, 12), np.float32),
            np.full(12, 0.5, np.float32),
            provenance,
            sigmoids if compound else None,
        )
        write_predictions(one, out)
    return out


def wanted(root: Path, pred: Path) -> float:
    labels = {clip.id: clip.labels["compound"] for clip in read_compound_corpus(root)}
    truth, said = [], []
    for name, one in labels.items():
        p = read_predictions(pred / f"{name}.parquet")
        truth.append(one.values[one.mask])
        expr, compound = p.values["expr"], p.values.get("compound")
        said.append(compound_classes(expr, compound)[one.mask])
    both = np.concatenate(truth), np.concatenate(said)
    return float(f1_score(*both, labels=range(7), average="macro", zero_division=0))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_labels(tmp_path / "root", CLIPS)


@pytest.mark.parametrize("compound", [False, True])
def test_compounds_are_scored_over_seven_classes_pooled(
    compound: bool, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pred, out = predict(tmp_path / "pred", compound), tmp_path / "out"
    words = ("--challenge", "CE", "--pred", pred, "--data.root", root, "--draws", 50)
    assert call(*words, "--out", out) == 0
    lines = capsys.readouterr().out.splitlines()
    score = wanted(root, pred)
    assert lines[0] == f"CE {score:.3f}"
    assert lines[1].startswith("Fearfully_Surprised ")
    assert lines[2].startswith("CE ")
    assert " to " in lines[2]
    assert "over 3 videos" in lines[3]
    kept = json.loads((out / "scores.json").read_text())
    assert kept["scores"]["CE"] == pytest.approx(score)
    assert kept["intervals"]["CE"][0] < score < kept["intervals"]["CE"][1]
    confusion = pd.read_csv(out / "confusion.csv").iloc[:, 1:].to_numpy()
    assert confusion.sum() == sum(CLIPS.values()) - 3 * len(CLIPS)
    assert f"| CE  | {score:.3f}"[:6] in (out / "report.md").read_text()


def test_two_folders_are_compared_on_clips_of_both(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = predict(tmp_path / "a"), predict(tmp_path / "b", compound=True)
    (second / "2.parquet").unlink()
    words = ("--challenge", "CE", "--pred", first, "--pred", second, "--data.root", root)
    assert call(*words, "--draws", 50, "--out", tmp_path / "out") == 1
    out = capsys.readouterr().out
    assert f"not scored in {second}: 2 has labels but no prediction" in out
    for path in (root / "CE_Challenge/Test_Set/2.txt",):
        path.unlink()
    line = next(line for line in out.splitlines() if line.startswith("CE "))
    scores = [f"{wanted(root, folder):.3f}" for folder in (first, second)]
    assert line.split()[1:3] == scores
    assert (tmp_path / "out/comparison.csv").is_file()


def test_what_is_missing_in_sample_or_not_learnt_is_told(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pred = predict(tmp_path / "pred", trained="EXPR")
    words = ("--challenge", "CE", "--pred", pred, "--data.root", root)
    assert call(*words) == 1
    assert "trained on 4 of 4 clips (EXPR)" in capsys.readouterr().err
    (pred / "1.parquet").unlink()
    assert call(*words, "--in_sample", "true") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{MARK}CE ")
    assert any(line.startswith("not scored: 1 has labels but no prediction") for line in lines)
    assert call(*words, "--split", "train") == 1
    assert "no compound labels of 'train'" in capsys.readouterr().err
    unlearnt = predict(tmp_path / "va", learnt="VA")
    assert call("--challenge", "CE", "--pred", unlearnt, "--data.root", root) == 1
    assert "has not learnt expressions" in capsys.readouterr().out


def test_a_checkpoint_is_scored_on_compounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_labels(write_corpus(tmp_path / "corpus"), {"3": FRAMES, "5": FRAMES})
    tasks = {"va": {"weight": 0.0}, "expr": {}, "au": {"weight": 0.0}}
    recipe = settings(root, tmp_path / "runs", epochs=1, tasks=tasks)
    best = train(recipe)
    capsys.readouterr()
    assert call("--challenge", "CE", "--checkpoint", best, "--data.root", root) == 0
    assert capsys.readouterr().out.startswith("CE 0.")
    write_labels(root, {"1": FRAMES})  # whose expressions it has learnt
    words = ("--challenge", "ce", "--checkpoint", best, "--data.root", root)
    assert call(*words) == 1
    assert "best.ckpt: trained on 1 of 3 clips, such as '1'" in capsys.readouterr().err
    assert call(*words, "--in_sample", "true") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{MARK}CE ")
    assert f"{MARK}the model was trained on 1 of 3 clips (EXPR)" in lines


def test_an_unknown_challenge_is_refused_with_the_nearest(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("--challenge", "EXPRR", "--pred", root, "--data.root", root) == 1
    assert "did you mean 'expr'" in capsys.readouterr().err


def test_one_task_alone_is_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = write_basic(tmp_path / "truth")
    pred = predict_basic(truth, tmp_path / "pred")
    words = ("--pred", pred, "--data.truth", truth, "--draws", 0)
    assert call(*words) == 0
    every = capsys.readouterr().out.splitlines()[0].split()
    assert call(*words, "--challenge", "AU") == 0
    alone = capsys.readouterr().out.splitlines()[0].split()
    assert alone[alone.index("AU") + 1] == every[every.index("AU") + 1]
    assert alone[alone.index("VA") + 1] == "-"
    assert alone[-1] == every[every.index("AU") + 1]


def test_sigmoids_of_videos_of_unequal_length_are_compared(tmp_path: Path) -> None:
    truth = write_basic(tmp_path / "truth")
    pair = [predict_basic(truth, tmp_path / name) for name in "ab"]
    for folder, fewer in zip(pair, (0, 1), strict=True):
        change(folder, "9", lambda p, n=fewer: _with_sigmoids(p).first(len(p) - n))
    first, second = score_pair(pair[0], pair[1], read_truth(truth))
    assert first.frames["9"] == second.frames["9"] == 49


def _with_sigmoids(one: FramePredictions) -> FramePredictions:
    sigmoids = np.full((len(one), 6), 0.5, np.float32)
    tasks = {**one.tasks, **make_tasks({"compound": None})}
    return replace(one, tasks=tasks, values={**one.values, "compound": sigmoids})
