"""Streaming heads of PASN: one task after another, each fed by the one before.

Data flow for the order AU > EXPR > VA, where e is the norm of a frame:

    e                               > 16 numbers a unit > logits > relations between units
                                                        > AU stream
    relu(linear of e) + AU stream   > norm > logits     > EXPR stream
    relu(linear of e) + EXPR stream > norm > tanh

Letters: B windows, T frames, D channels of a frame, W width of a stream, U units, V numbers a unit,
J width of what a head reads.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fusion.data.batch import Scores
from fusion.tasks.labels import DIMENSIONS, EXPRESSIONS, UNITS

ORDER = ("au", "expr", "va")
"""Tasks in the order of the released code."""
WIDTH = 64
"""W: width of a task's own features of a frame, and of the stream that it hands on."""
UNIT_WIDTH = 16
"""V: numbers that describe one unit."""


class StreamingHeads(nn.Module):
    """Heads of the Prior Aided Streaming Network (Zhang et al., ABAW 2, 2021).

    Sizes and links are those of the released code, with these changes:

    - Layer norm takes the place of batch norm. The statistics of a batch would mix real frames
      with padding and, where each window has labels of one task only, data sets with one another;
      they differ between the processes of a distributed run and between training and use. A layer
      norm sees one frame and nothing else.
    - A unit has one logit, not two, so that ZLPR, cross-entropy and thresholds speak of the same
      number; the layer of relations is U to U, not 2U to 2U.
    - Any order of the tasks. The first reads the frame alone; units that are not the first read
      the frame joined with the stream before them.
    - `mutual` is defined so that no order makes a circle: EXPR's and VA's own features of the
      frame, before any stream has joined them, make a linear correction of the unit logits, and
      VA's enter EXPR.

    The last task hands nothing on, so every parameter has a gradient.

    Args:
        dim: D of the frames.
        order: Every task once.
        mutual: Whether EXPR and VA speak back.
    """

    def __init__(self, dim: int, *, order: Sequence[str] = ORDER, mutual: bool = False) -> None:
        super().__init__()
        self.order = tuple(order)
        self.norm = nn.LayerNorm(dim)
        self.features = nn.ModuleDict({task: _features(dim) for task in ("expr", "va")})
        self.tasks = nn.ModuleDict()
        for task in ORDER:
            own = dim if task == "au" else WIDTH
            before = 0 if task == self.order[0] else WIDTH
            back = WIDTH if mutual and task == "expr" else 0
            hands_on = task != self.order[-1]
            self.tasks[task] = _head(task, own + before + back, hands_on)
        self.correction = nn.Linear(2 * WIDTH, len(UNITS)) if mutual else None

    def forward(self, x: Tensor) -> Scores:
        """Scores of (B, T, D)."""
        e = self.norm(x)
        own = {"au": e, "expr": self.features["expr"](e), "va": self.features["va"](e)}
        stream, scores = e[..., :0], {}
        for task in self.order:
            back = [own["va"]] if self.correction is not None and task == "expr" else []
            joined = torch.cat([own[task], stream, *back], dim=-1)
            scores[task], stream = self.tasks[task](joined)
        if self.correction is not None:
            scores["au"] = scores["au"] + self.correction(torch.cat([own["expr"], own["va"]], -1))
        return Scores(va=torch.tanh(scores["va"]), expr=scores["expr"], au=scores["au"])


class UnitHead(nn.Module):
    """Action units: a vector for each, a logit from each, and what the logits say of one another.

    Args:
        joined: J.
        hands_on: Whether a task comes after.
    """

    def __init__(self, joined: int, hands_on: bool) -> None:
        super().__init__()
        units, bound = len(UNITS), 1 / math.sqrt(UNIT_WIDTH)  # that of nn.Linear(UNIT_WIDTH, 1)
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


def _head(task: str, joined: int, hands_on: bool) -> nn.Module:
    if task == "au":
        return UnitHead(joined, hands_on)
    outputs = {"expr": len(EXPRESSIONS), "va": len(DIMENSIONS)}[task]
    return FrameHead(joined, outputs, hands_on)
