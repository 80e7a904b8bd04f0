"""Trains the network of the packaged `face` encoder.

Data flow: a part of `expression`'s weights > FaceNet; faces with whatever labels they have >
random views > FaceNet > FER2013's labels, FER+'s votes, the packaged `expression` net's reading,
the mesh teacher's blendshapes, smiles and head pose, each where there is one > moving average of
the weights > safetensors.

    python -m experiments.pretraining.face.train_face --data PATH
    python -m experiments.pretraining.face.fit_face --data PATH

The rate is constant after a warm-up and falls to zero over the last `decay` epochs, so the number
of epochs may be set anew for a run that goes on, as long as it does not fall yet. No epoch is
chosen: the last one is taken. Killed runs go on from the last finished epoch.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from experiments.kept import Cache
from experiments.pretraining.face.data import TRAIN, Faces, read_faces
from experiments.pretraining.face.losses import (
    POSE_UNIT,
    LossWeights,
    Targets,
    losses,
    targets_of,
    weighted,
)
from experiments.pretraining.face.start import start_from
from experiments.pretraining.face.views import Views, random_views
from experiments.pretraining.loop import Loop
from experiments.pretraining.training_state import TrainingState
from features.cli.app import OK, run
from features.encoders.visual.expression import WEIGHTS as EXPRESSION
from features.encoders.visual.expression_net import load_expression_net, scale_grey
from features.encoders.visual.face.encoder import HEADS
from features.encoders.visual.face.net import FaceNet
from features.store.fingerprint import settings_hash

RUN = Path("runs/face")
GENKI_TIMES = 3
"""How often an epoch shows GENKI-4K's faces, the only ones with smiles and pose."""
MEMORY = 0.994
"""Of the moving average, a step."""


@dataclass
class TrainFace:
    """Settings of the training.

    Args:
        data: Folder of the shared data.
        out: File for the trained network.
        state: File that a killed run goes on from.
        cache: Folder for what takes long to read.
        weights: Of the losses.
        strength: Of the views.
        balance: How far rare classes of FER2013 weigh more.
        epochs: Passes over the faces.
        decay: How many epochs at the end the rate falls in.
        batch: Faces of a step.
        lr: Highest learning rate.
        weight_decay: Of AdamW.
        seed: Of weights, order and views.
        bfloat16: Whether to multiply in bfloat16.
    """

    data: Path
    out: Path = RUN / "trunk.safetensors"
    state: Path = RUN / "state.pt"
    cache: Path = RUN / "cache"
    weights: LossWeights = field(default_factory=LossWeights)
    strength: float = 0.8
    balance: float = 0.5
    epochs: int = 6
    decay: int = 3
    batch: int = 128
    lr: float = 1e-3
    weight_decay: float = 0.05
    seed: int = 1
    bfloat16: bool = True

    def key(self) -> str:
        """What a resumed run must share."""
        free = ("data", "out", "state", "cache", "epochs", "decay")
        return settings_hash({k: str(v) for k, v in asdict(self).items() if k not in free})

    def rate(self, epoch: float) -> float:
        """Learning rate after so many epochs: warm-up in the first, constant, then down to zero."""
        return self.lr * min(epoch, 1.0, max(self.epochs - epoch, 0.0) / self.decay)


class Student(nn.Module):
    """The network with the map that is only trained with: from its embedding to the teacher's."""

    def __init__(self) -> None:
        super().__init__()
        self.net = FaceNet()
        self.hint = nn.Linear(256, 256)

    def forward(self, faces: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Heads, (N, D) by name, and the guess at the teacher's embedding (N, 256)."""
        embedding, heads, _ = self.net(faces)
        return heads, self.hint(embedding)


def train(settings: TrainFace) -> int:
    """Runs all epochs, going on from `state` if it is there; writes the averaged network."""
    torch.manual_seed(settings.seed)
    everything = read_faces(settings.data, Cache(settings.cache))
    faces = everything.take(everything.part == TRAIN)
    targets = targets_of(faces, settings.balance)
    rows = shown(faces)
    print(f"{len(faces)} faces, {len(rows)} shown an epoch", flush=True)
    student = Student()
    start_from(student.net, load_expression_net(EXPRESSION))
    student = student.to(memory_format=torch.channels_last)
    average = AveragedModel(student, multi_avg_fn=get_ema_multi_avg_fn(MEMORY), use_buffers=True)
    optimizer = torch.optim.AdamW(decayed(student, settings.weight_decay), settings.lr)
    parts = {"student": student, "average": average, "optimizer": optimizer}
    state = TrainingState(settings.state, settings.key(), parts)
    pictures = torch.from_numpy(faces.images[:, None])

    def found(student: nn.Module, batch: tuple[Tensor, Views]) -> dict[str, Tensor]:
        pick, views = batch
        heads, hint = student(views.faces.contiguous(memory_format=torch.channels_last))
        return weighted(losses(heads, hint, targets, pick, views), settings.weights)

    Loop(
        student,
        optimizer,
        rate=settings.rate,
        average=average,
        clip=5.0,
        bfloat16=settings.bfloat16,
        seed=settings.seed,
    ).run(settings.epochs, state, partial(_batches, pictures, rows, settings), found)
    trained = average.module
    assert isinstance(trained, Student)
    write(trained.net, targets, settings.out)
    return OK


def shown(faces: Faces) -> Tensor:
    """Rows of an epoch, GENKI-4K's several times."""
    genki = np.flatnonzero(faces.source == "genki")
    return torch.from_numpy(np.concatenate([np.arange(len(faces)), *[genki] * (GENKI_TIMES - 1)]))


def decayed(student: Student, weight_decay: float) -> list[dict[str, object]]:
    """Groups of parameters: matrices and kernels shrink, biases and norms do not."""
    kernels = [p for p in student.parameters() if p.ndim > 1]
    others = [p for p in student.parameters() if p.ndim <= 1]
    return [
        {"params": kernels, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _batches(
    pictures: Tensor, rows: Tensor, settings: TrainFace, epoch: int
) -> tuple[int, Iterator[tuple[Tensor, Views]]]:
    """Which faces of an epoch, and views of them drawn by chance."""
    generator = torch.Generator().manual_seed(settings.seed * 1000 + epoch)
    steps = len(rows) // settings.batch
    order = rows[torch.randperm(len(rows), generator=generator)][: steps * settings.batch]
    return steps, (
        (pick, random_views(scale_grey(pictures[pick]), generator, settings.strength))
        for pick in order.split(settings.batch)
    )


def write(net: FaceNet, targets: Targets, out: Path) -> None:
    """Saves the network, whose blendshapes and pose come out in their own units then."""
    save_file(in_own_units(net, targets), out)
    print(f"wrote {out} ({out.stat().st_size / 1e6:.2f} MB)", flush=True)


def in_own_units(net: FaceNet, targets: Targets) -> dict[str, Tensor]:
    """Weights (float16) by name, the standardisation of the targets undone in the last layer."""
    scale = torch.ones(sum(HEADS.values()))
    shift = torch.zeros_like(scale)
    start = HEADS["fer"] + HEADS["votes"]
    shapes = slice(start, start + HEADS["blendshapes"])
    scale[shapes], shift[shapes] = targets.shape_std, targets.shape_mean
    scale[-HEADS["pose"] :] = POSE_UNIT
    weights = {name: w.clone() for name, w in net.state_dict().items()}
    weights["heads.weight"] = weights["heads.weight"] * scale[:, None]
    weights["heads.bias"] = weights["heads.bias"] * scale + shift
    return {
        name: w.half().contiguous() if w.is_floating_point() else w for name, w in weights.items()
    }


if __name__ == "__main__":
    run(
        TrainFace,
        train,
        prog="experiments.pretraining.face.train_face",
        description=__doc__.split("\n")[0],
    )
