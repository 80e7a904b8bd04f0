"""Pre-trains a small vision transformer on faces without labels, and shows what that is worth.

Data flow: face pictures, grey, 48x48 > random crop and flip > 75 % of the patches hidden > ViTMAE >
squared error of the hidden patches, each normalised (He et al. 2022) > folder in transformers'
layout, which the encoder `mae` reads.

    python -m experiments.pretrain_mae --data SHARED_DATA --out DIR
    python -m experiments.pretrain_mae --data SHARED_DATA --out DIR --compare

The first takes about an hour on one core; killed, it goes on from the last finished epoch. The
second writes experiments/results/mae.md: accuracy on FER2013's test part of a linear probe on
these features, on random weights, and of the same ViT trained from scratch on the labels.

Pictures: FER2013's training part (no test picture nor a copy of one), LFW with expressions, ORL,
Yale; an identity probe on the last three is thus one on pictures that the network has seen. CK+48
is left out: it is kept to test on.
"""

import argparse
import io
import itertools
import json
import math
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from transformers import ViTMAEConfig, ViTMAEForPreTraining

from experiments.fer2013 import read_train
from experiments.small_vit import new_mae
from features.encoders.expression import FRAMING
from features.encoders.expression_net import FACE_SIZE, scale_grey
from features.progress import ProgressReport

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
affuse, or by `ViTMAEModel.from_pretrained`. Made by `python -m experiments.pretrain_mae`:
{epochs} epochs over {pictures} pictures without labels, 75 % masked; final loss {loss:.4f}.

- Data: FER2013's training part (without copies of test pictures), LFW with expressions, ORL, Yale.
- Licence: Apache-2.0 for the weights; the pictures are for research.
- Use: features of aligned faces. Limits: small, low resolution, grey; no judge of identity.
"""


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


def pretrain(faces: Tensor, args: argparse.Namespace) -> None:
    """All epochs, going on from the state in `args.out` if there is one; then writes the folder."""
    torch.manual_seed(args.seed)
    net = new_mae(ViTMAEConfig(**SIZES))
    groups = _decayed(net, 0.05)
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.95))
    state_file = args.out / "state.pt"
    start, loss = _resume(state_file, net, optimizer)
    for epoch in range(start, args.epochs):
        began = time.time()
        loss = _epoch(net, optimizer, faces, epoch, args)
        _save_state(state_file, {"epoch": epoch + 1, "loss": loss}, net, optimizer)
        print(f"epoch {epoch + 1}/{args.epochs} loss {loss:.4f} {time.time() - began:.0f} s")
    card = CARD.format(epochs=args.epochs, pictures=len(faces), loss=loss)
    write_folder(net, args.out, card)
    print(f"wrote {args.out}", flush=True)


def _epoch(
    net: Any, optimizer: torch.optim.Optimizer, faces: Tensor, epoch: int, args: argparse.Namespace
) -> float:
    """One pass over the pictures, or `args.steps` batches of one; returns the mean loss."""
    seed = args.seed * 1000 + epoch
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # of the masks
    order = torch.randperm(len(faces), generator=generator)
    batches = order.split(args.batch)[: args.steps]
    losses = []
    net.train()
    with ProgressReport(f"epoch {epoch + 1}", len(batches)) as report:
        for step, pick in enumerate(batches):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate((epoch + step / len(batches)) / args.epochs, args.lr)
            batch = random_crops(scale_grey(faces[pick]), generator)
            with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
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


def _resume(path: Path, net: torch.nn.Module, optimizer: Any) -> tuple[int, float]:
    """Finished epochs, and the loss of the last."""
    if not path.exists():
        return 0, math.nan
    state = torch.load(path, weights_only=True)
    net.load_state_dict(state["net"])
    optimizer.load_state_dict(state["optimizer"])
    print(f"going on after epoch {state['epoch']}", flush=True)
    return state["epoch"], state["loss"]


def _save_state(path: Path, progress: dict[str, Any], net: torch.nn.Module, optimizer: Any) -> None:
    """Writes what `_resume` reads by rename, so that a kill leaves the old state whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save({**progress, "net": net.state_dict(), "optimizer": optimizer.state_dict()}, partial)
    partial.replace(path)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="with fer2013 and faces in it")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--compare", action="store_true", help="compare what is in --out")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--steps", type=int, help="batches an epoch, to try it out; default all")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bfloat16", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--scratch-epochs", type=int, default=10, help="of training on labels")
    parser.add_argument("--finetune", action="store_true", help="compare fine-tuning, too")
    args = parser.parse_args()
    if args.compare:
        from experiments.compare_mae import compare

        compare(args)
    else:
        pretrain(read_faces(args.data), args)


if __name__ == "__main__":
    main()
