"""Blocks by name: a plugin adds a fusion and a temporal part in one file, and a run is trained."""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from features.cli.app import parse
from features.errors import UserError
from fusion.inference.checkpoint import load_checkpoint
from fusion.model import older_settings
from fusion.model.fusion import FusionSettings, fusions
from fusion.model.settings import FUSION, TEMPORAL, ModelSettings
from fusion.model.temporal import temporals
from fusion.training.config import TrainSettings, stage_settings
from fusion.training.stages import train
from tests.fusion.tiny import write_corpus
from tests.page import example

TEMPORAL_PART = """
from fusion.model.temporal import TemporalSettings, TemporalShape, temporals


@temporals.register("test-gate")
@dataclass(frozen=True)
class Gate(TemporalSettings):
    times: int = 1

    def build(self, shape: TemporalShape) -> nn.Module:
        return nn_gate(shape.dim, self.times)


class nn_gate(nn.Module):
    def __init__(self, dim, times):
        super().__init__()
        self.gates = nn.ModuleList(nn.Linear(dim, dim) for _ in range(times))

    def forward(self, x, frames):
        for gate in self.gates:
            x = x * gate(x).sigmoid()
        return x
"""
OPTIONS = (
    "--data.streams=face,voice --data.window=20 --data.stride=15 --model.dim=16 --epochs=1"
    " --model.stream_dim=8 --model.tcn_levels=0 --plugins blocks_of_a_test"
    " --model.fusion mean --model.fusion.scale 0.5 --model.temporal.times=2"
)


def test_a_plugin_adds_blocks_in_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "blocks_of_a_test.py").write_text(
        example("Adding a fusion or a temporal block") + TEMPORAL_PART
    )
    cfg = tmp_path / "cfg.yaml"
    cfg.write_text("model: {temporal: test-gate}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    argv = [f"--cfg={cfg}", *OPTIONS.split(), f"--data.root={write_corpus(tmp_path / 'corpus')}"]
    settings = parse(TrainSettings, prog="t", description="", argv=argv)
    assert settings.plugins == ["blocks_of_a_test"]
    read = load_checkpoint(train(settings))
    plugin = sys.modules["blocks_of_a_test"]
    model = read.network.model
    assert isinstance(model.fusion, plugin.MeanFusion)
    assert (model.fusion.scale, len(model.temporal.gates)) == (0.5, 2)
    assert read.config["model"]["fusion"] == {"name": "mean", "scale": 0.5}
    assert train(settings) == read.path, "the same run is found"


def test_a_name_belongs_to_one_block() -> None:
    with pytest.raises(UserError, match=r"model.fusion gated: both fusion.model.fusion.gated and"):

        @fusions.register("gated")
        @dataclass(frozen=True)
        class Other(FusionSettings):
            pass

    assert fusions.kind("gated").__module__ == "fusion.model.fusion.gated"


def test_the_defaults_that_need_no_torch_are_those_of_the_blocks() -> None:
    assert fusions.read(FUSION["name"]).plain() == FUSION
    assert temporals.read(TEMPORAL["name"]).plain() == TEMPORAL
    assert (ModelSettings().fusion, ModelSettings().temporal) == (FUSION, TEMPORAL)


@pytest.mark.parametrize("registry", [fusions, temporals], ids=["fusion", "temporal"])
def test_every_block_builds_by_its_name_alone(registry) -> None:
    for name in registry.names:
        if registry.kind(name).__module__.startswith("fusion.") and name != "top-down":
            chosen = ModelSettings(**{registry.setting.removeprefix("model."): name})
            for block, shape in (
                (chosen.fusion_block, chosen.fusion_shape(["a", "b"])),
                (chosen.temporal_block, chosen.temporal_shape),
            ):
                block.check(shape)
                assert isinstance(block.build(shape), nn.Module)


def test_older_names_go_where_they_belong(caplog: pytest.LogCaptureFixture) -> None:
    older_settings.tell.cache_clear()
    with caplog.at_level(logging.WARNING):
        old = ModelSettings(fusion="cross-attention", leader="a", reach=4, heads=2, layers=3)
    assert old == ModelSettings(
        fusion={"name": "cross-attention", "leader": "a", "reach": 4, "heads": 2},
        temporal={"name": "transformer", "layers": 3, "heads": 2},
    )
    assert "model.reach" in caplog.text
    assert "model.fusion.reach" in caplog.text
    with pytest.raises(UserError, match=r"unknown setting 'model.fusion.leader' of gated"):
        ModelSettings(fusion="gated", leader="a")


def test_older_names_without_effect_stay_so() -> None:
    everything = {"reach": 9, "leader": "", "levels": (), "layers": 3, "stride": 4, "heads": 2}
    old = ModelSettings(fusion="gated", temporal="none", positions="none", **everything)
    assert old == ModelSettings(fusion="gated", temporal="none")


def test_older_names_hold_for_stages_with_blocks_of_their_own(tmp_path: Path) -> None:
    cfg = tmp_path / "old.yaml"
    cfg.write_text(
        "model: {temporal: none, layers: 3, stride: 1}\n"
        "stages: [{name: a, settings: {model: {temporal: lstm}}},"
        " {name: b, settings: {model: {temporal: tcn, layers: 1}}},"
        " {name: c, settings: {model: {temporal: {name: tcn, layers: 4}}}}]"
    )
    settings = parse(TrainSettings, prog="t", description="", argv=[f"--cfg={cfg}"])
    own = [stage_settings(settings, stage).model.temporal for stage in settings.stages]
    assert own[0] == {"name": "lstm", "layers": 3, "stride": 1}
    assert own[1] == {"name": "tcn", "layers": 1, "stride": 1}
    assert own[2] == {"name": "tcn", "layers": 4, "stride": 2}


def test_the_same_seed_gives_the_same_weights_by_either_spelling() -> None:
    def weights(settings: ModelSettings) -> torch.Tensor:
        torch.manual_seed(0)
        part = settings.temporal_block.build(settings.temporal_shape)
        return nn.utils.parameters_to_vector(part.parameters())

    old = ModelSettings(temporal="gru", layers=1)
    assert torch.equal(weights(old), weights(ModelSettings(temporal={"name": "gru", "layers": 1})))
