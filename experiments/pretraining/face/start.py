"""Where the face network starts: from the weights of the packaged `expression` network.

Data flow: ExpressionNet > its first blocks > of their inner channels those that matter most >
FaceNet, whose new parts are random and small.
"""

import torch
from torch import Tensor, nn

from features.encoders.visual.expression_net import ExpressionNet, ResidualBlock
from features.encoders.visual.face.net import Block, FaceNet

NEW = 0.1
"""Scale of what the embedding takes from the new pooled values, at the start."""


@torch.no_grad()
def start_from(net: FaceNet, teacher: ExpressionNet) -> None:
    """Copies what both networks have into `net`."""
    net.stem.load_state_dict(teacher.stem.state_dict())
    for stage, teachers in zip(net.stages, teacher.stages, strict=True):
        assert isinstance(stage, nn.Sequential)
        assert isinstance(teachers, nn.Sequential)
        for block, other in zip(stage, teachers, strict=False):
            assert isinstance(block, Block)
            assert isinstance(other, ResidualBlock)
            copy_block(block, other)
    first = teacher.embed[0]
    assert isinstance(first, nn.Linear)
    width = first.in_features
    net.embed.weight *= NEW
    net.embed.weight[:, :width] = first.weight
    net.embed.bias.copy_(first.bias)
    net.heads.weight[: len(teacher.classify.weight)] = teacher.classify.weight
    net.heads.bias[: len(teacher.classify.bias)] = teacher.classify.bias


@torch.no_grad()
def copy_block(block: Block, other: ResidualBlock) -> None:
    """Copies a block, of its inner channels those with the largest share in what follows."""
    kept = inner_channels(other, block.conv1.out_channels)
    block.conv1.weight.copy_(other.conv1.weight[kept])
    for name, values in other.norm1.state_dict().items():
        mine = block.norm1.state_dict()[name]
        mine.copy_(values[kept] if values.ndim else values)
    block.conv2.weight.copy_(other.conv2.weight[:, kept])
    block.norm2.load_state_dict(other.norm2.state_dict())
    block.shortcut.load_state_dict(other.shortcut.state_dict())


def inner_channels(block: ResidualBlock, count: int) -> Tensor:
    """Indices, in order, of inner channels: scale of the norm times what the second layer takes."""
    norm = block.norm1.weight.abs() * block.conv2.weight.pow(2).sum((0, 2, 3)).sqrt()
    return norm.topk(count).indices.sort().values
