"""Every command computes where it is told, and a model finds all it reads there."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from features.cli.app import run
from features.errors import UserError
from fusion import ensemble, evaluate, predict, submit, tune
from fusion.data.batch import Batch
from fusion.data.columns import joined
from fusion.data.loading.config import DataSettings
from fusion.inference import checkpoint as checkpoint_module
from fusion.inference.checkpoint import load_checkpoint
from fusion.inference.network import Network
from fusion.model.affect import AffectModel
from fusion.model.settings import ModelSettings
from fusion.tasks.registry import default_tasks
from fusion.training.config import Stage, TrainSettings
from fusion.training.stages import train
from tests.fusion.batches import batch
from tests.fusion.tiny import write_corpus

ELSEWHERE = torch.device("cuda", 0)
SPLIT = ["--split", "validation"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def best(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of two stages, the second fed by the first."""
    return train(settings(root, tmp_path_factory.mktemp("runs")))


def settings(root: Path, runs: Path) -> TrainSettings:
    data = DataSettings(root=root, streams=["face"], window=20, stride=15)
    model = ModelSettings(
        dim=8, stream_dim=8, tcn_levels=1, temporal={"name": "transformer", "layers": 1, "heads": 1}
    )
    stages = [Stage("first"), Stage("second", feeds=["first"])]
    return TrainSettings("tiny", runs, data, model, epochs=1, stages=stages)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Devices that are asked for; all of them are the CPU here."""
    names = list[str]()

    def resolved(name: str) -> torch.device:
        names.append(name)
        return torch.device("cpu")

    monkeypatch.setattr(checkpoint_module, "resolve_device", resolved)
    return names


@pytest.mark.parametrize("command", ["predict", "evaluate", "tune", "submit", "ensemble"])
@pytest.mark.parametrize("device", ["auto", "cuda:7"])
def test_every_command_computes_where_it_is_told(
    command: str, device: str, best: Path, root: Path, tmp_path: Path, asked: list[str]
) -> None:
    template = root / "test/VA_sample_submission.txt"
    calls = {
        "predict": (predict, predict.PredictSettings, ["--store", root / "tracks"]),
        "evaluate": (evaluate, evaluate.EvaluateSettings, ["--data.root", root, "--draws", 0]),
        "tune": (tune, tune.TuneSettings, ["--data.root", root]),
        "submit": (submit, submit.SubmitSettings, ["--data.root", root, "--template", template]),
        "ensemble": (ensemble, ensemble.EnsembleSettings, ["--data.root", root, *SPLIT]),
    }
    module, kind, words = calls[command]
    named = ["--members", f"[{best},{best}]"] if command == "ensemble" else ["--checkpoint", best]
    out = [] if command == "evaluate" else ["--out", tmp_path / "out"]
    place = [] if device == "auto" else ["--device", device]
    argv = [str(word) for word in (*words, *named, *out, *place)]
    with pytest.raises(SystemExit) as stop:
        run(kind, module.command, prog="t", description="", argv=argv)  # type: ignore[type-var]
    assert stop.value.code == 0
    assert set(asked) - {"cpu"} == {device}  # of the rules of challenges, the CPU reads


def test_outputs_of_stages_are_computed_where_training_is(
    root: Path, tmp_path: Path, asked: list[str]
) -> None:
    train(settings(root, tmp_path))
    assert set(asked) == {"auto"}


def test_a_device_that_is_not_there_is_one_line(best: Path) -> None:
    with pytest.raises(UserError, match="no device 'cuda:99' here"):
        load_checkpoint(best, "cuda:99")


def test_a_network_moves_with_all_that_feed_it(best: Path) -> None:
    loaded = load_checkpoint(best, "cpu")
    (network,) = (
        set(map(id, loaded.answers.values()))
        and {id(one): one for one in loaded.answers.values()}.values()
    )
    network.move(torch.device("meta"))
    assert len(list(network.all())) == 2
    assert {one.device.type for one in network.all()} == {"meta"}


def test_windows_are_read_where_the_network_is(
    best: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved, inputs_on = list[torch.device](), Batch.inputs_on

    def noted(self: Batch, device: torch.device) -> Batch:
        moved.append(device)
        return inputs_on(self, torch.device("cpu"))

    monkeypatch.setattr(Batch, "inputs_on", noted)
    monkeypatch.setattr(Network, "device", ELSEWHERE)
    with pytest.raises(SystemExit):
        run(
            evaluate.EvaluateSettings,
            evaluate.command,
            prog="t",
            description="",
            argv=["--data.root", str(root), "--checkpoint", str(best), "--draws", "0"],
        )
    assert set(moved) == {ELSEWHERE}


@pytest.mark.parametrize("temporal", ["transformer", "tcn", "causal-tcn", "none"])
@pytest.mark.parametrize("fusion", ["concat", "gated", "cross-attention", "leader-follower"])
def test_a_model_on_another_device_reads_nothing_elsewhere(fusion: str, temporal: str) -> None:
    """Tensors of a GPU without one: what is not where the rest is, is an error."""
    small = ModelSettings(
        dim=16,
        stream_dim=8,
        tcn_levels=1,
        temporal={"name": "transformer", "layers": 1, "heads": 2},
    )
    chosen = replace(small, fusion=fusion, temporal=temporal)  # type: ignore[arg-type]
    with FakeTensorMode(allow_non_fake_inputs=False), torch.no_grad():
        made = batch()
        dims = {name: values.shape[-1] for name, values in made.streams.items()}
        with ELSEWHERE:
            model = AffectModel(chosen, dims, []).eval()
        features = model.features(made.inputs_on(ELSEWHERE))
        assert joined(model.heads(features), default_tasks()).device == ELSEWHERE
        with pytest.raises(Exception, match="devices, cpu and cuda:0"):
            model.features(made)
