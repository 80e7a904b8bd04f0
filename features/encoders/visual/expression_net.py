"""A small residual network that reads facial expressions from grey 48x48 faces.

Data flow: face (N, 1, 48, 48) > stem 32 > three residual stages 48, 96, 192 > mean over positions
> embedding 256 > logits over ABAW's first seven expressions, and unit vector of 16 in which
faces of like expression are near (FECNet, Vemulapalli and Agarwala 2019).

`experiments/pretraining/train_expression.py` trains it; `features/encoders/visual/expression.py`
runs it.
"""

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from features.encoders.visual.expression import DIM, EXPRESSIONS, FACE_SIZE, METRIC_DIM, WIDTHS
from features.encoders.weights_io import load_weights

__all__ = ["EXPRESSIONS", "FACE_SIZE", "METRIC_DIM", "ExpressionNet", "load_expression_net"]


BLOCKS = (2, 2, 3)
"""Residual blocks of each stage."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, "basic block")."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C_in, H, W) to (N, C_out, H / stride, W / stride)."""
        y = functional.relu(self.norm1(self.conv1(x)))
        return functional.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ExpressionNet(nn.Module):
    """Expression classifier whose penultimate layer is the feature.

    Args:
        dim: Length of the embedding.
        dropout: Share of embedding values dropped before the logits, in training only.
    """

    def __init__(self, dim: int = DIM, dropout: float = 0.2) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU()
        )
        self.stages = nn.ModuleList(
            [
                _stage(channels_in, channels_out, blocks)
                for channels_in, channels_out, blocks in zip(
                    (32, *WIDTHS), WIDTHS, BLOCKS, strict=False
                )
            ]
        )
        self.embed = nn.Sequential(nn.Linear(WIDTHS[-1], dim), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(dim, len(EXPRESSIONS))
        self.project = nn.Linear(dim, METRIC_DIM)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Embeds and classifies faces.

        Args:
            faces: (N, 1, 48, 48), grey, scaled to [-1, 1].

        Returns:
            Embedding (N, dim) and logits (N, 7) in the order of `EXPRESSIONS`.
        """
        embedding = self.embed(self.levels(faces)[-1])
        return embedding, self.classify(self.dropout(embedding))

    def levels(self, faces: Tensor) -> list[Tensor]:
        """Maps of each stage, averaged over positions, fine to coarse: (N, 48), (N, 96), (N, 192).

        Args:
            faces: (N, 1, 48, 48), grey, scaled to [-1, 1].
        """
        x = self.stem(faces)
        pooled = []
        for stage in self.stages:
            x = stage(x)
            pooled.append(x.mean(dim=(2, 3)))
        return pooled

    def metric(self, embedding: Tensor) -> Tensor:
        """Projects embeddings (N, dim) to unit vectors (N, 16)."""
        return functional.normalize(self.project(embedding), dim=1)


def scale_grey(faces: Tensor) -> Tensor:
    """Turns grey bytes in [0, 255] into the network's input range [-1, 1]."""
    return faces.float() / 127.5 - 1


def _stage(channels_in: int, channels_out: int, blocks: int) -> nn.Sequential:
    """Residual blocks, the first of which halves the sides."""
    first = ResidualBlock(channels_in, channels_out, stride=2)
    rest = [ResidualBlock(channels_out, channels_out, stride=1) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


def load_expression_net(
    path: Path, remedy: str = "give weights of experiments.pretraining.train_expression"
) -> ExpressionNet:
    """Reads safetensors weights (float16 or float32) into a network in evaluation mode.

    Args:
        path: File written by `experiments.pretraining.train_expression`.
        remedy: What a user can do about a wrong file.

    Raises:
        UserError: If they are absent, cannot be read or do not fit.
    """
    net = ExpressionNet()
    load_weights(net, path, remedy)
    return net.eval()
