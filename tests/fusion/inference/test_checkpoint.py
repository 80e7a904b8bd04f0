"""The format of checkpoints: its number follows its shape, other versions are told in a line."""

from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import torch

from features.errors import UserError
from features.store.fingerprint import settings_hash
from fusion.inference.checkpoint import load_checkpoint
from fusion.inference.network import PREFIX, WEIGHTS
from fusion.inference.payload import FORMAT, KEY, make_payload, read_payload
from fusion.model.affect import AffectModel
from fusion.model.fusion import fusions
from fusion.model.settings import ModelSettings
from fusion.model.temporal import temporals
from fusion.postprocess.decision import Decision
from fusion.streams.adaptation import Adaptation
from fusion.streams.normalization import Normaliser
from fusion.streams.stream_spec import StreamSpec

SHAPES = {2: "8de2b1b19bea6642", 3: "1accba7be39e9bdb"}
"""Format to the hash of what is stored under it. Never change a line: add one."""


def payload() -> dict[str, Any]:
    return make_payload(
        config={},
        model=ModelSettings(dim=8, stream_dim=4, temporal={"name": "transformer", "heads": 1}),
        specs={"face": StreamSpec(3, "net", "r1", "s1")},
        normalisers={"face": Normaliser(torch.zeros(3), torch.ones(3))},
        align_window=0.2,
        window=20,
        stride=15,
        provenance={},
    )


def shape_of(kind: Any) -> Any:
    """Names and types of a dataclass's fields, nested."""
    if not (is_dataclass(kind) and isinstance(kind, type)):
        return str(kind)
    hints = get_type_hints(kind)
    return {field.name: shape_of(hints[field.name]) for field in fields(kind)}


def keys_of(value: Any) -> Any:
    return {key: keys_of(one) for key, one in value.items()} if isinstance(value, dict) else None


def test_the_format_number_rises_when_settings_do() -> None:
    blocks = [registry.kind(name) for registry in (fusions, temporals) for name in registry.names]
    ours = sorted((one for one in blocks if one.__module__.startswith("fusion.")), key=str)
    kinds = [ModelSettings, StreamSpec, Adaptation, *ours]
    shape = settings_hash([[shape_of(kind) for kind in kinds], keys_of(payload())])
    assert shape_of(ModelSettings)["dim"] == str(int)
    assert keys_of(Decision().state())
    assert SHAPES.get(FORMAT) == shape, (
        f"what a checkpoint stores has changed: raise FORMAT in fusion/inference/payload.py to"
        f" {max(SHAPES) + 1} and add {{{max(SHAPES) + 1}: '{shape}'}} to SHAPES"
    )


def written(path: Path, **changes: Any) -> Path:
    model = AffectModel(
        ModelSettings(dim=8, stream_dim=4, temporal={"name": "transformer", "heads": 1}),
        {"face": 3},
    )
    state = {f"{PREFIX}{name}": rows for name, rows in model.state_dict().items()}
    torch.save({KEY: payload() | changes, WEIGHTS: state}, path)
    return path


def test_formats_so_far_are_read(tmp_path: Path) -> None:
    for number in range(1, FORMAT + 1):
        assert load_checkpoint(written(tmp_path / "a.ckpt", format=number)).network.window == 20


FLAT = {
    "fusion": "cross-attention", "leader": "face", "reach": 6, "levels": (), "temporal": "pyramid",
    "layers": 2, "heads": 2, "stride": 3, "positions": "none",
}  # fmt: skip
"""Blocks as formats 1 and 2 had them: with the settings of all blocks beside each other."""


def test_blocks_of_older_formats_are_read(tmp_path: Path) -> None:
    blocks = {
        "fusion": {"name": "cross-attention", "leader": "face", "reach": 6, "heads": 2},
        "temporal": {"name": "pyramid", "scales": 2, "stride": 3},
    }
    rest = {"dim": 8, "stream_dim": 4, "head": "scales", "scales": {"au": 0, "expr": 1, "va": 1}}
    new = ModelSettings(**rest, **blocks)
    torch.manual_seed(0)
    state = AffectModel(new, {"face": 3}).state_dict()
    old = {key: value for key, value in asdict(new).items() if key not in blocks} | FLAT
    one = payload() | {"format": 2, "model": old, "config": {"model": old, "name": "r"}}
    weights = {f"{PREFIX}{name}": rows for name, rows in state.items()}
    kept = {"feeding": {**one, WEIGHTS: weights}}
    torch.save({KEY: one | {"networks": kept}, WEIGHTS: weights}, tmp_path / "a.ckpt")
    read = load_checkpoint(tmp_path / "a.ckpt")
    assert read.network.model.settings == new
    assert read.config == {"model": asdict(new), "name": "r"}, "runs are told by their settings"
    loaded = read.network.model.state_dict()
    assert all(torch.equal(loaded[name], rows) for name, rows in state.items())
    networks = read_payload(tmp_path / "a.ckpt")[KEY]["networks"]
    assert networks["feeding"]["model"] == asdict(new)


def test_a_block_of_a_plugin_that_is_not_there_is_named(tmp_path: Path) -> None:
    one = payload()
    one["model"]["fusion"] = {"name": "telepathy"}
    path = written(tmp_path / "a.ckpt", model=one["model"], config={"plugins": ["minds", "rays"]})
    with pytest.raises(UserError, match=r"a.ckpt: model.fusion telepathy .*--plugins minds,rays"):
        load_checkpoint(path)


def test_a_newer_version_is_named_in_one_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ckpt", format=FORMAT + 1)
    with pytest.raises(UserError, match=r"a.ckpt: made by a newer version .*install") as caught:
        read_payload(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", [0, None, "2"])
def test_no_format_is_refused(tmp_path: Path, number: object) -> None:
    with pytest.raises(UserError, match="train anew"):
        read_payload(written(tmp_path / "a.ckpt", format=number))


@pytest.mark.parametrize("part", ["model", "adaptation", "specs"])
def test_settings_that_are_not_known_are_named_in_one_line(tmp_path: Path, part: str) -> None:
    one = payload()
    (one[part]["face"] if part == "specs" else one[part])["gaze"] = 1
    path = written(tmp_path / "a.ckpt", **{part: one[part]})
    with pytest.raises(UserError, match=rf"a.ckpt: .*{part}.gaze.*install that version"):
        load_checkpoint(path)
