"""Optimizer, schedule, loggers and callbacks of a training: by name, and refused in one line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from features.errors import UserError
from fusion.inference.payload import KEY, read_payload
from fusion.training import config
from fusion.training.config import CallbackSettings, check_training
from fusion.training.optimizer import (
    OptimizerSettings,
    make_optimizer,
    make_schedule,
    optimizer_and_schedule,
    warmup_cosine,
)
from fusion.training.stages import train
from tests.fusion.tiny import write_corpus
from tests.fusion.training.test_runs import settings

MODEL = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))


def test_the_default_is_adamw_with_warm_up_and_cosine() -> None:
    chosen = OptimizerSettings()
    chosen.check()
    made = optimizer_and_schedule(MODEL, chosen, 40)
    optimizer, rates = made["optimizer"], []
    assert type(optimizer) is torch.optim.AdamW
    for _ in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made["lr_scheduler"]["scheduler"].step()  # type: ignore[index, union-attr]
    assert rates == [1e-3 * warmup_cosine(step, 4, 40) for step in range(40)]


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("Adam", {"betas": [0.8, 0.9]}),
        ("NAdam", {}),
        ("sgd", {"momentum": 0.9, "nesterov": True}),
    ],
)
def test_any_optimizer_of_torch_is_taken_by_name(name: str, own: dict[str, Any]) -> None:
    chosen = OptimizerSettings(name=name, lr=0.5, settings=own)
    chosen.check()
    optimizer = make_optimizer(MODEL, chosen)
    assert type(optimizer).__name__.lower() == name.lower()
    matrices, others = optimizer.param_groups
    for key, value in own.items():
        assert matrices[key] == (tuple(value) if isinstance(value, list) else value)
    assert (matrices["lr"], matrices["weight_decay"], others["weight_decay"]) == (0.5, 0.01, 0.0)


@pytest.mark.parametrize(
    ("schedule", "own", "ends"),
    [
        ("linear", {}, 0.0),
        ("constant_with_warmup", {}, 1.0),
        ("cosine_with_min_lr", {"min_lr_rate": 0.25}, 0.25),
    ],
)
def test_schedules_are_those_of_transformers(
    schedule: Any, own: dict[str, Any], ends: float
) -> None:
    chosen = OptimizerSettings(lr=1.0, schedule=schedule, schedule_settings=own, warmup=0.5)
    chosen.check()
    optimizer = make_optimizer(MODEL, chosen)
    made = make_schedule(optimizer, chosen, 20)
    rates = []
    for _ in range(21):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made.step()
    assert rates[5] == pytest.approx(0.5)
    assert max(rates) == pytest.approx(1.0)
    assert rates[20] == pytest.approx(ends)


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"name": "adamv"}, r"optimizer\.name 'adamv' .*; did you mean 'adam"),
        ({"name": "xyz"}, r"known are .*adamw.*sgd"),
        ({"name": "sgd", "settings": {"momentun": 1}}, r"SGD has no momentun; did you mean"),
        ({"settings": {"lr": 1}}, r"give lr as optimizer\.lr"),
        ({"settings": {"betas": [2, 3]}}, r"AdamW cannot be used like this: Invalid beta"),
        ({"name": "rprop"}, r"optimizer\.weight_decay must be 0: Rprop has none"),
        ({"schedule": "linear", "schedule_settings": {"x": 1}}, r"optimizer\.schedule linear: "),
        ({"schedule_settings": {"x": 1}}, r"warmup_cosine has none"),
        ({"clip": 0.0}, r"optimizer\.clip must be above 0"),
        ({"accumulate": 0}, r"optimizer\.accumulate must be at least 1"),
    ],
)
def test_what_cannot_be_is_one_line_before_any_work(chosen: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says) as error:
        OptimizerSettings(**chosen).check()
    assert "\n" not in str(error.value)


class Seen(pl.Callback):
    """Notes what it is shown."""

    runs: list["Seen"] = []  # noqa: RUF012 - of the class on purpose

    def __init__(self, word: str = "") -> None:
        self.word = word
        self.runs.append(self)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.steps, self.clip = trainer.global_step, trainer.gradient_clip_val
        self.loggers = [type(one).__name__ for one in trainer.loggers]


SEEN = f"{__name__}.Seen"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tiny"))


def run(root: Path, runs: Path, *, loggers: Sequence[str] = ("csv",), **chosen: Any) -> Seen:
    """Trains, watched by a callback of the user's."""
    train(
        settings(
            root,
            runs,
            optimizer=OptimizerSettings(**chosen),
            callbacks=[CallbackSettings(SEEN, {"word": "hello"})],
            loggers=list(loggers),
        )
    )
    return Seen.runs[-1]


def test_a_run_does_as_told(root: Path, tmp_path: Path) -> None:
    plain = run(root, tmp_path / "a")
    told = run(
        root, tmp_path / "b", loggers=["tensorboard"], name="sgd", accumulate=3, clip=None,
        schedule="constant", settings={"momentum": 0.9},
    )  # fmt: skip
    assert (plain.word, plain.clip, told.clip) == ("hello", 1.0, None)
    assert 2 <= told.steps < plain.steps
    assert (plain.loggers, told.loggers) == (["CSVLogger"], ["TensorBoardLogger"])
    assert list((tmp_path / "a").glob("r/logs/version_0/metrics.csv"))
    assert not list((tmp_path / "b").glob("r/logs/version_0/metrics.csv"))
    kept = read_payload(tmp_path / "b/r/best.ckpt")[KEY]["config"]
    assert kept["optimizer"]["name"] == "sgd"
    assert kept["callbacks"] == [{"path": SEEN, "settings": {"word": "hello"}}]


def test_what_is_logged_where_makes_no_other_run(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(settings(root, tmp_path, loggers=["csv"]))
    train(settings(root, tmp_path, loggers=["csv", "tensorboard"]))
    assert "finished before" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"other settings \(callbacks\)"):
        train(settings(root, tmp_path, callbacks=[CallbackSettings(SEEN)]))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"loggers": ["wandb"]}, r"loggers: wandb is not installed; pip install wandb"),
        ({"loggers": ["paper"]}, r"loggers: 'paper' is none of csv, tensorboard, wandb, mlflow"),
        ({"callbacks": [CallbackSettings("nowhere.Callback")]}, r"nowhere\.Callback cannot be im"),
        ({"callbacks": [CallbackSettings("Callback")]}, r"callbacks: Callback cannot be imported"),
        ({"callbacks": [CallbackSettings("pathlib.Path")]}, r"Path is no subclass of pytorch_l"),
        ({"callbacks": [CallbackSettings(SEEN, {"wrod": 1})]}, r"Seen cannot be made: .*wrod"),
    ],
)
def test_loggers_and_callbacks_that_are_not_there_are_one_line(
    changes: dict[str, Any], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=says):
        check_training(settings(tmp_path, tmp_path, **changes))
