"""A small residual network that reads expressions, blendshapes and head pose from grey 48x48 faces.

Data flow: face (N, 1, 48, 48) > stem 32 > residual stages 48, 96, 192 at 24, 12 and 6 positions a
side > mean, maximum and a compressed map > embedding 256 > heads.

`experiments/pretraining/face/train_face.py` trains it, from a part of `expression`'s weights;
`model.py` joins what was fitted to it.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from features.encoders.visual.face.encoder import DIM, FACE_SIZE, HEADS
from features.encoders.weights_io import load_weights

STEM = 32
"""Channels after the first convolution."""
STAGES = (((48, 32),), ((96, 96),), ((192, 192), (192, 128)))
"""Width and inner width of each residual block of each stage, fine to coarse."""
LAYOUT = 32
"""Channels that the last map is compressed to, so that the embedding knows where things are."""
TEXTURE = 48 + 96
"""Means of the two finest stages' maps, which tell how sharp a picture is."""


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016, "basic block"), narrow between them.

    Args:
        before: Channels of its input.
        inner: Channels between the convolutions.
        width: Channels of its output.
        stride: 2 halves the sides.
    """

    def __init__(self, before: int, inner: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, inner, 3, stride, 1, bias=False)
        self.norm1: nn.Module = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, width, 3, 1, 1, bias=False)
        self.norm2: nn.Module = nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, before, H, W) to (N, width, H / stride, W / stride)."""
        y = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        # In place: memory, not arithmetic, is what these steps cost on a processor.
        return functional.relu(self.norm2(self.conv2(y)).add_(self.shortcut(x)), inplace=True)


class FaceNet(nn.Module):
    """One pass over a face for all that the `face` encoder tells.

    Args:
        dropout: Share of embedding values dropped before the heads, in training only.
    """

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, STEM, 3, 1, 1, bias=False), nn.BatchNorm2d(STEM), nn.ReLU(inplace=True)
        )
        self.stages = nn.ModuleList()
        before = STEM
        for blocks in STAGES:
            stage = nn.Sequential()
            for n, (width, inner) in enumerate(blocks):
                stage.append(Block(before, inner, width, stride=2 if n == 0 else 1))
                before = width
            self.stages.append(stage)
        side = FACE_SIZE // 2 ** len(STAGES)
        self.layout = nn.Conv2d(before, LAYOUT, 1)
        self.embed = nn.Linear(2 * before + LAYOUT * side * side, DIM)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.Linear(DIM, sum(HEADS.values()))

    def forward(self, faces: Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Embeds faces and reads them.

        Args:
            faces: (N, 1, 48, 48), grey, scaled to [-1, 1].

        Returns:
            Embedding (N, 256); the raw output of each head of `HEADS`, (N, D) by its name; and the
            texture (N, 144).
        """
        fine = self.stages[0](self.stem(faces))
        middle = self.stages[1](fine)
        x = self.stages[2](middle)
        texture = torch.cat([fine.mean(dim=(2, 3)), middle.mean(dim=(2, 3))], dim=1)
        where = functional.relu(self.layout(x)).flatten(1)
        pooled = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3)), where], dim=1)
        embedding = functional.relu(self.embed(pooled))
        raw = self.heads(self.dropout(embedding)).split(list(HEADS.values()), dim=1)
        return embedding, dict(zip(HEADS, raw, strict=True)), texture


def load_face_net(path: Path, remedy: str) -> FaceNet:
    """Reads safetensors weights (float16 or float32) into a network in evaluation mode.

    Raises:
        UserError: If they are absent, cannot be read or do not fit.
    """
    net = FaceNet()
    load_weights(net, path, remedy)
    return net.eval()
