"""Trains the `deviation` encoder (PASN's DLN) on triplets of faces and writes its weights.

Data flow: triplets > random flip, place and scale > DeviationNet > triplet loss over both
directions > safetensors, and triplet accuracy on held-out pictures.

    python -m experiments.pretraining.train_deviation --pictures FOLDER_OR_NPZ --out FILE
    python -m experiments.pretraining.train_deviation --triplets FEC.csv --images FOLDER --out FILE

No epoch is chosen on the held-out pictures: the last one is taken. A killed run goes on from the
last finished epoch.

The packaged `expression` backbone has seen FER2013's training part with its labels, so accuracy on
pictures held out of that part flatters; judge it on other pictures.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from experiments.pretraining.loop import Loop
from experiments.pretraining.training_state import TrainingState
from experiments.pretraining.triplet_data import TripletData, from_csv, from_pictures, load_faces
from experiments.pretraining.triplets import triplet_accuracy, triplet_loss
from features.cli.app import OK, run
from features.encoders.device import resolve_device
from features.encoders.visual.deviation_net import (
    Backbone,
    DeviationNet,
    load_backbone,
    load_deviation,
    save_deviation,
)
from features.errors import UserError
from features.store.fingerprint import settings_hash

_PART = 128
"""Faces at a time where nothing is learnt."""


@dataclass
class TrainDeviation:
    """Settings of the training; give `pictures` or `triplets`.

    Args:
        out: File of the weights; the resumable state lies beside it until the end.
        pictures: Folder of class-named folders of face pictures, folder of FER2013's npz files, or
            npz file with `images`, `labels` and, if known, `subjects`.
        triplets: CSV in the layout of FEC.
        images: Folder of the pictures that the CSV names.
        subject: Regular expression that finds the subject in names of pictures, so that nobody is
            on both sides.
        backbone: Identity network: `expression` or `facenet`.
        weights_identity: File of the identity network's weights, for `facenet`.
        share: Of the subjects, or pictures, that are held out.
        epochs: How many.
        count: Triplets an epoch.
        batch: Triplets a step.
        lr: Highest learning rate; it falls to zero along a cosine.
        seed: Seed of everything random.
        device: `auto`, `cpu`, `cuda`.
    """

    out: Path
    pictures: Path | None = None
    triplets: Path | None = None
    images: Path = Path()
    subject: str = ""
    backbone: str = "expression"
    weights_identity: str = ""
    share: float = 0.1
    epochs: int = 10
    count: int = 10000
    batch: int = 32
    lr: float = 3e-4
    seed: int = 1
    device: str = "auto"


def train(settings: TrainDeviation) -> int:
    """Runs all epochs, going on from the state beside `out` if there is one; writes `out`."""
    device = resolve_device(settings.device)
    data = _read(settings)
    backbone = load_backbone(settings.backbone, settings.weights_identity)
    print(f"{data.about}; {len(data.held_out)} held-out triplets", flush=True)
    print(f"held-out accuracy of the identity network {_identity_accuracy(backbone, data):.4f}")
    torch.manual_seed(settings.seed)
    net = DeviationNet(backbone.net, backbone.dim).to(device)
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], settings.lr)
    file = settings.out.with_name(f"{settings.out.name}.state")
    key = settings_hash([_what(settings), data.about, backbone.revision])
    state = TrainingState(file, key, {"net": net.trained(), "optimizer": optimizer})
    loop = Loop(
        net,
        optimizer,
        rate=lambda epoch: settings.lr * 0.5 * (1 + math.cos(math.pi * epoch / settings.epochs)),
        clip=1.0,
        seed=settings.seed,
    )
    loop.run(
        settings.epochs,
        state,
        partial(_batches, data, backbone, settings),
        losses,
        lambda: f"held-out accuracy {held_out_accuracy(net, data, backbone):.4f}",
    )
    save_deviation(settings.out, net, backbone, data.about)
    written = load_deviation(settings.out, backbone)
    print(f"held-out accuracy as written {held_out_accuracy(written, data, backbone):.4f}")
    print(f"wrote {settings.out} ({settings.out.stat().st_size / 1e6:.1f} MB)")
    file.unlink(missing_ok=True)
    return OK


@torch.inference_mode()
def held_out_accuracy(net: DeviationNet, data: TripletData, backbone: Backbone) -> float:
    """Triplet accuracy on held-out faces, in the metric space."""
    net.eval()
    return _accuracy(lambda faces: net(faces)[1], data, backbone)


def jitter(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Flips, scales by up to 10 % and shifts by up to 5 % of the side; (N, C, h, w) in and out."""
    n = len(faces)
    chance = torch.rand(4, n, generator=generator) * 2 - 1
    scale = 1 + 0.1 * chance[0]
    zero = torch.zeros(n)
    theta = torch.stack(
        [scale * chance[1].sign(), zero, 0.1 * chance[2], zero, scale, 0.1 * chance[3]], dim=1
    )
    grid = functional.affine_grid(theta.view(n, 2, 3), list(faces.shape), align_corners=False)
    return functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)


def _batches(
    data: TripletData, backbone: Backbone, settings: TrainDeviation, epoch: int
) -> tuple[int, Iterator[tuple[Tensor, Tensor]]]:
    """Faces of freshly drawn triplets, first all anchors, with their margins."""
    generator = torch.Generator().manual_seed(settings.seed * 1000 + epoch)
    triplets, margins = data.draw(generator, settings.count)
    device = next(backbone.net.parameters()).device
    parts = list(zip(triplets.split(settings.batch), margins.split(settings.batch), strict=True))

    def faces(part: Tensor) -> Tensor:
        return jitter(load_faces(data.faces, part.T.flatten(), backbone.view), generator)

    return len(parts), ((faces(part).to(device), margin.to(device)) for part, margin in parts)


def losses(net: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """The triplet loss in the metric space."""
    faces, margins = batch
    anchor, positive, negative = net(faces)[1].chunk(3)
    return {"loss": triplet_loss(anchor, positive, negative, margins)}


@torch.inference_mode()
def _identity_accuracy(backbone: Backbone, data: TripletData) -> float:
    """Triplet accuracy of the identity network's own vectors at unit length."""
    return _accuracy(lambda faces: functional.normalize(backbone.net(faces)), data, backbone)


def _accuracy(embed: Any, data: TripletData, backbone: Backbone) -> float:
    """Triplet accuracy of a function from faces to vectors; each face is embedded once."""
    picks, places = data.held_out.unique(return_inverse=True)
    device = next(backbone.net.parameters()).device
    vectors = torch.cat(
        [
            embed(load_faces(data.faces, part, backbone.view).to(device))
            for part in picks.split(_PART)
        ]
    )
    return triplet_accuracy(*vectors[places].unbind(1))


def _read(settings: TrainDeviation) -> TripletData:
    if settings.pictures and not settings.triplets:
        return from_pictures(settings.pictures, settings.share, settings.subject)
    if settings.triplets and not settings.pictures:
        return from_csv(settings.triplets, settings.images, settings.share)
    raise UserError("give --pictures FOLDER_OR_NPZ or --triplets CSV, and not both")


def _what(settings: TrainDeviation) -> dict[str, str]:
    """The settings that a resumed run must share."""
    return {k: str(v) for k, v in vars(settings).items() if k not in ("out", "device")}


if __name__ == "__main__":
    run(
        TrainDeviation,
        train,
        prog="experiments.pretraining.train_deviation",
        description="Trains the deviation encoder on triplets of faces.",
    )
