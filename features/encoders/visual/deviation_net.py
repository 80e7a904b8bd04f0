"""PASN's DLN: an expression as the deviation of a face from its identity.

Data flow: face > frozen identity network, and a trainable copy of it > copy - identity = deviation
(N, D) > its powers x, x^2, x^3 > linear > unit vector (N, 16) in which like expressions are near.

Zhang et al. 2021, "Prior Aided Streaming Network for Multi-task Affective Recognition"; downstream
tasks use the deviation itself. `experiments/pretraining/train_deviation.py` trains it.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from features.encoders.base import weights_hash
from features.encoders.visual.deviation import BACKBONES, METRIC_DIM, REMEDY, weights_about
from features.encoders.visual.expression import WEIGHTS as EXPRESSION_WEIGHTS
from features.encoders.visual.expression import grey_faces
from features.encoders.visual.expression_net import load_expression_net
from features.encoders.visual.facenet import load_facenet
from features.encoders.visual.preprocessing import FaceInput
from features.encoders.weights_io import load_weights, read_weights
from features.errors import UserError

POWERS = 3
_TINY = 1e-4
"""Shorter vectors are not stretched to unit length: an untrained network's zero stays zero."""


@dataclass(frozen=True)
class Backbone:
    """An identity network and what it sees.

    Attributes:
        name: `expression` or `facenet`.
        net: (N, C, h, w) to (N, D), frozen, in evaluation mode.
        dim: D.
        revision: Hash of its weights.
        view: How pictures that show a face as the network knows it become its input.
        crops: From aligned crops (N, H, W, 3) uint8 and their margin to its input.
    """

    name: str
    net: nn.Module
    dim: int
    revision: str
    view: FaceInput
    crops: Callable[[np.ndarray, float], Tensor]


class DeviationNet(nn.Module):
    """Pseudo-siamese network; see the module's docstring.

    Args:
        identity: Network (N, C, h, w) to (N, D); it is frozen, its batch norms and dropout too.
        dim: D.
    """

    def __init__(self, identity: nn.Module, dim: int) -> None:
        super().__init__()
        self.copy = copy.deepcopy(identity).requires_grad_(True)
        self.identity = identity.requires_grad_(False).eval()
        # Without bias, so that no deviation is the zero vector.
        self.project = nn.Linear(dim * POWERS, METRIC_DIM, bias=False)

    def train(self, mode: bool = True) -> "DeviationNet":
        """Switches the copy; the identity network stays in evaluation mode."""
        super().train(mode)
        self.identity.eval()
        return self

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Deviates and projects.

        In training, the copy's batch norms see the batch: that is what moves a network whose two
        branches are still equal, for at zero the triplet loss is flat.

        Args:
            faces: (N, C, h, w), as the identity network wants them.

        Returns:
            Deviation (N, D) and metric vector (N, 16) of unit norm; before training, zeros.
        """
        with torch.no_grad():
            identity = self.identity(faces)
        deviation = self.copy(faces) - identity
        powers = torch.cat([deviation**power for power in range(1, POWERS + 1)], dim=1)
        return deviation, functional.normalize(self.project(powers), dim=1, eps=_TINY)

    def trained(self) -> nn.ModuleDict:
        """The parts that training changes, which a checkpoint holds."""
        return nn.ModuleDict({"copy": self.copy, "project": self.project})


def expression_backbone() -> Backbone:
    """The packaged expression network up to its embedding (N, 256), for grey faces."""
    net = load_expression_net(EXPRESSION_WEIGHTS)
    parts = OrderedDict(stem=net.stem, stages=nn.Sequential(*net.stages), pool=_Pool())
    parts["embed"] = net.embed
    return Backbone(
        name="expression",
        net=nn.Sequential(parts).eval().requires_grad_(False),
        dim=net.classify.in_features,
        revision=weights_hash(EXPRESSION_WEIGHTS),
        view=BACKBONES["expression"].view,
        crops=grey_faces,
    )


def facenet_backbone(weights: Path) -> Backbone:
    """facenet-pytorch's InceptionResnetV1 up to the 512 values before they get unit norm.

    Those are of order one, so that their powers count; of unit vectors they would vanish.

    Raises:
        UserError: If the weights are absent or wrong.
    """
    net = load_facenet(weights)
    net.logits, net.classify = nn.Identity(), True  # type: ignore[assignment]
    known = BACKBONES["facenet"]
    return Backbone("facenet", net, known.dim, weights_hash(weights), known.view, known.view.batch)


def load_backbone(name: str, weights: str) -> Backbone:
    """Backbone by name; `weights` is needed for `facenet` only.

    Raises:
        UserError: For an unknown name, or weights that are absent or wrong.
    """
    if name == "expression":
        return expression_backbone()
    if name != "facenet":
        raise UserError(f"unknown backbone '{name}' of deviation; known are expression, facenet")
    if not weights:
        raise UserError("the backbone facenet needs a file of InceptionResnetV1's weights")
    return facenet_backbone(Path(weights).expanduser())


def save_deviation(path: Path, net: DeviationNet, backbone: Backbone, data: str) -> None:
    """Writes the trained parts as float16 safetensors, by rename.

    Args:
        path: Where to.
        net: The network.
        backbone: The one that it was made of; name and revision go into the file's metadata.
        data: What it was trained on, in words.
    """
    weights = {
        name: (w.half() if w.is_floating_point() else w).cpu().contiguous()
        for name, w in net.trained().state_dict().items()
    }
    about = {"backbone": backbone.name, "revision": backbone.revision, "trained_on": data}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    save_file(weights, partial, metadata=about)
    partial.replace(path)


def load_deviation(path: Path, backbone: Backbone) -> DeviationNet:
    """The network in evaluation mode.

    Raises:
        UserError: If the file is absent, damaged, or was trained with another backbone or other
            weights of it.
    """
    read_weights(path, REMEDY)
    about = weights_about(path)
    found = f"{about.get('backbone')} {about.get('revision')}"
    if found != (here := f"{backbone.name} {backbone.revision}"):
        raise UserError(f"{path}: is of backbone {found}, not {here}; {REMEDY}")
    net = DeviationNet(backbone.net, backbone.dim)
    load_weights(net.trained(), path, REMEDY)
    return net.eval().requires_grad_(False)


class _Pool(nn.Module):
    """Mean over positions."""

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, h, w) to (N, C)."""
        return maps.mean(dim=(2, 3))
