"""A small vision transformer of random weights, to pre-train or to train.

Data flow: ViTMAEConfig > transformers' class, with the positions that it leaves at zero.

transformers up to 5.23 builds both ViTMAE classes without positions (the decoder's are set to zero,
the encoder's are skipped since the patch projection counts as ready), and such a model learns
nothing but the mean of all patches.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import ViTMAEConfig, ViTMAEForPreTraining


def new_mae(config: ViTMAEConfig) -> Any:
    """Encoder and decoder, of random weights."""
    net: Any = ViTMAEForPreTraining(config)
    _place(net.vit)
    decoder = net.decoder
    decoder.decoder_pos_embed.data = sine_positions(_grid(config), config.decoder_hidden_size)
    torch.nn.init.normal_(decoder.mask_token, std=config.initializer_range)
    return net


def sine_positions(grid: int, width: int) -> Tensor:
    """Sines and cosines of column and row (He et al. 2022, as ViT-MAE's checkpoints order them).

    Args:
        grid: Patches a side.
        width: D, a multiple of 4.

    Returns:
        (1, 1 + grid * grid, D): zeros for the class token, then row by row; of each, sine and
        cosine of the column, sine and cosine of the row, at D / 4 frequencies each.
    """
    quarter = width // 4
    frequencies = 10000.0 ** (-torch.arange(quarter) / quarter)
    rows, columns = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    parts = [
        wave(place.flatten()[:, None] * frequencies)
        for place in (columns, rows)
        for wave in (torch.sin, torch.cos)
    ]
    return torch.cat([torch.zeros(1, width), torch.cat(parts, dim=1)])[None]


def _place(vit: Any) -> None:
    config = vit.config
    vit.embeddings.position_embeddings.data = sine_positions(_grid(config), config.hidden_size)


def _grid(config: Any) -> int:
    return int(config.image_size // config.patch_size)
