"""Files of weights: each way in which one can be wrong is one line with the file and the remedy."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from features.encoders.weights_io import load_weights, read_weights
from features.errors import UserError

REMEDY = "give another by --x.weights"
KINDS = ["w.safetensors", "w.pt", "old.pt"]
"""safetensors, torch's zip, and torch's format before 1.6."""


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3))


def write(path: Path, weights: object) -> Path:
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=path.stem != "old")
    return path


def complaint(path: Path, into: nn.Module | None = None) -> str:
    with pytest.raises(UserError) as error:
        load_weights(into or net(), path, REMEDY)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith(REMEDY)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", KINDS)
def test_weights_come_back_and_change_the_output(kind: str, tmp_path: Path) -> None:
    source, target = net(), net()
    with torch.no_grad():
        for weight in target.parameters():
            weight.add_(1)
    path = write(tmp_path / kind, source.state_dict())
    sound = torch.ones(1, 2, 8)
    assert not torch.equal(target.eval()(sound), source.eval()(sound))
    load_weights(target, path, REMEDY)
    assert torch.equal(target(sound), source(sound))


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_becomes_float32_and_counters_stay_integers(
    kind: str, tmp_path: Path
) -> None:
    weights = {name: w.half() if w.is_floating_point() else w for name, w in
               net().state_dict().items()}  # fmt: skip
    read = read_weights(write(tmp_path / kind, weights), REMEDY)
    assert {w.dtype for w in read.values()} == {torch.float32, torch.int64}
    load_weights(net(), tmp_path / kind, REMEDY)


def test_absent_file_and_folder_are_absent(tmp_path: Path) -> None:
    assert "weights are absent" in complaint(tmp_path / "none.safetensors")
    (tmp_path / "folder.pt").mkdir()
    assert "weights are absent" in complaint(tmp_path / "folder.pt")


class Code:
    """Unpickles by making a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("kind", ["w.pt", "old.pt", "plain.pt"])
def test_code_in_a_pickle_is_refused_and_not_run(kind: str, tmp_path: Path) -> None:
    mark, path = tmp_path / "was-run", tmp_path / kind
    if kind == "plain.pt":
        path.write_bytes(pickle.dumps(Code(mark), protocol=2))
    else:
        write(path, {"0.weight": torch.zeros(2), "more": Code(mark)})
    assert "holds code, which was not run" in complaint(path)
    assert not mark.exists()


def test_a_whole_pickled_module_is_refused(tmp_path: Path) -> None:
    assert "holds code" in complaint(write(tmp_path / "w.pt", net()))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 4096, b"%PDF-1.7 and so on"])
def test_a_file_of_another_kind_is_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    assert "cannot read the weights" in complaint(path)


@pytest.mark.parametrize(("kind", "other"), [("w.safetensors", ".pt"), ("w.pt", ".safetensors")])
def test_a_wrong_suffix_is_refused(kind: str, other: str, tmp_path: Path) -> None:
    path = write(tmp_path / kind, net().state_dict())
    assert "cannot read the weights" in complaint(path.rename(path.with_suffix(other)))


@pytest.mark.parametrize("kind", KINDS)
def test_truncated_weights_are_refused_wherever_they_end(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / kind, {"w": torch.arange(6.0)})
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, max(1, len(whole) // 40)):
        path.write_bytes(whole[:length])
        assert "cannot read the weights" in complaint(path)


@given(places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=3))
@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_give_weights_or_one_line(
    kind: str, tmp_path: Path, places: list[tuple[float, int]]
) -> None:
    path = write(tmp_path / kind, {"w": torch.arange(6.0), "b": torch.ones(2)})
    content = bytearray(path.read_bytes())
    for share, value in places:
        content[int(share * len(content))] = value
    path.write_bytes(content)
    try:
        read = read_weights(path, REMEDY)
    except UserError:  # any other error would fail the test
        return
    assert all(isinstance(weight, Tensor) for weight in read.values())


@pytest.mark.parametrize(
    "content",
    [
        [torch.zeros(2)],
        torch.zeros(2),
        {"state_dict": {"w": torch.zeros(2)}},
        {"w": torch.zeros(2), "epoch": 3},
        {0: torch.zeros(2)},
        {"w": torch.eye(2).to_sparse()},
        {"w": torch.zeros(2, dtype=torch.complex64)},
    ],
    ids=["list", "tensor", "nested", "number", "unnamed", "sparse", "complex"],
)
def test_anything_but_plain_tensors_by_name_is_refused(content: object, tmp_path: Path) -> None:
    assert "holds more than weights by name" in complaint(write(tmp_path / "w.pt", content))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_by_name(
    kind: str, value: float, tmp_path: Path
) -> None:
    weights = net().state_dict()
    weights["1.running_var"][1] = value
    assert "weight '1.running_var' is not finite" in complaint(write(tmp_path / kind, weights))


def test_float64_beyond_float32_is_refused(tmp_path: Path) -> None:
    weights = net().state_dict()
    weights["0.bias"] = torch.full((3,), 1e60, dtype=torch.float64)
    assert "weight '0.bias' is not finite" in complaint(write(tmp_path / "w.pt", weights))


def test_another_size_is_told_with_both_sizes(tmp_path: Path) -> None:
    weights = net().state_dict() | {"0.weight": torch.zeros(3, 2, 5)}
    path = write(tmp_path / "w.safetensors", weights)
    assert "weight '0.weight' is (3, 2, 5), not (3, 2, 3)" in complaint(path)


def test_missing_and_unknown_weights_are_named(tmp_path: Path) -> None:
    weights = net().state_dict()
    path = write(tmp_path / "w.safetensors", weights | {"9.bias": torch.zeros(1)})
    assert "has an unknown weight '9.bias'" in complaint(path)
    del weights["0.bias"]
    assert "lacks weight '0.bias'" in complaint(write(path, weights))


def test_a_refused_file_leaves_the_network_as_it_was(tmp_path: Path) -> None:
    network = net()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    weights = {name: weight + 1 for name, weight in before.items()}
    weights["1.bias"] = torch.zeros(4)
    complaint(write(tmp_path / "w.pt", weights), network)
    assert all(torch.equal(network.state_dict()[name], weight) for name, weight in before.items())
