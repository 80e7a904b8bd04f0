"""Streaming heads of PASN: one task after another, each fed by the one before.

Data flow for action units, then expressions, then valence-arousal, where e is the norm of a frame:

    e                               > 16 numbers an element > logits > relations between elements
                                                            > stream of a binary vector
    relu(linear of e) + that stream > norm > logits         > stream of the classes
    relu(linear of e) + that stream > norm > tanh

Letters: B windows, T frames, D channels of a frame, W width of a stream, U elements of a binary
vector, V numbers an element, J width of what a head reads.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fusion.data.batch import Scores
from fusion.model.blocks.naming import key_of
from fusion.tasks.registry import Tasks

WIDTH = 64
"""W: width of a task's own features of a frame, and of the stream that it hands on."""
UNIT_WIDTH = 16
"""V: numbers that describe one element of a binary vector."""


def streaming_order(tasks: Tasks) -> tuple[str, ...]:
    """Tasks in the order of the released code: binary vectors, then classes, then values."""
    kinds = ("binary", "classes", "values")
    return tuple(sorted(tasks, key=lambda name: kinds.index(tasks[name].kind)))


class StreamingHeads(nn.Module):
    """Heads of the Prior Aided Streaming Network (Zhang et al., ABAW 2, 2021).

    Sizes and links are those of the released code, with these changes:

    - Layer norm takes the place of batch norm. The statistics of a batch would mix real frames
      with padding and, where each window has labels of one task only, data sets with one another;
      they differ between the processes of a distributed run and between training and use. A layer
      norm sees one frame and nothing else.
    - A unit has one logit, not two, so that ZLPR, cross-entropy and thresholds speak of the same
      number; the layer of relations is U to U, not 2U to 2U.
    - Any order of any tasks. The first reads the frame alone; a binary vector that is not the first
      reads the frame joined with the stream before it.
    - `mutual` is defined so that no order makes a circle: the own features of the frame of classes
      and of values, before any stream has joined them, make a linear correction of the logits of
      binary vectors, and those of values enter the classes.

    The last task hands nothing on, so every parameter has a gradient.

    Args:
        dim: D of the frames.
        tasks: What is said.
        order: Every task once; empty: `streaming_order`.
        mutual: Whether classes and values speak back.
    """

    def __init__(
        self, dim: int, tasks: Tasks, order: Sequence[str] = (), *, mutual: bool = False
    ) -> None:
        super().__init__()
        self.said = dict(tasks)
        usual = streaming_order(tasks)
        self.order = tuple(order) or usual
        of_kind = {
            kind: [name for name in usual if tasks[name].kind == kind]
            for kind in ("binary", "classes", "values")
        }
        self.speak_back = of_kind["values"] if mutual else []
        self.corrected = of_kind["binary"] if mutual else []
        self.norm = nn.LayerNorm(dim)
        self.own = [*of_kind["classes"], *of_kind["values"]]
        self.features = nn.ModuleDict({key_of(task): _features(dim) for task in self.own})
        self.tasks = nn.ModuleDict()
        for name in usual:
            task = tasks[name]
            joined = dim if task.kind == "binary" else WIDTH
            joined += 0 if name == self.order[0] else WIDTH
            joined += WIDTH * len(self.speak_back) if task.kind == "classes" else 0
            self.tasks[key_of(name)] = _head(task.kind, joined, task.width, name != self.order[-1])
        self.correction = nn.ModuleDict(
            {
                key_of(name): nn.Linear(len(self.own) * WIDTH, tasks[name].width)
                for name in self.corrected
                if self.own
            }
        )

    def forward(self, x: Tensor) -> Scores:
        """Scores of (B, T, D)."""
        e = self.norm(x)
        own = {name: self.features[key_of(name)](e) for name in self.own}
        stream, raw = e[..., :0], {}
        for name in self.order:
            back = [own[other] for other in self.speak_back]
            parts = [own.get(name, e), stream]
            if self.said[name].kind == "classes":
                parts += back
            raw[name], stream = self.tasks[key_of(name)](torch.cat(parts, dim=-1))
        for name in self.corrected if self.own else ():
            both = torch.cat([own[other] for other in self.own], -1)
            raw[name] = raw[name] + self.correction[key_of(name)](both)
        return {name: task.scores(raw[name]) for name, task in self.said.items()}


class UnitHead(nn.Module):
    """A binary vector: numbers for each element, a logit of them, and what logits say of others.

    Args:
        joined: J.
        units: U.
        hands_on: Whether a task comes after.
    """

    def __init__(self, joined: int, units: int, hands_on: bool) -> None:
        super().__init__()
        bound = 1 / math.sqrt(UNIT_WIDTH)  # that of nn.Linear(UNIT_WIDTH, 1)
        self.vectors = nn.Linear(joined, units * UNIT_WIDTH)
        self.weight = nn.Parameter(torch.empty(units, UNIT_WIDTH).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(units).uniform_(-bound, bound))
        self.relations = nn.Linear(units, units)
        self.stream = nn.Linear(units * UNIT_WIDTH, WIDTH) if hands_on else None

    def forward(self, joined: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits (B, T, U) and stream (B, T, W) of (B, T, J)."""
        flat = self.vectors(joined)
        each = (flat.unflatten(-1, self.weight.shape) * self.weight).sum(dim=-1) + self.bias
        return self.relations(each), None if self.stream is None else self.stream(flat)


class FrameHead(nn.Module):
    """A task with one answer a frame.

    Args:
        joined: J.
        outputs: Numbers of the answer.
        hands_on: Whether a task comes after.
    """

    def __init__(self, joined: int, outputs: int, hands_on: bool) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(joined)
        self.out = nn.Linear(joined, outputs)
        self.stream = nn.Linear(joined, WIDTH) if hands_on else None

    def forward(self, joined: Tensor) -> tuple[Tensor, Tensor | None]:
        """Answer (B, T, outputs) and stream (B, T, W) of (B, T, J)."""
        normed = self.norm(joined)
        return self.out(normed), None if self.stream is None else self.stream(normed)


def _features(dim: int) -> nn.Sequential:
    """A task's own features of a frame."""
    return nn.Sequential(nn.Linear(dim, WIDTH), nn.ReLU())


def _head(kind: str, joined: int, outputs: int, hands_on: bool) -> nn.Module:
    if kind == "binary":
        return UnitHead(joined, outputs, hands_on)
    return FrameHead(joined, outputs, hands_on)
