"""Weights from a file into a network, with one clear line for every way in which they can be wrong.

Data flow: safetensors, or a torch file read with `weights_only=True` > checks > network.
"""

import pickle
import struct
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from features.errors import UserError

_UNREADABLE = (
    SafetensorError,
    RuntimeError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    AssertionError,
    struct.error,
)
"""What safetensors and torch raise for files that are cut off, damaged or of another kind; the last
four come from torch's reader of its old format (before 1.6), which checks little."""


def read_weights(path: Path, remedy: str) -> dict[str, Tensor]:
    """Weights of a file by name; floating-point ones become float32.

    Args:
        path: A `.safetensors` file, or a torch file that holds only tensors by name.
        remedy: What the user can do about a wrong file, e.g. `give another by --facenet.weights`.

    Raises:
        UserError: If the file is absent, cannot be read, holds code, or has a NaN or an infinity.
    """
    if not path.is_file():
        raise UserError(f"{path}: weights are absent; {remedy}")
    raw = _read(path, remedy)
    if not isinstance(raw, dict) or not all(map(_is_weight, raw.keys(), raw.values())):
        raise UserError(f"{path}: holds more than weights by name; {remedy}")
    weights = {n: w.float() if w.is_floating_point() else w for n, w in raw.items()}
    for name, weight in weights.items():
        if not torch.isfinite(weight).all():
            raise UserError(f"{path}: weight '{name}' is not finite; {remedy}")
    return weights


def weight_names(path: Path, remedy: str) -> list[str]:
    """Names of the weights of a file; of safetensors only the header is read.

    Raises:
        UserError: As `read_weights`, as far as it is seen.
    """
    if path.suffix != ".safetensors":
        return list(read_weights(path, remedy))
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        fault = "it is cut off, damaged or of another kind"
        raise UserError(f"{path}: cannot read the weights ({fault}); {remedy}") from error


def load_weights(net: nn.Module, path: Path, remedy: str) -> None:
    """Puts the weights of a file into a network that they must fit exactly.

    Raises:
        UserError: As `read_weights`, or if names or sizes differ from the network's.
    """
    weights, wanted = read_weights(path, remedy), net.state_dict()
    for name in sorted(wanted.keys() ^ weights.keys()):
        what = "lacks" if name in wanted else "has an unknown"
        raise UserError(f"{path}: {what} weight '{name}'; {remedy}")
    for name, weight in weights.items():
        if weight.shape != wanted[name].shape:
            have, want = tuple(weight.shape), tuple(wanted[name].shape)
            raise UserError(f"{path}: weight '{name}' is {have}, not {want}; {remedy}")
    net.load_state_dict(weights)


def _read(path: Path, remedy: str) -> Any:
    """What the file holds; nothing in it is run."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        fault = "it holds code, which was not run, or is no file of weights"
        raise UserError(f"{path}: cannot read the weights ({fault}); {remedy}") from error
    except _UNREADABLE as error:
        fault = "it is cut off, damaged or of another kind"
        raise UserError(f"{path}: cannot read the weights ({fault}); {remedy}") from error


def _is_weight(name: object, weight: object) -> bool:
    """Whether it is a plain tensor of real numbers under a name."""
    return (
        isinstance(name, str)
        and isinstance(weight, Tensor)
        and weight.layout == torch.strided
        and not (weight.is_quantized or weight.is_complex() or weight.is_meta)
    )
