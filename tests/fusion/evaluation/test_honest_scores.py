"""Scores that are shown: not in-sample, or marked on every line; and of what is learnt alone."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from features.cli.app import run
from features.errors import UserError
from features.store.track_store import TrackStore
from fusion import evaluate, tune
from fusion import train as train_command
from fusion.abaw.challenges import TASKS
from fusion.corpora import read_corpus
from fusion.data.loading.config import DataSettings
from fusion.data.prediction_files import read_predictions, write_predictions
from fusion.data.seen import is_among, marks
from fusion.evaluate import EvaluateSettings, second_pred_as_against
from fusion.evaluation.checkpoint_scores import score_clips
from fusion.evaluation.scored_clips import CorpusSettings, LabelledSettings, labelled_clips
from fusion.inference.checkpoint import load_checkpoint
from fusion.inference.payload import KEY
from fusion.inference.predictor import predict_clips
from fusion.metrics.remarks import MARK
from fusion.postprocess.tuning import Tuned
from fusion.tasks.clips import Clip
from fusion.tasks.labels import FrameLabels
from fusion.tasks.registry import title_of
from fusion.training.config import TrainSettings
from fusion.training.stages import train
from fusion.tune import TuneSettings
from tests.fusion.tiny import write_corpus
from tests.fusion.training.test_selection import settings

pytestmark = pytest.mark.filterwarnings("ignore::fusion.metrics.official.UndefinedScore")
FOLD = 1


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def cut(root: Path, **changes: object) -> DataSettings:
    return replace(settings(root, root).data, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(settings(root, tmp_path_factory.mktemp("runs"), epochs=4))


@pytest.fixture(scope="module")
def of_fold(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = cut(root, fold=FOLD, folds=4)
    return train(settings(root, tmp_path_factory.mktemp("fold"), epochs=1, data=data))


@pytest.fixture
def checkpoint(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run, which a test may change."""
    shutil.copytree(trained.parents[1], tmp_path / "runs")
    return tmp_path / "runs/tiny/best.ckpt"


def call(*argv: object) -> int:
    words = second_pred_as_against([str(word) for word in argv])
    with pytest.raises(SystemExit) as stop:
        run(EvaluateSettings, evaluate.command, prog="t", description="", argv=words)
    return int(stop.value.code or 0)


def tuned(checkpoint: Path, root: Path) -> Tuned:
    found = tune.tune(TuneSettings(checkpoint, CorpusSettings(root=root), folds=2))[0]
    assert found.tuned, "nothing to see if tuning does not help"
    assert found.in_sample["P"] > found.quoted["P"] + 0.01
    return found


def shown(out: str) -> dict[str, float]:
    words = next(line for line in out.splitlines() if "CCC_V" in line).split(" CCC_V")[-1].split()
    return {name: float(words[words.index(name) + 1]) for name in (*TASKS, "P")}


def test_after_tuning_the_score_is_the_one_that_may_be_quoted(
    root: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quoted = tuned(checkpoint, root).quoted
    capsys.readouterr()
    out = tmp_path / "out"
    assert call("--checkpoint", checkpoint, "--data.root", root, "--out", out) == 0
    said = capsys.readouterr().out
    assert shown(said) == pytest.approx({t: quoted[t] for t in (*TASKS, "P")}, abs=6e-4)
    assert "cross-fitted, each person decided by what was chosen on the others" in said
    assert "training chose its epoch on 2 of 2 clips (VA, EXPR, AU)" in said
    assert MARK not in said
    assert "cross-fitted" in (out / "report.md").read_text()


def test_a_run_again_after_tuning_shows_it_too(
    root: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quoted = tuned(checkpoint, root).quoted
    capsys.readouterr()
    again = settings(root, checkpoint.parents[1], epochs=4)
    assert train_command.command(again) == 0
    said = capsys.readouterr().out
    assert "finished before" in said
    assert shown(said) == pytest.approx({t: quoted[t] for t in (*TASKS, "P")}, abs=6e-4)
    assert "cross-fitted" in said


def test_what_cannot_be_cross_fitted_is_marked_on_every_line(
    root: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stored predictions of clips tuned on; and tuning from before it kept its folds."""
    in_sample = tuned(checkpoint, root).in_sample
    loaded, pred = load_checkpoint(checkpoint), tmp_path / "pred"
    clips = [clip for clip in read_corpus(root) if clip.split == "validation"]
    for one in predict_clips(loaded, TrackStore(root / "tracks"), clips):
        write_predictions(one, pred)
    content = torch.load(checkpoint, weights_only=True)
    for part in ("by_fold", "on"):
        del content[KEY]["provenance"]["decided"][part]
    torch.save(content, checkpoint)
    for words in (("--pred", pred), ("--checkpoint", checkpoint)):
        capsys.readouterr()
        out = tmp_path / "out"
        assert call(*words, "--data.root", root, "--out", out) == 0
        lines = capsys.readouterr().out.splitlines()
        assert all(line.startswith(MARK) for line in lines[:5])
        assert "the model was tuned on 2 of 2 clips" in lines[4]
        for task in map(title_of, loaded.provenance["decided"]["tuned"]):
            assert shown(lines[0])[task] == pytest.approx(in_sample[task], abs=6e-4)
        assert (out / "report.md").read_text().startswith(f"# {MARK}")


def test_a_checkpoint_is_not_scored_on_clips_it_was_trained_on(
    root: Path, of_fold: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = load_checkpoint(of_fold).provenance["validation_clips"]
    words = ("--checkpoint", of_fold, "--data.root", root)
    splits = {clip.id: clip.split for clip in read_corpus(root)}
    holding = next(s for s in ("validation", "train") if set(held) != _of(splits, s))
    assert call(*words, "--split", holding) == 1
    error = capsys.readouterr().err
    assert "best.ckpt: trained on" in error
    assert "--split held_out" in error
    assert call(*words, "--split", "held_out") == 0
    assert MARK not in capsys.readouterr().out
    assert call(*words, "--split", holding, "--in_sample", "true") == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(MARK) for line in lines) >= 4
    assert any("the model was trained on" in line for line in lines)

    pred = tmp_path / "pred"
    clips = [clip for clip in read_corpus(root) if clip.split == holding]
    for one in predict_clips(load_checkpoint(of_fold), TrackStore(root / "tracks"), clips):
        write_predictions(one, pred)
    assert call("--pred", pred, "--data.root", root, "--split", holding) == 1
    assert "out-of-fold" in capsys.readouterr().err
    both = ("--pred", pred, "--pred", pred)
    assert call(*both, "--data.root", root, "--split", holding) == 1
    assert call(*both, "--data.root", root, "--split", holding, "--in_sample", "true") == 0
    said = capsys.readouterr().out.splitlines()
    assert all(line.startswith(MARK) for line in said if "difference" in line)


def _of(splits: dict[str, str], split: str) -> set[str]:
    return {name for name, one in splits.items() if one == split}


def test_a_corpus_without_a_validation_split_is_scored_on_the_fold(
    root: Path, of_fold: Path, tmp_path: Path
) -> None:
    one = tmp_path / "one"
    shutil.copytree(root, one)
    for folder in one.glob("annotations/*/Validation_Set"):
        shutil.copytree(folder, folder.parent / "Train_Set", dirs_exist_ok=True)
        shutil.rmtree(folder)
    clips = labelled_clips(LabelledSettings(root=one), None, load_checkpoint(of_fold))
    assert [c.id for c in clips] == load_checkpoint(of_fold).provenance["validation_clips"]
    with pytest.raises(UserError, match="no labelled 'validation' clips"):
        labelled_clips(LabelledSettings(root=one), None)


def test_a_clip_is_known_by_its_file_and_else_by_its_id() -> None:
    known = {"1": "a" * 64, "2": ""}
    assert is_among(known, "1", "a" * 64)
    assert is_among(known, "renamed", "a" * 64)
    assert not is_among(known, "1", "b" * 64)
    assert is_among(known, "1", "")
    assert is_among(known, "2", "b" * 64)
    assert not is_among(known, "3", "")
    clip = Clip("1", "1", "test", FrameLabels(0), "1")
    said = {"trained": {"va": {"1": ""}, "au": {"2": ""}}, "judged": {"expr": {"1": ""}}}
    assert marks(said, clip) == {"trained": "VA", "judged": "EXPR"}
    assert marks({"train_clips": ["1"]}, clip) == {"trained": "VA EXPR AU"}


def test_what_is_not_learnt_is_not_scored(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = {"va": {}, "expr": {"weight": 0.0}, "au": {}}
    recipe: TrainSettings = settings(root, tmp_path, epochs=1, tasks=tasks)
    best = train(recipe)
    capsys.readouterr()
    assert call("--checkpoint", best, "--data.root", root) == 0
    out = capsys.readouterr().out
    assert "EXPR -" in out.splitlines()[0]
    assert "Neutral -" in out.splitlines()[1]
    assert "not scored: EXPR, which the model has not learnt" in out
    clips = [clip for clip in read_corpus(root) if clip.split == "validation"]
    keep = tmp_path / "pred"
    metrics, _ = score_clips(load_checkpoint(best), TrackStore(root / "tracks"), clips, keep)
    assert read_predictions(keep / "3.parquet").provenance["learnt"] == "VA AU"
    assert metrics.scores()["P"] == pytest.approx(metrics.scores()["VA"] + metrics.scores()["AU"])
    found, _ = tune.tune(TuneSettings(best, CorpusSettings(root=root), folds=2))
    assert "expr" not in found.tuned
    assert tune.table(found)[2].split() == ["EXPR", "-", "-", "-", "-", "-"]
