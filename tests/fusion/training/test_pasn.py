"""The recipe of PASN: its own settings, and a run of it on a tiny corpus."""

from pathlib import Path

import pytest
import torch

from features.cli.app import parse
from features.errors import UserError
from features.store.track_store import TrackStore
from fusion.abaw.reading.annotations import read_corpus
from fusion.inference.checkpoint import load_checkpoint
from fusion.inference.predictor import predict_clips
from fusion.model.streaming import StreamingHeads, streaming_order
from fusion.training.config import TrainSettings, check_training
from fusion.training.stages import train
from tests.fusion.tiny import write_corpus

CONFIG = Path(__file__).parents[3] / "configs/pasn.yaml"
SMALL = (
    "--data.streams=[face,voice] --data.window=20 --data.stride=15 --data.batch=3"
    " --model.dim=16 --model.stream_dim=8 --model.tcn_levels=1 --model.temporal.layers=1"
    " --epochs=1"
)


def recipe(*options: str) -> TrainSettings:
    argv = ["--cfg", str(CONFIG), *options]
    return parse(TrainSettings, prog="t", description="", argv=argv)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of incomplete labels: each training clip belongs to other tasks."""
    root = write_corpus(tmp_path_factory.mktemp("pasn"))
    notes = root / "annotations"
    (notes / "EXPR_Recognition_Challenge/Train_Set/1.txt").unlink()
    (notes / "VA_Estimation_Challenge/Train_Set/2.txt").unlink()
    (notes / "AU_Detection_Challenge/Train_Set/2.txt").unlink()
    return root


def run(root: Path, runs: Path, *options: str) -> Path:
    return train(recipe(*SMALL.split(), f"--data.root={root}", f"--runs={runs}", *options))


def test_the_recipe_is_pasn() -> None:
    chosen = recipe()
    assert chosen.model.head == "streaming"
    assert not chosen.model.order
    assert streaming_order(chosen.made_tasks()) == ("au", "expr", "va")
    losses = {name: task.settings for name, task in chosen.made_tasks().items()}
    assert (losses["va"].loss, losses["au"].loss) == ("smooth_l1+ccc", "zlpr+bce")
    assert losses["expr"].label_smoothing == 0.1
    assert chosen.data.mix == "tasks"
    assert chosen.loss.weighting == "fixed", "a plain sum, as released"
    assert {"expression", "expression.metric"} <= set(chosen.data.streams), "the prior"


def test_the_order_can_be_given_on_the_command_line() -> None:
    assert recipe("--model.order=[va,au,expr]").model.order == ("va", "au", "expr")


def test_the_recipe_trains_loads_and_predicts(root: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(run(root, tmp_path))
    heads = checkpoint.network.model.heads
    assert isinstance(heads, StreamingHeads)
    assert heads.order == ("au", "expr", "va")
    clips = [clip for clip in read_corpus(root) if clip.split == "validation"]
    said = list(predict_clips(checkpoint, TrackStore(root / "tracks"), clips))
    assert [len(one.values["va"]) for one in said] == [40, 40]
    assert all(abs(one.values["va"]).max() <= 1 for one in said)


def test_the_same_recipe_finds_its_own_run_finished(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run(root, tmp_path, "--model.order=[va,au,expr]")
    assert run(root, tmp_path, "--model.order=[va,au,expr]") == first
    assert "finished before" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"with other settings \(model.order\)"):
        run(root, tmp_path, "--model.order=[expr,au,va]")


def test_learnt_weights_are_trained_and_kept(root: Path, tmp_path: Path) -> None:
    best = run(root, tmp_path, "--loss.weighting=uncertainty", "--model.mutual=true")
    state = torch.load(best, weights_only=True)["state_dict"]
    learnt = [state[f"loss.log_variance.{task}"] for task in ("va", "expr", "au")]
    assert all(float(s) != 0 for s in learnt)
    assert load_checkpoint(best).network.model.settings.mutual


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("loss.weighting=equal", r"loss\.weighting"),
        ("model.head=river", r"model\.head"),
        ("tasks.au.loss=mse", r"tasks\.au: .*\"loss\".*mse"),
    ],
)
def test_an_unknown_kind_is_refused_by_name(option: str, named: str) -> None:
    with pytest.raises(UserError, match=named) as caught:
        check_training(recipe(f"--{option}"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("order", ["[au,expr]", "[au,expr,au]"])
def test_a_wrong_order_is_refused_by_name(root: Path, tmp_path: Path, order: str) -> None:
    with pytest.raises(UserError, match=r"model\.order \['au', 'expr'") as caught:
        run(root, tmp_path, f"--model.order={order}")
    assert "\n" not in str(caught.value)
