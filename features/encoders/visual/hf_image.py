"""`hf-image`: any image model of transformers.

Data flow: aligned RGB crop > the checkpoint's size and normalisation > the model > its pooled
output, or the mean over its tokens or positions > one vector a crop.

Letters: N crops, D feature dimensions, C channels.
"""

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from features.encoders.base import Description, Status, inference
from features.encoders.hf_checkpoint import Checkpoint
from features.encoders.visual.preprocessing import FaceInput, FaceNetwork, checkpoint_input
from features.errors import UserError

if TYPE_CHECKING:  # loaded when an encoder is built, not where it is only described
    from torch import Tensor

_OPTION = "--hf_image.model"


@dataclass(frozen=True)
class HfImageSettings:
    """Settings of the encoder for image models of transformers.

    Args:
        model: Name on the Hugging Face hub, or folder, of an image model, e.g. of a ViT, DINOv2,
            Swin, ConvNeXt or ResNet.
        stream: Name of the stream.
    """

    model: str = ""
    stream: str = "hf-image"


class HfImageEncoder(FaceNetwork):
    """A `VisualEncoder`."""

    name = "hf-image"
    settings_type = HfImageSettings

    def _open(self, settings: HfImageSettings) -> None:
        checkpoint = Checkpoint.find(settings.model, _OPTION)
        config = checkpoint.config()
        kind = _image_class(config, settings.model)
        self._input = checkpoint_input(checkpoint.folder, config, _OPTION)
        self._model: Any = checkpoint.load(kind, **_without_pooler(kind, checkpoint))
        self._model.to(self._device)

    @classmethod
    def describe(cls, settings: HfImageSettings, margin: float = 0.0) -> Description:
        """What it would be; the length of its vectors is found without weights.

        Raises:
            UserError: If no model is named, it is not there, or takes no pictures.
        """
        if not settings.model:
            raise UserError(f"hf-image: no model is named; give one by {_OPTION} NAME_OR_DIR")
        checkpoint = Checkpoint.find(settings.model, _OPTION)
        config = checkpoint.config()
        kind = _image_class(config, settings.model)
        seen = checkpoint_input(checkpoint.folder, config, _OPTION)
        options = _without_pooler(kind, checkpoint)
        card = f"see the card of {settings.model}"
        return Description(
            name=cls.name,
            input=seen.words,
            revision=checkpoint.revision,
            settings=seen.settings | {"margin": margin},
            streams={settings.stream: _dimension(kind, config, options, seen, settings.model)},
            licence=card,
            trained_on=card,
        )

    @classmethod
    def status(cls, settings: HfImageSettings) -> Status:
        """Whether the model is on this disk; loads nothing."""
        if not settings.model:
            return Status("needs weights", f"name an image model by {_OPTION} NAME_OR_DIR")
        return Checkpoint.status(settings.model, _OPTION)

    def _run(self, faces: "Tensor") -> "Tensor":
        return _pooled(self._model(faces))


@inference
def _dimension(kind: Any, config: Any, options: dict[str, Any], seen: FaceInput, model: str) -> int:
    """Length of the vectors, found by a picture through a model without values ("meta")."""
    import torch

    try:
        with torch.device("meta"):
            net = kind(config, **options).eval()
            return int(_pooled(net(torch.zeros(1, len(seen.mean), *seen.size))).shape[1])
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{model}: gives no features of a picture alone; give another by {_OPTION}"
        ) from error


def _image_class(config: Any, model: str) -> Any:
    """Class of the model; UserError unless pictures, and pictures only, are what it takes."""
    import transformers

    kind = transformers.MODEL_MAPPING.get(type(config), None)
    if config.model_type == "vit_mae":
        raise UserError(f"{model} is a masked autoencoder; run it by the encoder mae, --mae.model")
    only_pictures = tuple(getattr(kind, "input_modalities", ())) == ("image",)
    if not only_pictures or getattr(kind, "main_input_name", "") != "pixel_values":
        raise UserError(
            f"{model} is a '{config.model_type}' model, which does not take pictures alone;"
            f" give an image model by {_OPTION}"
        )
    return kind


def _without_pooler(kind: Any, checkpoint: Checkpoint) -> dict[str, Any]:
    """Leaves out a pooling layer that the files have no weights for: classifiers save none."""
    from features.encoders.weights_io import weight_names

    if "add_pooling_layer" not in inspect.signature(kind.__init__).parameters:
        return {}
    remedy = f"give a transformers checkpoint by {_OPTION} DIR"
    names = (name for path in checkpoint.weights for name in weight_names(path, remedy))
    pooled = any("pooler" in name.split(".") for name in names)
    return {} if pooled else {"add_pooling_layer": False}


def _pooled(output: Any) -> "Tensor":
    """One vector a picture, (N, D): pooled by the model, or the mean over tokens or positions."""
    pooled = getattr(output, "pooler_output", None)
    if pooled is not None:
        return pooled.flatten(1)
    hidden: Tensor = output.last_hidden_state
    return hidden.mean(dim=1) if hidden.ndim == 3 else hidden.flatten(2).mean(dim=2)
