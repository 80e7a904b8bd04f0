"""Values that make no sense are refused by name, in one line, before any work."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from features import extract
from features.cli.app import parse, run
from features.errors import UserError
from features.extract import ExtractSettings
from fusion import evaluate, search, train, tune
from fusion.data.folds import person_folds
from fusion.inference import checkpoint
from fusion.training import run as training_run
from fusion.training.config import Stage, TrainSettings, check_training
from fusion.training.stages import train as train_all
from tests.fusion.classic import TASKS
from tests.fusion.tiny import write_corpus
from tests.fusion.training.test_runs import settings

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.yaml"))
BAD = [
    *("epochs 0", "patience 0", "patience -1", "precision 17", "precision 64-true", "devices 0"),
    *("seed -1", "seeds 1,-2", "seeds 1,1", "seeds 99999999999", "folds 1", "folds -2"),
    *("optimizer.lr -1", "optimizer.lr 0", "optimizer.lr nan", "optimizer.lr inf"),
    *("optimizer.weight_decay -.1", "optimizer.warmup 2", "optimizer.warmup -.1"),
    *("tasks.va.weight -1", "tasks.expr.weight nan", "tasks.au.weight inf"),
    *("tasks.expr.balance -1", "tasks.au.balance nan", "tasks.compound.weight -1"),
    *("tasks.expr.label_smoothing 2", "tasks.expr.label_smoothing -.1", "tasks.va.bins 1"),
    *("loss.truth 1.1", "loss.temperature 0", "loss.weighting equal"),
    *("model.dropout 1.5", "model.dropout nan", "model.stream_dropout -1", "model.dim 0"),
    *(
        "model.kernel 4",
        "model.temporal.layers -1",
        "model.fusion.leader nobody",
    ),
    *("data.window 0", "data.stride 0", "data.batch 0", "data.workers -1", "data.fold 7"),
    *("data.align_window -1", "data.align_window nan", "data.align_window inf"),
    *("data.adapt_prior 0", "name ", "name ../x", "name /x", "name .x"),
]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable:
    """Runs a command, which may do no work; its exit status and what it says on stderr."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("work has begun")

    monkeypatch.setattr(training_run, "with_data", never)
    monkeypatch.setattr(checkpoint, "load_checkpoint", never)
    monkeypatch.setattr(evaluate, "evaluate_clips", never)
    monkeypatch.setattr(extract, "root_or_demo", never)

    def call(kind: type, command: Callable, *argv: str) -> str:
        with pytest.raises(SystemExit) as stop:
            run(kind, command, prog="t", description="", argv=argv)
        assert stop.value.code in (1, 2)
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return call


@pytest.mark.parametrize("said", BAD)
def test_training_refuses_by_name(said: str, refused: Callable) -> None:
    name, _, value = said.partition(" ")
    line = refused(TrainSettings, train.command, f"--{name}={value}")
    assert line.startswith("t: ")
    assert name in line.replace(': Parser key "', ".")  # of what is no number at all


def test_nothing_to_learn_is_refused(refused: Callable) -> None:
    zero = [f"--tasks.{name}.weight=0" for name in TASKS]
    assert "nothing is learnt" in refused(TrainSettings, train.command, *zero)


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("tasks.va.loss=smooth", "tasks.va: "),
        ("tasks.va.wieght=1", "did you mean 'weight'?"),
        ("tasks.va.weight=many", "tasks.va: "),
        ("tasks.vaa.weight=1", "tasks: there is no task 'vaa'; did you mean 'va'?"),
    ],
)
def test_what_no_task_has_is_refused(said: str, complaint: str, refused: Callable) -> None:
    assert complaint in refused(TrainSettings, train.command, f"--{said}")


def test_compounds_without_the_task_they_are_made_of_are_refused(refused: Callable) -> None:
    words = ("--tasks.compound.weight=1", "--tasks.expr=false")
    line = refused(TrainSettings, train.command, *words)
    assert "tasks.compound learns from labels of expr; name tasks.expr too" in line


@pytest.mark.parametrize("name", ["progressive", "distill", "fpn"])
def test_a_stage_refuses_with_its_name(name: str, refused: Callable) -> None:
    words = ("--cfg", str(CONFIGS[0].with_name(f"{name}.yaml")))
    line = refused(TrainSettings, train.command, *words, "--optimizer.lr=-1")
    assert "stage '" in line
    assert "optimizer.lr must be above 0: -1" in line


def test_a_later_stage_is_checked_before_the_first_is_trained(tmp_path: Path) -> None:
    stages = [Stage("a"), Stage("b", {"optimizer": {"warmup": 2.0}})]
    recipe = settings(tmp_path, tmp_path, stages=stages)
    with pytest.raises(UserError, match=r"stage 'b': optimizer\.warmup must lie between 0 and 1"):
        train_all(recipe)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_recipes_are_in_range(path: Path) -> None:
    check_training(parse(TrainSettings, prog="t", description="", argv=["--cfg", str(path)]))


@pytest.mark.parametrize(
    ("kind", "command", "option", "named"),
    [
        (search.SearchSettings, search.command, "--epochs=0", "epochs"),
        (tune.TuneSettings, tune.command, "--folds=1", "--folds"),
        (evaluate.EvaluateSettings, evaluate.command, "--draws=-1", "--draws"),
        (evaluate.EvaluateSettings, evaluate.command, "--seed=-1", "--seed"),
        (ExtractSettings, extract.command, "--data.crops_fps=0", "crops_fps"),
        (ExtractSettings, extract.command, "--time_limit=-1", "time_limit"),
        (ExtractSettings, extract.command, "--faces.every=0", "faces.every"),
        (ExtractSettings, extract.command, "--faces.threshold=1.2", "faces.threshold"),
        (ExtractSettings, extract.command, "--faces.margin=nan", "faces.margin"),
        (ExtractSettings, extract.command, "--faces.batch=0", "faces.batch"),
        (ExtractSettings, extract.command, "--faces.size=0", "faces.size"),
        (ExtractSettings, extract.command, "--faces.max_gap=-1", "faces.max_gap"),
    ],
)
def test_other_commands_refuse_by_name(kind, command, option, named, refused: Callable) -> None:
    assert named in refused(kind, command, option)


def test_one_person_cannot_be_held_out_and_the_remedy_is_said() -> None:
    with pytest.raises(UserError, match=r"3 clips of one person.*people.csv"):
        person_folds(["Ann"] * 3, 5, 0)


def test_a_fold_of_one_person_is_refused_in_training(tmp_path: Path) -> None:
    root = write_corpus(tmp_path / "tiny")
    (root / "people.csv").write_text("id,person\n" + "".join(f"{i},A\n" for i in range(1, 7)))
    one = settings(root, tmp_path)
    with pytest.raises(UserError, match="4 clips of one person or video"):
        train_all(replace(one, data=replace(one.data, fold=0)))
