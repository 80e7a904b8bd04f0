"""`mae`: a vision transformer, such as a masked autoencoder's encoder (He et al. 2022).

Data flow: aligned RGB crop > the checkpoint's size and normalisation > all patches, none masked >
ViT > class token, or mean over the patch tokens > one vector a crop.

Letters: N crops, P patches, D feature dimensions.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from features.encoders.base import Description, Status
from features.encoders.hf_checkpoint import Checkpoint
from features.encoders.visual.preprocessing import FaceNetwork, checkpoint_input
from features.errors import UserError

if TYPE_CHECKING:  # loaded when an encoder is built, not where it is only described
    from torch import Tensor

_OPTION = "--mae.model"
_DEFAULT = "facebook/vit-mae-base"


@dataclass(frozen=True)
class MaeSettings:
    """Settings of the masked autoencoder's encoder.

    Args:
        model: Name on the Hugging Face hub, or folder, of a ViTMAE or ViT checkpoint.
        pool: What a picture's feature is: `mean` over the patch tokens, or `cls`, the class token.
        stream: Name of the stream.
    """

    model: str = _DEFAULT
    pool: Literal["cls", "mean"] = "mean"
    stream: str = "mae"


class MaeEncoder(FaceNetwork):
    """A `VisualEncoder`; its features are those after the final layer norm."""

    name = "mae"
    settings_type = MaeSettings

    def _open(self, settings: MaeSettings) -> None:
        checkpoint = Checkpoint.find(settings.model, _OPTION)
        config = checkpoint.config()
        self._input = checkpoint_input(checkpoint.folder, config, _OPTION)
        self._model: Any = _load(checkpoint, config.model_type).to(self._device)
        self._pool = settings.pool

    @classmethod
    def describe(cls, settings: MaeSettings, margin: float = 0.0) -> Description:
        """What it would be; UserError if its checkpoint is absent, or neither ViT nor ViTMAE."""
        checkpoint = Checkpoint.find(settings.model, _OPTION)
        config = checkpoint.config("model_type", "hidden_size", "num_channels", "image_size")
        _check_kind(checkpoint, config.model_type)
        seen = checkpoint_input(checkpoint.folder, config, _OPTION)
        card = f"see the card of {settings.model}"
        official = settings.model.startswith("facebook/vit-mae-")
        return Description(
            name=cls.name,
            input=seen.words,
            revision=checkpoint.revision,
            settings={"pool": settings.pool, "margin": margin, **seen.settings},
            streams={settings.stream: int(config.hidden_size)},
            licence="Apache-2.0" if official else card,
            trained_on="ImageNet-1k, without labels" if official else card,
        )

    @classmethod
    def status(cls, settings: MaeSettings) -> Status:
        """Whether the checkpoint is on this disk; loads nothing."""
        return Checkpoint.status(settings.model, _OPTION)

    def _run(self, faces: "Tensor") -> "Tensor":
        tokens = encode_patches(self._model, faces)
        return tokens[:, 0] if self._pool == "cls" else tokens[:, 1:].mean(dim=1)


def encode_patches(model: Any, faces: "Tensor") -> "Tensor":
    """Class token and patch tokens in their order, (N, 1 + P, D), of a ViT or ViTMAE model.

    A ViTMAEModel shuffles the patches by random noise and keeps the first of them: its
    `config.mask_ratio` must be 0, and rising noise leaves them where they are.
    """
    import torch

    if model.config.model_type != "vit_mae":
        tokens: Tensor = model(faces).last_hidden_state
        return tokens
    patches = model.embeddings.patch_embeddings.num_patches
    rising = torch.arange(patches, device=faces.device, dtype=torch.float32)
    tokens = model(faces, noise=rising.expand(len(faces), -1)).last_hidden_state
    return tokens


def _load(checkpoint: Checkpoint, kind: str) -> Any:
    """The encoder alone: without a decoder, a classifier or a pooling layer."""
    import transformers

    if kind == "vit_mae":
        return checkpoint.load(transformers.ViTMAEModel, mask_ratio=0.0)
    return checkpoint.load(transformers.ViTModel, add_pooling_layer=False)


def _check_kind(checkpoint: Checkpoint, kind: str) -> None:
    """Raises UserError for a model that is neither ViT nor ViTMAE."""
    if kind in ("vit_mae", "vit"):
        return
    raise UserError(
        f"{checkpoint.model} is a '{kind}' model, not ViT or ViTMAE; give one by {_OPTION},"
        " or run it by the encoder hf-image"
    )
