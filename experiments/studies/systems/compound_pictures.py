"""Synthetic compound expressions: two pictures with basic ones that form a compound, mixed.

Data flow: pictures + basic expressions > legal pairs (fusion/losses/compound.py) > Mixup, or the
upper half of one face on the lower half of the other > pictures + which compound each of them is
(`compound_targets` makes the six targets of that) > packaged expression net > Part.

The source says "half-face CutMix" and not which halves. Upper and lower it is here: brows and eyes
show one expression and the mouth the other, as in the compound expressions that Du, Tao and
Martinez (2014) describe, while a seam down the nose would make faces that only ever disagree with
themselves. The faces are aligned, so the seam lies at half of the height.

Letters: N pictures, M mixtures, S pixels of a side, D embedding dimensions.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from experiments.pretraining.fer2013 import read_test, read_train
from features.cli.progress import ProgressReport
from features.encoders.visual.expression_net import ExpressionNet, scale_grey
from fusion.tasks.learning.mixtures import BASIC, FIRST, draw_compounds, mixup

Mixer = Callable[[Tensor, Tensor], Tensor]
"""(M, ...) and as many others to as many mixtures."""


def half_cutmix(first: Tensor, second: Tensor) -> Tensor:
    """Upper half of one picture on the lower half of the other, which on which by chance.

    Args:
        first: (M, 1, S, S).
        second: As many.
    """
    turned = torch.rand(len(first), 1, 1, 1, device=first.device) < 0.5
    upper, lower = torch.where(turned, second, first), torch.where(turned, first, second)
    seam = first.shape[-2] // 2
    return torch.cat([upper[..., :seam, :], lower[..., seam:, :]], dim=-2)


MIXERS: Mapping[str, Mixer] = {"mixup": mixup, "half": half_cutmix}
"""Ways of mixing pictures, by name."""


def compound_pictures(
    pictures: Tensor, basic: Tensor, count: int, mixer: Mixer
) -> tuple[Tensor, Tensor]:
    """Makes compounds of pictures, each compound with equal chance.

    Args:
        pictures: (N, 1, S, S) float32.
        basic: (N,) int64, index into `BASIC_EXPRESSIONS`.
        count: M, how many.
        mixer: How two become one.

    Returns:
        (M, 1, S, S) float32, and (M,) int64 index into `COMPOUNDS`; M is 0 where no two pictures
        form one.
    """
    compounds, pairs = draw_compounds(basic, count)
    return mixer(pictures[pairs[:, 0]], pictures[pairs[:, 1]]), compounds


@dataclass(frozen=True)
class Part:
    """Pictures to learn from or to test on.

    Attributes:
        inputs: (N, D) embeddings; (N, 1, 48, 48) pictures where they are asked for.
        softmax: (N, 6) the packaged net's probabilities of the basic expressions.
        truth: (N,) int64, index into `BASIC_EXPRESSIONS`, or of mixtures into `COMPOUNDS`.
    """

    inputs: Tensor
    softmax: Tensor
    truth: Tensor


Singles = tuple[Tensor, Tensor]
"""Pictures (N, 1, 48, 48) float32 in [-1, 1], and (N,) int64 index into `BASIC_EXPRESSIONS`."""


def training_pictures(folder: Path, count: int) -> Singles:
    """A random part of FER2013's training pictures with a basic expression."""
    faces, basic = _basic_only(*read_train(folder))
    some = torch.randperm(len(basic))[:count]
    return faces[some], basic[some]


def held_out_pictures(folder: Path) -> Singles:
    """FER2013's test pictures with a basic expression, without copies of training pictures."""
    faces, labels, copies = read_test(folder)
    return _basic_only(faces[~copies], labels[~copies])


def _basic_only(faces: Tensor, labels: Tensor) -> Singles:
    basic = labels - FIRST
    wanted = (basic >= 0) & (basic < BASIC)
    return scale_grey(faces[wanted]), basic[wanted]


def make_parts(
    net: ExpressionNet, singles: Singles, count: int, *, pictures: bool
) -> dict[str, Part]:
    """Single pictures as `basic`, and mixtures of them by the name of their making.

    Args:
        net: The packaged expression net.
        singles: What is mixed.
        count: Mixtures of each making.
        pictures: Whether pictures are kept instead of their embeddings.
    """
    made = {kind: compound_pictures(*singles, count, mixer) for kind, mixer in MIXERS.items()}
    parts = {}
    for kind, (faces, truth) in ({"basic": singles} | made).items():
        embeddings, softmax = embed(net, faces, kind)
        parts[kind] = Part(faces if pictures else embeddings, softmax, truth)
    return parts


@torch.no_grad()
def embed(net: ExpressionNet, faces: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Embeddings (N, D) and probabilities (N, 6) of pictures, multiplied in bfloat16."""
    embeddings, softmax = [], []
    pieces = faces.split(256)
    with ProgressReport("embed", len(pieces)) as progress:
        for piece in pieces:
            piece = piece.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                embedding, logits = net(piece)
            embeddings.append(embedding.float())
            softmax.append(logits.float().softmax(1)[:, FIRST : FIRST + BASIC])
            progress.step(name)
    return torch.cat(embeddings), torch.cat(softmax)
