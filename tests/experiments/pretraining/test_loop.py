"""The one training loop: what it steps by, at which rate, and what follows it."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from experiments.pretraining.loop import Loop


def loop_of(net: nn.Module, **settings: object) -> Loop:
    return Loop(net, torch.optim.SGD(net.parameters(), lr=1.0), **settings)  # type: ignore[arg-type]


def line() -> nn.Linear:
    net = nn.Linear(1, 1, bias=False)
    net.weight.data.fill_(2.0)
    return net


def squares(net: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"near": net(x).square().mean(), "far": 2 * net(x).square().mean()}


def test_it_steps_by_the_sum_of_the_losses_at_the_rate_of_the_moment() -> None:
    net, asked = line(), []

    def rate(epoch: float) -> float:
        asked.append(epoch)
        return 0.01

    found = loop_of(net, rate=rate).epoch(3, 2, [torch.ones(1, 1)] * 2, squares)
    assert asked == [3.0, 3.5]
    weights = [2.0, 2.0 * (1 - 0.06)]
    assert net.weight.item() == pytest.approx(weights[1] * (1 - 0.06))
    assert found["near"] == pytest.approx((weights[0] ** 2 + weights[1] ** 2) / 2)
    assert found["far"] == pytest.approx(2 * found["near"])


def test_gradients_are_clipped_and_the_average_follows() -> None:
    net = line()
    average = AveragedModel(net, avg_fn=lambda old, new, count: old + (new - old) / 2)
    loop_of(net, clip=0.5, average=average).epoch(0, 2, [torch.ones(1, 1)] * 2, squares)
    assert net.weight.item() == pytest.approx(1.0)
    assert average.module.weight.item() == pytest.approx(1.25)


def test_in_bfloat16_the_network_multiplies_coarsely_and_answers_in_float32() -> None:
    net, said = nn.Linear(1, 1, bias=False), []
    net.weight.data.fill_(1 + 2**-10)

    def losses(net: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
        said.append(net(x))
        return {"loss": said[-1].mean()}

    loop_of(net, rate=lambda _: 0.0, bfloat16=True).epoch(0, 1, [torch.ones(1, 1)], losses)
    assert said[0].dtype == torch.float32
    assert said[0].item() == 1.0
