"""ViTs of random weights: they know where their patches are, as published checkpoints do."""

from typing import Any

import numpy as np
import torch
from transformers import ViTMAEConfig

from experiments.pretraining.small_vit import new_mae, sine_positions
from features.encoders.visual.mae import encode_patches

SMALL: dict[str, Any] = {
    "image_size": 48,
    "patch_size": 8,
    "num_channels": 1,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "decoder_hidden_size": 8,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 16,
}


def test_positions_are_sines_and_cosines_of_column_then_row() -> None:
    positions = sine_positions(grid=3, width=8)
    assert positions.shape == (1, 10, 8)
    column, row = 2, 1
    expected = np.ravel([[np.sin([at, at / 100]), np.cos([at, at / 100])] for at in (column, row)])
    np.testing.assert_allclose(positions[0, 1 + row * 3 + column], expected, atol=1e-6)
    assert not positions[0, 0].any()


def test_the_encoder_tells_a_picture_from_one_of_shuffled_patches() -> None:
    torch.manual_seed(0)
    vit = new_mae(ViTMAEConfig(**SMALL, mask_ratio=0.0)).vit.eval()
    faces = torch.rand(1, 1, 48, 48)
    shuffled = faces.roll(8, dims=3)
    with torch.no_grad():
        means = [encode_patches(vit, each)[:, 1:].mean(dim=1) for each in (faces, shuffled)]
    assert (means[0] - means[1]).abs().max() > 1e-3


def test_the_decoder_says_different_things_of_different_hidden_patches() -> None:
    torch.manual_seed(0)
    net = new_mae(ViTMAEConfig(**SMALL, mask_ratio=0.75)).eval()
    with torch.no_grad():
        out = net(torch.rand(1, 1, 48, 48))
    hidden = out.logits[0][out.mask[0] == 1]
    assert hidden.std(dim=0).max() > 1e-3
    assert not net.decoder.decoder_pos_embed.requires_grad
