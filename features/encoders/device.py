"""Where to compute. Data flow: name in the settings > tried once > device of torch."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import UserError

if TYPE_CHECKING:  # takes seconds
    import torch


def may_have_gpu() -> bool:
    """Whether `auto` may find a GPU here, told without torch, which takes seconds to load."""
    if sys.platform != "linux":
        return True
    nodes = ("nvidia*", "dxg", "kfd")  # of NVIDIA, of Windows' subsystem for Linux, of AMD
    return any(next(Path("/dev").glob(node), None) for node in nodes)


def resolve_device(name: str) -> "torch.device":
    """The device of that name, known to work.

    Args:
        name: `auto`, which is `cuda` where there is one and else `cpu`; or any name of torch's,
            e.g. `cuda:1` or `mps`. `auto` never takes `mps`: it lacks float64 and some kernels.

    Raises:
        UserError: If there is no such device here.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # torch names many devices that nothing runs on
    # A torch built without the device raises an AssertionError or lacks the module.
    except (RuntimeError, AssertionError, ImportError) as error:
        cause = " ".join(str(error).split()).split(". ")[0][:80]
        raise UserError(
            f"no device '{name}' here ({cause}); give auto, cpu or another that torch can use"
        ) from error
    return device
