"""Pre-training of the small ViT: that it learns, goes on after a kill, and is read by `mae`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import ViTMAEConfig, ViTMAEModel

from experiments.pretraining import pretrain_mae
from experiments.pretraining.pretrain_mae import (
    SIZES,
    PretrainMae,
    pretrain,
    random_crops,
    read_faces,
)
from features.encoders.visual.expression import FRAMING
from features.encoders.visual.expression_net import scale_grey
from features.encoders.visual.mae import MaeEncoder, MaeSettings, encode_patches
from tests.shared import shared_data

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "decoder_hidden_size": 8,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 16,
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrain_mae, "SIZES", SIZES | TINY)


def faces(count: int) -> torch.Tensor:
    """Two kinds of picture, which differ as a whole: bright above, or bright below."""
    noise = np.random.default_rng(0).integers(0, 60, (count, 1, 48, 48)).astype(np.uint8)
    noise[::2, :, :24] += 150
    noise[1::2, :, 24:] += 150
    return torch.from_numpy(noise)


def arguments(out: Path, **values: Any) -> PretrainMae:
    quick: dict[str, Any] = {"epochs": 2, "steps": 2, "batch": 8}
    return PretrainMae(out, out, bfloat16=False, **(quick | values))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return ViTMAEModel.from_pretrained(folder, dtype=torch.float32).state_dict()


def test_the_folder_is_read_by_the_encoder_which_sees_what_the_training_saw(
    tmp_path: Path,
) -> None:
    pretrain(faces(20), arguments(tmp_path))
    encoder = MaeEncoder(MaeSettings(model=str(tmp_path)))
    assert (encoder.input, encoder.streams) == ("face 48x48 grey", {"mae": 16})
    assert encoder.settings["framing"] == list(FRAMING)
    vit = ViTMAEModel.from_pretrained(tmp_path, dtype=torch.float32, mask_ratio=0.0).eval()
    seen = np.full((1, 48, 48), 200, np.uint8)
    with torch.no_grad():
        expected = encode_patches(vit, scale_grey(torch.from_numpy(seen)[None]))[:, 1:].mean(dim=1)
    crop = np.full((1, 112, 112, 3), 200, np.uint8)
    np.testing.assert_allclose(encoder.encode_faces(crop)["mae"], expected, atol=1e-4)
    assert not (tmp_path / "partial").exists()


def test_a_killed_run_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrain(faces(20), arguments(tmp_path / "whole"))
    epoch = pretrain_mae._epoch
    with monkeypatch.context() as patch:

        def killed(net: Any, optimizer: Any, pictures: Any, number: int, args: Any) -> float:
            if number == 1:
                raise KeyboardInterrupt
            return epoch(net, optimizer, pictures, number, args)

        patch.setattr(pretrain_mae, "_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            pretrain(faces(20), arguments(tmp_path / "killed"))
    pretrain(faces(20), arguments(tmp_path / "killed"))
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    for name, weight in whole.items():
        torch.testing.assert_close(resumed[name], weight, rtol=0, atol=0)


def test_the_loss_falls(tmp_path: Path) -> None:
    args = arguments(tmp_path, epochs=40, steps=None)
    args.lr = 1e-2
    torch.manual_seed(0)
    net = pretrain_mae.ViTMAEForPreTraining(ViTMAEConfig(**pretrain_mae.SIZES))
    optimizer = torch.optim.AdamW(net.parameters(), lr=args.lr)
    ramps = torch.linspace(0, 255, 48).expand(16, 1, 48, 48).to(torch.uint8)
    losses = [pretrain_mae._epoch(net, optimizer, ramps, epoch, args) for epoch in range(40)]
    assert losses[-1] < 0.5 * losses[0]


def test_crops_stay_inside_the_picture_and_are_mirrored_half_the_time() -> None:
    ramp = torch.linspace(-1, 1, 48).expand(400, 1, 48, 48)
    cropped = random_crops(ramp, torch.Generator().manual_seed(0))
    slope = (cropped[:, 0, 24, -1] - cropped[:, 0, 24, 0]) / 2
    assert ((slope.abs() > 0.55) & (slope.abs() <= 1)).all()
    assert 0.4 < (slope < 0).float().mean() < 0.6


def test_the_pictures_are_fer2013s_training_part_and_three_other_sets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = shared_data()
    monkeypatch.setattr(pretrain_mae, "read_train", lambda _: (faces(5), torch.zeros(5)))
    pictures = read_faces(folder)
    assert pictures.dtype == torch.uint8
    assert pictures.shape == (5 + 3469 + 400 + 164, 1, 48, 48)
