"""Pre-trains a small vision transformer on faces without labels.

Data flow: face pictures, grey, 48x48 > random crop and flip > 75 % of the patches hidden > ViTMAE >
squared error of the hidden patches, each normalised (He et al. 2022) > folder in transformers'
layout, which the encoder `mae` reads.

    python -m experiments.pretraining.pretrain_mae --data SHARED_DATA --out DIR

It takes about an hour on one core; killed, it goes on from the last finished epoch. What it is
worth stands in experiments/results/mae.md.

Pictures: FER2013's training part (no test picture nor a copy of one), LFW with expressions, ORL,
Yale; an identity probe on the last three is thus one on pictures that the network has seen. CK+48
is left out: it is kept to test on.
"""

import io
import itertools
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from transformers import ViTMAEConfig, ViTMAEForPreTraining

from experiments.pretraining.fer2013 import read_train
from experiments.pretraining.small_vit import new_mae
from experiments.pretraining.training_state import TrainingState
from features.cli.app import OK, run
from features.cli.progress import ProgressReport
from features.encoders.visual.expression import FRAMING
from features.encoders.visual.expression_net import FACE_SIZE, scale_grey
from features.store.hashing import settings_hash

SIZES: dict[str, Any] = {
    "image_size": FACE_SIZE,
    "patch_size": 8,
    "num_channels": 1,
    "hidden_size": 192,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "intermediate_size": 768,
    "decoder_hidden_size": 96,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 3,
    "decoder_intermediate_size": 384,
    "mask_ratio": 0.75,
    "norm_pix_loss": True,
}
"""1.8 million parameters in the encoder, 36 patches of which it sees 9."""

PREPROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": FACE_SIZE, "width": FACE_SIZE},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5],
    "image_std": [0.5],
    "face_framing": list(FRAMING),
}
"""As transformers writes it; `face_framing` is ours: what FER2013 shows of a close crop."""

CARD = """# A small masked autoencoder of faces

ViTMAE of transformers: 48x48 grey, patches of 8, 4 layers of 192; load it by `--mae.model` of
affuse, or by `ViTMAEModel.from_pretrained`. Made by `python -m
experiments.pretraining.pretrain_mae`:
{epochs} epochs over {pictures} pictures without labels, 75 % masked; final loss {loss:.4f}.

- Data: FER2013's training part (without copies of test pictures), LFW with expressions, ORL, Yale.
- Licence: Apache-2.0 for the weights; the pictures are for research.
- Use: features of aligned faces. Limits: small, low resolution, grey; no judge of identity.
"""


@dataclass
class PretrainMae:
    """Settings of the pre-training.

    Args:
        data: Folder with `fer2013` and `faces` in it.
        out: Folder of the checkpoint.
        epochs: Passes over the pictures.
        steps: Batches an epoch, to try it out. None: all.
        batch: Pictures of a step.
        lr: Highest learning rate.
        seed: Of weights, order, crops and masks.
        bfloat16: Whether to multiply in bfloat16.
    """

    data: Path
    out: Path
    epochs: int = 40
    steps: int | None = None
    batch: int = 128
    lr: float = 1e-3
    seed: int = 1
    bfloat16: bool = True

    def key(self) -> str:
        """What a resumed run must share."""
        return settings_hash({k: str(v) for k, v in asdict(self).items() if k != "out"})


def read_faces(data: Path) -> Tensor:
    """All pictures to learn from, (N, 1, 48, 48) uint8, without labels."""
    fer, _ = read_train(data / "fer2013")
    faces = data / "faces"
    with np.load(faces / "lfw_expressions.npz") as lfw:
        jpeg, offsets = lfw["jpeg"].tobytes(), lfw["offsets"]
    pictures = [
        np.asarray(Image.open(io.BytesIO(jpeg[start:stop])).convert("L"))
        for start, stop in itertools.pairwise(offsets)
    ]
    for name in ("orl.npz", "yale.npz"):
        with np.load(faces / name) as archive:
            pictures += list(archive["images"])
    return torch.cat([fer, torch.from_numpy(np.stack([_small(p) for p in pictures]))[:, None]])


def _small(picture: np.ndarray) -> np.ndarray:
    """The central square of a grey picture (H, W) as (48, 48)."""
    height, width = picture.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    return np.asarray(cv2.resize(square, (FACE_SIZE, FACE_SIZE), interpolation=cv2.INTER_AREA))


def random_crops(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Squares of .6 to 1 of the side, scaled up, half of them mirrored; (N, 1, 48, 48) both."""
    n = len(faces)
    chance = torch.rand(4, n, generator=generator)
    scale = 0.6 + 0.4 * chance[0]
    flip = (chance[1] < 0.5).float() * -2 + 1
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = scale * flip, scale
    theta[:, :, 2] = ((chance[2:] * 2 - 1) * (1 - scale)).T
    grid = functional.affine_grid(theta, list(faces.shape), align_corners=False)
    return functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)


def learning_rate(progress: float, peak: float) -> float:
    """Linear warm-up over the first twentieth, then cosine down to zero."""
    if progress < 0.05:
        return peak * progress / 0.05
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - 0.05) / 0.95))


def pretrain(faces: Tensor, settings: PretrainMae) -> None:
    """Runs all epochs, going on from the state in `out` if there is one; then writes the folder."""
    torch.manual_seed(settings.seed)
    net = new_mae(ViTMAEConfig(**SIZES))
    groups = _decayed(net, 0.05)
    optimizer = torch.optim.AdamW(groups, lr=settings.lr, betas=(0.9, 0.95))
    parts = {"net": net, "optimizer": optimizer}
    state = TrainingState(settings.out / "state.pt", settings.key(), parts)
    done = state.resume()
    loss = done.get("loss", math.nan)
    for epoch in range(done["epoch"], settings.epochs):
        began = time.time()
        loss = _epoch(net, optimizer, faces, epoch, settings)
        state.save(epoch + 1, loss=loss)
        print(f"epoch {epoch + 1}/{settings.epochs} loss {loss:.4f} {time.time() - began:.0f} s")
    card = CARD.format(epochs=settings.epochs, pictures=len(faces), loss=loss)
    write_folder(net, settings.out, card)
    print(f"wrote {settings.out}", flush=True)


def _epoch(
    net: Any, optimizer: torch.optim.Optimizer, faces: Tensor, epoch: int, settings: PretrainMae
) -> float:
    """One pass over the pictures, or `settings.steps` batches of one; returns the mean loss."""
    seed = settings.seed * 1000 + epoch
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # of the masks
    order = torch.randperm(len(faces), generator=generator)
    batches = order.split(settings.batch)[: settings.steps]
    losses = []
    net.train()
    with ProgressReport(f"epoch {epoch + 1}", len(batches)) as report:
        for step, pick in enumerate(batches):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(
                    (epoch + step / len(batches)) / settings.epochs, settings.lr
                )
            batch = random_crops(scale_grey(faces[pick]), generator)
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
                loss = net(batch).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            report.step(f"loss {losses[-1]:.4f}")
    return float(np.mean(losses))


def _decayed(net: torch.nn.Module, decay: float) -> list[dict[str, Any]]:
    """Groups of parameters: weight decay on matrices only."""
    learnt = [p for p in net.parameters() if p.requires_grad]
    return [
        {"params": [p for p in learnt if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in learnt if p.ndim <= 1], "weight_decay": 0.0},
    ]


def write_folder(net: ViTMAEForPreTraining, folder: Path, card: str) -> None:
    """Writes the encoder, in float16, with its configuration, preprocessor and card.

    Each file appears whole; config.json, without which the folder is no checkpoint, comes last.
    """
    partial = folder / "partial"
    net.vit.half().save_pretrained(partial)
    net.float()
    (partial / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR, indent=2) + "\n")
    (partial / "README.md").write_text(card)
    for path in sorted(partial.iterdir(), key=lambda path: path.name == "config.json"):
        path.chmod(0o644)  # transformers lets nobody else read the weights
        path.replace(folder / path.name)
    partial.rmdir()


def command(settings: PretrainMae) -> int:
    """Pre-trains."""
    pretrain(read_faces(settings.data), settings)
    return OK


if __name__ == "__main__":
    run(
        PretrainMae,
        command,
        prog="experiments.pretraining.pretrain_mae",
        description=__doc__.split("\n")[0],
    )
