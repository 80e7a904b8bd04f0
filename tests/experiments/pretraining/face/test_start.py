"""The face network starts as the part of `expression` that it has room for."""

import torch

from experiments.pretraining.face.start import copy_block, inner_channels, start_from
from features.encoders.visual.expression_net import ExpressionNet, ResidualBlock
from features.encoders.visual.face.net import Block, FaceNet


def test_a_block_of_full_width_is_copied_whole() -> None:
    torch.manual_seed(0)
    other, block = ResidualBlock(8, 12, 2).eval(), Block(8, 12, 12, 2).eval()
    copy_block(block, other)
    x = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(block(x), other(x))


def test_a_narrow_block_keeps_the_channels_that_matter() -> None:
    torch.manual_seed(0)
    other, block = ResidualBlock(8, 12, 2).eval(), Block(8, 9, 12, 2).eval()
    idle = [1, 4, 7]
    with torch.no_grad():
        other.conv2.weight[:, idle] = 0
    assert not set(inner_channels(other, 9).tolist()) & set(idle)
    copy_block(block, other)
    x = torch.randn(2, 8, 6, 6)
    torch.testing.assert_close(block(x), other(x))


def test_the_stem_and_the_label_head_are_expressions() -> None:
    torch.manual_seed(0)
    net, teacher = FaceNet().eval(), ExpressionNet().eval()
    start_from(net, teacher)
    faces = torch.randn(2, 1, 48, 48)
    torch.testing.assert_close(net.stem(faces), teacher.stem(faces))
    torch.testing.assert_close(net.heads.weight[:7], teacher.classify.weight)
    torch.testing.assert_close(net.embed.weight[:, :192], teacher.embed[0].weight)
