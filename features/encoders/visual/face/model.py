"""FaceNet with what was fitted to its outputs afterwards: all streams of the `face` encoder.

Data flow: face > FaceNet > embedding, heads, texture > expressions (two heads, one prior), units
(logistic), validity (how far the blendshapes can be trusted).

`experiments/pretraining/face/fit_face.py` fits it.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from features.encoders.visual.face.encoder import BLENDSHAPES, DIM, EXPRESSIONS, UNITS
from features.encoders.visual.face.net import TEXTURE, Block, FaceNet
from features.encoders.weights_io import load_weights

HIDDEN = 32
"""Width of the validity's hidden layer."""


class Expressions(nn.Module):
    """Probabilities of eight expressions from the heads of FER2013's labels and of FER+'s votes.

    softmax(a log p_label + b log p_votes + bias): a product of experts whose bias replaces the
    training pictures' prior. FER2013 has no contempt; there its head takes the votes' word.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.full((2,), 0.5))
        self.bias = nn.Parameter(torch.zeros(len(EXPRESSIONS)))

    def forward(self, heads: dict[str, Tensor]) -> Tensor:
        """Logits (N, 8) from raw heads, (N, D) by name."""
        votes = heads["votes"].log_softmax(1)
        label = torch.cat([heads["fer"].log_softmax(1), votes[:, -1:]], dim=1)
        return self.mix[0] * label + self.mix[1] * votes + self.bias


class FaceModel(nn.Module):
    """All that the encoder tells of a face."""

    def __init__(self) -> None:
        super().__init__()
        self.net = FaceNet()
        self.expressions = Expressions()
        self.units = nn.Linear(DIM + len(BLENDSHAPES), len(UNITS))
        self.validity = nn.Sequential(
            nn.Linear(DIM + TEXTURE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1)
        )

    def forward(self, faces: Tensor) -> dict[str, Tensor]:
        """Streams of faces (N, 1, 48, 48) in [-1, 1], (N, D) by the end of their name."""
        embedding, heads, texture = self.net(faces)
        shapes = heads["blendshapes"]
        return {
            "": embedding,
            ".expression": self.expressions(heads).softmax(1),
            ".votes": heads["votes"].softmax(1),
            ".blendshapes": shapes.clamp(0, 1),
            ".units": self.units(torch.cat([embedding, shapes], 1)).sigmoid(),
            ".smile": heads["smile"].sigmoid(),
            ".pose": heads["pose"],
            ".validity": self.validity(torch.cat([embedding, texture], 1)).sigmoid(),
        }


def load_face_model(path: Path, remedy: str) -> FaceModel:
    """Reads safetensors weights into a model in evaluation mode, its norms folded.

    Raises:
        UserError: If they are absent, cannot be read or do not fit.
    """
    model = FaceModel()
    load_weights(model, path, remedy)
    model.eval()
    fold_norms(model.net)
    return model.requires_grad_(False)


def fold_norms(net: FaceNet) -> None:
    """Puts each batch norm into the convolution before it: the same values, an eighth faster."""
    net.stem = nn.Sequential(_folded(net.stem[0], net.stem[1]), net.stem[2])
    for block in net.modules():
        if isinstance(block, Block):
            block.conv1, block.norm1 = _folded(block.conv1, block.norm1), nn.Identity()
            block.conv2, block.norm2 = _folded(block.conv2, block.norm2), nn.Identity()
            if isinstance(block.shortcut, nn.Sequential):
                block.shortcut = _folded(*block.shortcut)


def _folded(conv: nn.Module, norm: nn.Module) -> nn.Conv2d:
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(conv, norm)
