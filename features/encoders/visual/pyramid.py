"""`pyramid`: levels of a convolutional network's feature hierarchy, one stream each.

Data flow: aligned RGB crops > the network's input > maps of its stages, fine to coarse > mean over
positions > `pyramid.1` (N, D1), `pyramid.2` (N, D2), `pyramid.3` (N, D3), ...

What feature pyramids are built on (Lin et al. 2017; FPN-MAA, He et al. 2021): the fusion model adds
the top-down path. A stage is all that lies at one resolution; those finer than a quarter of the
picture's side, the stem, are left out.
"""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.encoders.base import (
    READY,
    Description,
    Status,
    inference,
    weights_hash,
)
from features.encoders.visual.expression import (
    WEIGHTS,
    WIDTHS,
    ExpressionEncoder,
    framing,
    grey_faces,
)
from features.encoders.visual.preprocessing import FaceInput, FaceNetwork
from features.errors import UserError

if TYPE_CHECKING:  # loaded when an encoder is built, not where it is only described
    from torch import Tensor, nn

PACKAGED = "expression"
_FACES = FaceInput((224, 224))
_COARSEST = _FACES.size[0] // 4
_LEAST_LEVELS = 3
_REMEDY = "give the backbone's own weights by --pyramid.weights FILE"
_NO_TIMM = "pyramid needs timm: pip install 'affuse[timm]'"


@dataclass(frozen=True)
class PyramidSettings:
    """Settings of the pyramid encoder.

    Args:
        backbone: `expression` (packaged), the name of a convolutional torchvision model, e.g.
            `resnet50`, or `timm/NAME`.
        weights: File of the backbone's weights; none for `expression`. Nothing is downloaded.
        stream: Start of the streams' names: NAME.1 is the finest level.
    """

    backbone: str = PACKAGED
    weights: str = ""
    stream: str = "pyramid"


class PyramidEncoder(FaceNetwork):
    """A `VisualEncoder`."""

    name = "pyramid"
    settings_type = PyramidSettings
    _input = _FACES

    def _open(self, settings: PyramidSettings) -> None:
        self._backbone = settings.backbone
        self._packaged = self._backbone == PACKAGED
        self._net = self._load(_weights(settings))

    @classmethod
    def describe(cls, settings: PyramidSettings, margin: float = 0.0) -> Description:
        """What it would be; the levels of a backbone are found without weights.

        Raises:
            UserError: If there is no such backbone, it has no three levels, or lacks weights.
        """
        if (status := cls.status(settings)) != READY:
            raise UserError(f"pyramid: {status.remedy}")
        weights, packaged = _weights(settings), settings.backbone == PACKAGED
        dims = WIDTHS if packaged else _dims(settings.backbone)
        unknown = f"see the origin of {weights.name}"
        seen = {"framing": framing(margin)} if packaged else {"margin": margin}
        return Description(
            name=cls.name,
            input=ExpressionEncoder.input if packaged else _FACES.words,
            revision=weights_hash(weights),
            settings={"backbone": settings.backbone, **seen},
            streams={f"{settings.stream}.{n}": dim for n, dim in enumerate(dims, 1)},
            licence=ExpressionEncoder.licence if packaged else unknown,
            trained_on=ExpressionEncoder.trained_on if packaged else unknown,
        )

    @classmethod
    def status(cls, settings: PyramidSettings) -> Status:
        """Whether the backbone's package and weights are on this disk; loads neither."""
        if settings.backbone == PACKAGED:
            return READY if WEIGHTS.is_file() else Status("needs weights", "install affuse anew")
        if settings.backbone.startswith("timm/") and importlib.util.find_spec("timm") is None:
            return Status("needs extra", _NO_TIMM)
        if not settings.weights or not Path(settings.weights).expanduser().is_file():
            lack = f"no such file: {settings.weights}; " if settings.weights else ""
            return Status("needs weights", f"{lack}{_REMEDY}")
        return READY

    def _batch(self, crops: np.ndarray) -> "Tensor":
        return grey_faces(crops, self._margin) if self._packaged else super()._batch(crops)

    def _run(self, faces: "Tensor") -> "Tensor":
        import torch

        if self._packaged:
            return torch.cat(list(self._net.levels(faces)), dim=1)
        return torch.cat(pooled_stages(self._net(faces), self._backbone), dim=1)

    def _load(self, weights: Path) -> Any:
        """The network, in evaluation mode, of fixed weights."""
        if self._packaged:
            from features.encoders.visual.expression_net import load_expression_net

            return load_expression_net(weights).to(self._device)
        net = _maps(self._backbone)
        fill(net, weights)
        return net.to(self._device).eval().requires_grad_(False)


def _weights(settings: PyramidSettings) -> Path:
    return WEIGHTS if settings.backbone == PACKAGED else Path(settings.weights).expanduser()


@inference
def _dims(backbone: str) -> list[int]:
    """Channels of each level of a backbone, as yet without its weights."""
    import torch

    maps = _maps(backbone).eval()(torch.zeros(1, 3, *_FACES.size))
    return [level.shape[1] for level in pooled_stages(maps, backbone)]


def pooled_stages(maps: "dict[str, Tensor] | list[Tensor]", backbone: str) -> "list[Tensor]":
    """Mean over positions of maps (N, C, h, w) or (N, h, w, C), without those of the stem.

    Faces are square, so the two equal sides are the positions (timm's Swin has channels last).

    Raises:
        UserError: If fewer than three are left.
    """
    found = list(maps.values()) if isinstance(maps, dict) else list(maps)
    found = [m if m.shape[2] == m.shape[3] else m.permute(0, 3, 1, 2) for m in found]
    pooled = [m.mean(dim=(2, 3)) for m in found if m.shape[2] <= _COARSEST]
    if len(pooled) < _LEAST_LEVELS:
        raise _no_levels(backbone)
    return pooled


def fill(net: "nn.Module", path: Path) -> None:
    """Puts weights of a file into a network that is a part of the one they were made for.

    What the file has beyond, such as a classifier, is ignored. timm's feature nets write `_` for
    the first dot in the names of some weights, and old files lack the counts of batch norms.

    Raises:
        UserError: If the file cannot be read, or lacks a weight or has it in another size.
    """
    from features.encoders.weights_io import read_weights

    given = {name.replace(".", "_"): weight for name, weight in read_weights(path, _REMEDY).items()}
    wanted = net.state_dict()
    for name, weight in wanted.items():
        if name.endswith("num_batches_tracked"):
            continue
        if (found := given.get(name.replace(".", "_"))) is None:
            raise UserError(f"{path}: lacks weight '{name}'; {_REMEDY}")
        if found.shape != weight.shape:
            have, want = tuple(found.shape), tuple(weight.shape)
            raise UserError(f"{path}: weight '{name}' is {have}, not {want}; {_REMEDY}")
        wanted[name] = found
    net.load_state_dict(wanted)


def _maps(backbone: str) -> "nn.Module":
    """The part of a model that makes the last map of each resolution, without its weights."""
    return _timm_maps(backbone) if backbone.startswith("timm/") else _torchvision_maps(backbone)


def _torchvision_maps(backbone: str) -> "nn.Module":
    """The part of a torchvision model that makes the last map of each resolution."""
    from torchvision.models import get_model, list_models
    from torchvision.models.feature_extraction import create_feature_extractor

    if backbone not in list_models():
        raise UserError(f"no torchvision model '{backbone}'; give another by --pyramid.backbone")
    net = get_model(backbone, weights=None).eval()
    nodes = stage_names(net)
    if len(nodes) < _LEAST_LEVELS:
        raise _no_levels(backbone)
    extractor: nn.Module = create_feature_extractor(net, nodes)
    return extractor


@inference
def stage_names(net: "nn.Module") -> list[str]:
    """Names of the modules that end each resolution between a quarter of the side and one pixel.

    They are sought among the parts that at most halve the side, so that the inside of a residual
    block is none.
    """
    import torch
    from torch import Tensor

    sides: dict[str, tuple[int, int]] = {}

    def note(name: str) -> "Callable[[nn.Module, tuple[Any, ...], Any], None]":
        def hook(_: "nn.Module", given: tuple[Any, ...], made: Any) -> None:
            tensors = [*given[:1], made]
            # Maps in other orders, such as (N, h, w, C), have no such square.
            if all(isinstance(t, Tensor) and t.ndim == 4 and _square(t) for t in tensors):
                sides[name] = given[0].shape[2], made.shape[2]

        return hook

    hooks = [part.register_forward_hook(note(name)) for name, part in net.named_modules()]
    net(torch.zeros(1, 3, *_FACES.size))
    for hook in hooks:
        hook.remove()
    last = {sides[name][1]: name for name in _parts(net, "", sides)}
    return [name for side, name in last.items() if 1 < side <= _COARSEST]


def _square(maps: "Tensor") -> bool:
    return maps.shape[2] == maps.shape[3]


def _parts(net: "nn.Module", prefix: str, sides: dict[str, tuple[int, int]]) -> list[str]:
    """Names of children in order, those that shrink the picture more than by half taken apart."""
    names = []
    for child_name, child in net.named_children():
        name = prefix + child_name
        if name not in sides:
            continue
        before, after = sides[name]
        inner = _parts(child, f"{name}.", sides) if before > 2 * after + 2 else []
        names += inner or [name]
    return names


def _timm_maps(backbone: str) -> "nn.Module":
    """A timm model that gives its maps; raises UserError if it has none."""
    timm = importlib.import_module("timm")
    name = backbone.removeprefix("timm/")
    if not timm.is_model(name):
        raise UserError(f"no timm model '{name}'; give another by --pyramid.backbone")
    try:
        net: nn.Module = timm.create_model(name, pretrained=False, features_only=True)
    except (RuntimeError, AttributeError) as error:  # a model that timm gives no levels of
        raise _no_levels(backbone) from error
    reductions: Any = net.feature_info
    if len(set(reductions.reduction())) < _LEAST_LEVELS:
        raise _no_levels(backbone)
    return net


def _no_levels(backbone: str) -> UserError:
    return UserError(
        f"{backbone} has no {_LEAST_LEVELS} levels of maps;"
        " give a convolutional network by --pyramid.backbone, e.g. resnet50"
    )
