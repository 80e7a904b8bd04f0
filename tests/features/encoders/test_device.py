"""Which device is chosen, and that absent ones are refused."""

import pytest
import torch

from features.encoders.device import resolve_device
from features.errors import UserError


def test_auto_is_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for there, device in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert resolve_device("auto") == torch.device(device)


def test_the_processor_is_a_device() -> None:
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "meta", "hpu", "fpga", "xla", "cuda:99"])
def test_a_device_that_is_not_here_is_one_line(name: str) -> None:
    with pytest.raises(UserError, match=f"no device '{name}' here") as error:
        resolve_device(name)
    assert "\n" not in str(error.value)
    assert "auto" in str(error.value)
