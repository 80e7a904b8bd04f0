"""The loop of all scripts that train a network here, on Lightning Fabric.

Data flow: batches of an epoch > losses > backward, clipped > optimizer at the rate of that moment >
moving average of the weights > state that a killed run goes on from > a line of what was found.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from experiments.pretraining.training_state import TrainingState

Batch = TypeVar("Batch")
Losses = Callable[[nn.Module, Batch], Mapping[str, Tensor]]
"""The network, as Fabric runs it, and a batch to a loss by name; their sum is stepped by."""


class Loop:
    """Steps of an optimizer, an epoch at a time.

    Args:
        net: Is trained.
        optimizer: Of its parameters.
        rate: Epochs done, the share of the present one among them, to the learning rate; None: as
            the optimizer has it.
        average: Follows the network's weights.
        clip: Greatest norm of the gradient.
        bfloat16: Whether to multiply in bfloat16.
        seed: Of what is drawn by chance in an epoch, alike in a run that goes on.
    """

    def __init__(
        self,
        net: nn.Module,
        optimizer: Optimizer,
        *,
        rate: Callable[[float], float] | None = None,
        average: AveragedModel | None = None,
        clip: float | None = None,
        bfloat16: bool = False,
        seed: int = 1,
    ) -> None:
        self.rate, self.average, self.clip, self.seed = rate, average, clip, seed
        self.bare = net
        self.fabric = Fabric(
            accelerator=next(net.parameters()).device.type,
            devices=1,
            precision="bf16-mixed" if bfloat16 else "32-true",
        )
        self.net, self.optimizer = self.fabric.setup(net, optimizer)

    def run(
        self,
        epochs: int,
        state: TrainingState,
        batches: Callable[[int], tuple[int, Iterable[Batch]]],
        losses: Losses[Batch],
        judge: Callable[[], str] = str,
    ) -> None:
        """Runs the epochs that the state has not seen, and says of each what it found.

        Args:
            epochs: How many there are.
            state: Is kept after each.
            batches: Number of an epoch to how many batches it has, and these.
            losses: Of a batch.
            judge: What else there is to say after an epoch.
        """
        for epoch in range(state.resume()["epoch"], epochs):
            began = time.monotonic()
            torch.manual_seed(self.seed * 1000 + epoch)
            found = self.epoch(epoch, *batches(epoch), losses)
            state.save(epoch + 1)
            words = [f"{name} {value:.4f}" for name, value in found.items()] + [judge()]
            text = " ".join(filter(None, words))
            took = time.monotonic() - began
            print(f"epoch {epoch + 1}/{epochs} {text} {took:.0f} s", flush=True)

    def epoch(
        self, number: int, steps: int, batches: Iterable[Batch], losses: Losses[Batch]
    ) -> dict[str, float]:
        """Learns from each of the batches once; the mean of each loss."""
        sums: dict[str, float] = {}
        self.net.train()
        for step, batch in enumerate(batches):
            if self.rate:
                for group in self.optimizer.param_groups:
                    group["lr"] = self.rate(number + step / steps)
            found = losses(self.net, batch)
            self.optimizer.zero_grad()
            self.fabric.backward(torch.stack(list(found.values())).sum())
            if self.clip:
                self.fabric.clip_gradients(self.net, self.optimizer, max_norm=self.clip)
            self.optimizer.step()
            if self.average:
                self.average.update_parameters(self.bare)
            for name, loss in found.items():
                sums[name] = sums.get(name, 0.0) + loss.item() / steps
        return sums
