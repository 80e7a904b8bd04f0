"""`facenet`: who somebody is, by facenet-pytorch's Inception ResNet (V1).

Data flow: aligned RGB crop > 160x160 > (bytes - 127.5) / 128 > InceptionResnetV1 > 512 values of
unit length (Schroff et al. 2015).

The weights are those that facenet-pytorch downloads; this encoder downloads nothing.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from features.encoders.base import READY, Description, Status
from features.encoders.visual.preprocessing import FaceInput, FaceNetwork
from features.errors import UserError
from features.store.fingerprint import weights_hash

if TYPE_CHECKING:  # loaded when an encoder is built, not where it is only described
    from torch import Tensor, nn

DIM = 512
"""Length of the identity embedding."""
FILE = "20180402-114759-vggface2.pt"
"""Name of facenet-pytorch's file of weights from VGGFace2."""
_CASIA = "20180408-102900-casia-webface.pt"
_FACES = FaceInput((160, 160), mean=(127.5,) * 3, std=(128.0,) * 3, scale=1.0)
_REMEDY = "give another file by --facenet.weights FILE"
_NO_PACKAGE = "facenet needs facenet-pytorch: pip install facenet-pytorch"


@dataclass(frozen=True)
class FacenetSettings:
    """Settings of the identity encoder.

    Args:
        weights: File of InceptionResnetV1's weights. Empty: `20180402-114759-vggface2.pt` in
            torch's cache folder, where facenet-pytorch puts it.
        stream: Name of the stream.
    """

    weights: str = ""
    stream: str = "facenet"


class FacenetEncoder(FaceNetwork):
    """A `VisualEncoder`."""

    name = "facenet"
    settings_type = FacenetSettings
    _input = _FACES

    def _open(self, settings: FacenetSettings) -> None:
        self._net = load_facenet(_weights(settings)).to(self._device)

    @classmethod
    def describe(cls, settings: FacenetSettings, margin: float = 0.0) -> Description:
        """What it would be; UserError if the weights are absent."""
        path = _weights(settings)
        known = {FILE: "VGGFace2", _CASIA: "CASIA-WebFace"}.get(path.name)
        origin = f"see the origin of {path.name}"
        return Description(
            name=cls.name,
            input=_FACES.words,
            revision=weights_hash(path),
            settings=_FACES.settings | {"margin": margin},
            streams={settings.stream: DIM},
            licence=f"MIT for the code; {known}'s pictures: research use" if known else origin,
            trained_on=known or origin,
        )

    @classmethod
    def status(cls, settings: FacenetSettings) -> Status:
        """Whether the package and the weights are on this disk; loads neither."""
        if importlib.util.find_spec("facenet_pytorch") is None:
            return Status("needs extra", _NO_PACKAGE)
        if weights_path(settings) is None:
            return Status("needs weights", _absent(settings))
        return READY

    def _run(self, faces: "Tensor") -> "Tensor":
        embedding: Tensor = self._net(faces)
        return embedding


def weights_path(settings: FacenetSettings) -> Path | None:
    """The file that is named, or the one that facenet-pytorch has downloaded; None if absent."""
    import torch

    if settings.weights:
        paths = [Path(settings.weights).expanduser()]
    else:
        hub = Path(torch.hub.get_dir())
        # facenet-pytorch 2.5 writes beside torch's hub folder, not into it.
        paths = [hub / "checkpoints" / FILE, hub.parent / "checkpoints" / FILE]
    return next((path for path in paths if path.is_file()), None)


def _weights(settings: FacenetSettings) -> Path:
    """The file of weights; UserError if there is none."""
    path = weights_path(settings)
    if path is None:
        raise UserError(f"facenet: {_absent(settings)}")
    return path


def load_facenet(path: Path) -> "nn.Module":
    """InceptionResnetV1 with the weights of a file, frozen, in evaluation mode.

    The classifier over identities (`logits`), which facenet-pytorch's files hold too, is dropped.

    Raises:
        UserError: If the package is absent, or the file cannot be read or does not fit.
    """
    from torch import nn

    from features.encoders.weights_io import load_weights, read_weights

    try:
        from facenet_pytorch import InceptionResnetV1
    except ImportError as error:
        raise UserError(_NO_PACKAGE) from error
    net: nn.Module = InceptionResnetV1()
    classifier = read_weights(path, _REMEDY).get("logits.weight")
    if classifier is not None:
        net.logits = nn.Linear(DIM, len(classifier))
    load_weights(net, path, _REMEDY)
    if classifier is not None:
        del net.logits
    return net.eval().requires_grad_(False)


def _absent(settings: FacenetSettings) -> str:
    if settings.weights:
        return f"no such file: {settings.weights}; {_REMEDY}"
    import torch

    folder = Path(torch.hub.get_dir()) / "checkpoints"
    return f"no {FILE} in {folder}; download it from facenet-pytorch or {_REMEDY}"
