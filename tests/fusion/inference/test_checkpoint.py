"""The format of checkpoints: its number follows its shape, other versions are told in a line."""

from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import torch

from features.errors import UserError
from features.store.fingerprint import settings_hash
from fusion.inference.checkpoint import load_checkpoint, write_decision
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
from fusion.tasks.registry import make_tasks
from tests.fusion.classic import TASKS

SHAPES = {2: "8de2b1b19bea6642", 3: "1accba7be39e9bdb", 4: "faa5394fd0912903"}
"""Format to the hash of what is stored under it. Never change a line: add one."""


SMALL = ModelSettings(dim=8, stream_dim=4, heads=1)


def payload() -> dict[str, Any]:
    return make_payload(
        config={},
        model=SMALL,
        tasks={name: task.description() for name, task in TASKS.items()},
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
    kinds = [ModelSettings, StreamSpec, Adaptation, *ours, *(t.Settings for t in TASKS.values())]
    shape = settings_hash([[shape_of(kind) for kind in kinds], keys_of(payload())])
    assert shape_of(ModelSettings)["dim"] == str(int)
    assert keys_of(Decision.neutral(TASKS).state())
    assert SHAPES.get(FORMAT) == shape, (
        f"what a checkpoint stores has changed: raise FORMAT in fusion/inference/payload.py to"
        f" {max(SHAPES) + 1} and add {{{max(SHAPES) + 1}: '{shape}'}} to SHAPES"
    )


def state_of(model: AffectModel) -> dict[str, torch.Tensor]:
    return {f"{PREFIX}{name}": rows for name, rows in model.state_dict().items()}


def written(path: Path, **changes: Any) -> Path:
    model = AffectModel(SMALL, {"face": 3})
    torch.save({KEY: payload() | changes, WEIGHTS: state_of(model)}, path)
    return path


def test_the_format_of_today_is_read(tmp_path: Path) -> None:
    read = load_checkpoint(written(tmp_path / "a.ckpt", format=FORMAT))
    assert read.network.window == 20
    assert list(read.tasks) == list(TASKS)


OLDER = {
    "format": 2,
    "decision": {
        "va": {"smoothing": {"kind": "box", "seconds": 2.0, "interpolate": True}},
        "expr": {"smoothing": {"kind": "none", "seconds": 0.0, "interpolate": False},
                 "temperature": 2.0, "bias": (0.5,) * 8},
        "au": {"smoothing": {"kind": "none", "seconds": 0.0, "interpolate": False},
               "thresholds": (0.25,) * 12},
    },
}  # fmt: skip
"""What formats 1 and 2 have otherwise."""


def older(path: Path, **changes: Any) -> tuple[Path, AffectModel]:
    """A file from before tasks had names, with bins and a head of compounds, and its model."""
    tasks = make_tasks({**dict.fromkeys(TASKS), "va": {"bins": 4, "bin_values": "ends"}})
    model = AffectModel(SMALL, {"face": 3}, tasks={**tasks, **make_tasks({"compound": None})})
    content = {**payload(), **OLDER, **changes}
    del content["tasks"]
    content["model"] = asdict(SMALL) | {
        "va_bins": 4, "bin_values": "ends", "compound": True, "order": ("au", "expr", "va"),
        "scales": {"au": 0, "expr": 1, "va": 2},
    }  # fmt: skip
    torch.save({KEY: content, WEIGHTS: state_of(model)}, path)
    return path, model.eval()


@pytest.mark.parametrize("number", [1, 2, 3])
def test_older_formats_are_read_and_say_the_same(tmp_path: Path, number: int) -> None:
    path, model = older(tmp_path / "a.ckpt", format=number)
    read = load_checkpoint(path, "cpu")
    assert list(read.tasks) == [*TASKS, "compound"]
    assert (read.tasks["va"].settings.bins, read.tasks["va"].settings.bin_values) == (4, "ends")
    features = torch.rand(1, 5, 8)
    said, wanted = read.network.model.heads(features), model.heads(features)
    for task in read.tasks:
        torch.testing.assert_close(said[task], wanted[task])
    assert read.decision.thresholds()["au"].tolist() == [0.25] * 12
    assert str(read.decision.by_task["va"].smoothing) == "box 2 s, no face: interpolated"
    assert read.decision.by_task["expr"].temperature == 2.0
    # What is made of expressions' labels was smoothed as they are.
    assert read.decision.by_task["compound"].smoothing == read.decision.by_task["expr"].smoothing


def test_the_oldest_files_have_thresholds_alone(tmp_path: Path) -> None:
    limits = torch.linspace(0.1, 0.9, 12)
    path, _ = older(tmp_path / "a.ckpt", format=1, thresholds=limits)
    content = torch.load(path, weights_only=True)
    del content[KEY]["decision"]
    torch.save(content, path)
    decision = load_checkpoint(path, "cpu").decision
    torch.testing.assert_close(torch.from_numpy(decision.thresholds()["au"]), limits)
    assert decision.by_task["va"] == TASKS["va"].neutral()


@pytest.mark.parametrize("mutual", [False, True])
def test_streaming_heads_of_older_formats_say_the_same(tmp_path: Path, mutual: bool) -> None:
    """Their correction of units had no name of a task."""
    settings = replace(SMALL, head="streaming", mutual=mutual)
    torch.manual_seed(0)
    model = AffectModel(settings, {"face": 3}).eval()
    state = {key.replace("correction.au.", "correction."): v for key, v in state_of(model).items()}
    assert (f"{PREFIX}heads.correction.weight" in state) == mutual
    content = {**payload(), **OLDER, "model": asdict(settings) | {"order": ("au", "expr", "va")}}
    del content["tasks"]
    torch.save({KEY: content, WEIGHTS: state}, tmp_path / "a.ckpt")
    read, features = load_checkpoint(tmp_path / "a.ckpt", "cpu").network.model, torch.rand(1, 5, 8)
    said, wanted = read.heads(features), model.heads(features)
    assert all(torch.equal(said[task], wanted[task]) for task in TASKS)


def test_an_older_file_that_is_decided_anew_keeps_the_rest(tmp_path: Path) -> None:
    path, model = older(tmp_path / "a.ckpt", format=2)
    before = load_checkpoint(path, "cpu")
    write_decision(path, path, Decision.neutral(before.tasks), {})
    after = load_checkpoint(path, "cpu")
    assert after.tasks == before.tasks
    assert after.decision == Decision.neutral(before.tasks)
    features = torch.rand(1, 5, 8)
    said, wanted = after.network.model.heads(features), model.heads(features)
    assert all(torch.equal(said[task], wanted[task]) for task in after.tasks)


@pytest.mark.parametrize("part", ["expressions", "units"])
def test_older_files_of_other_labels_are_refused(tmp_path: Path, part: str) -> None:
    own = {"expressions": list(TASKS["expr"].names), "units": list(TASKS["au"].names)}
    load_checkpoint(older(tmp_path / "a.ckpt", **own)[0], "cpu")
    path, _ = older(tmp_path / "b.ckpt", **{part: own[part][:7]})
    with pytest.raises(UserError, match=r"b.ckpt: made for another set of labels; train anew"):
        read_payload(path)


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
