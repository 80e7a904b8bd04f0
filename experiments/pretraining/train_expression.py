"""Trains the packaged `expression` encoder on FER2013 and writes its weights.

Data flow: FER2013 pictures > copies of test pictures removed > random affine, flip, light, erasing
> ExpressionNet > cross-entropy to smoothed labels > moving average of the weights > frozen
embeddings > triplet loss of the metric head > safetensors.

    python -m experiments.pretraining.train_expression --data PATH/fer2013 --out FIRST --epochs 32
    python -m experiments.pretraining.train_expression --data PATH/fer2013 --start FIRST \
        --epochs 10 --lr 0.03 --strength 0.6 --balance 0.5

FER2013's labels are wrong too often to be learnt by heart. No epoch is chosen on the test pictures:
the last one is taken. Killed runs go on from the last finished epoch. The metric head comes last,
on the finished embeddings: trained beside the classes it was no better, and they were worse.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from experiments.pretraining.face_augment import augment
from experiments.pretraining.fer2013 import read_test, read_train, score
from experiments.pretraining.loop import Loop
from experiments.pretraining.training_state import TrainingState
from experiments.pretraining.triplets import draw_triplets, triplet_loss
from features.cli.app import OK, run
from features.encoders.visual.expression_net import (
    EXPRESSIONS,
    ExpressionNet,
    load_expression_net,
    scale_grey,
)
from features.store.fingerprint import settings_hash

WEIGHTS = Path(__file__).parents[2] / "features/encoders/weights/expression.safetensors"
SMOOTHING = 0.1
HEAD_STEPS, HEAD_BATCH = 1500, 256
"""Steps of the metric head, and pictures of each, from which twice as many triplets are drawn."""


@dataclass
class TrainExpression:
    """Settings of the training.

    Args:
        data: Folder with FER2013's train.npz and test.npz.
        out: File for the weights.
        state: File that a killed run goes on from.
        start: Weights to go on from, as a new run.
        strength: Of the augmentation.
        balance: How far rare classes weigh more.
        epochs: Passes over the pictures; 0 fits the metric head alone.
        batch: Pictures of a step.
        lr: Highest learning rate.
        seed: Of weights, order and augmentation.
        bfloat16: Whether to multiply in bfloat16.
    """

    data: Path
    out: Path = WEIGHTS
    state: Path = Path("runs/train_expression/state.pt")
    start: Path | None = None
    strength: float = 1.0
    balance: float = 0.0
    epochs: int = 32
    batch: int = 128
    lr: float = 0.1
    seed: int = 1
    bfloat16: bool = True

    def key(self) -> str:
        """What a resumed run must share."""
        return settings_hash(
            {k: str(v) for k, v in asdict(self).items() if k not in ("out", "state")}
        )


def class_weights(labels: Tensor, balance: float) -> Tensor:
    """Weight of each class in the loss: frequency to the power of -balance, 1 on average."""
    share = torch.bincount(labels, minlength=len(EXPRESSIONS)) / len(labels)
    raw = share**-balance
    return raw / (raw * share).sum()


def learning_rate(progress: float, peak: float) -> float:
    """Linear warm-up over the first tenth, then cosine down to zero."""
    if progress < 0.1:
        return peak * progress / 0.1
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - 0.1) / 0.9))


@torch.inference_mode()
def predict(
    net: ExpressionNet, faces: Tensor, *, mirror: bool = False, bf16: bool = False
) -> Tensor:
    """Probabilities (N, 7) in evaluation mode, averaged with the mirror image's if wanted."""
    net.eval()
    views = [faces, faces.flip(3)] if mirror else [faces]
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        parts = [
            torch.cat([net(scale_grey(part))[1].float().softmax(1) for part in view.split(256)])
            for view in views
        ]
    return torch.stack(parts).mean(0)


def train(settings: TrainExpression) -> int:
    """Runs all epochs, going on from `state` if it is there; writes the averaged weights."""
    torch.manual_seed(settings.seed)
    faces, labels = read_train(settings.data)
    print(f"{len(labels)} training pictures", flush=True)
    net = load_expression_net(settings.start) if settings.start else ExpressionNet()
    net = net.to(memory_format=torch.channels_last)
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.998), use_buffers=True)
    optimizer = torch.optim.SGD(
        net.parameters(), lr=settings.lr, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    parts = {"net": net, "average": average, "optimizer": optimizer}
    state = TrainingState(settings.state, settings.key(), parts)
    weights = class_weights(labels, settings.balance)

    def losses(net: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        _, logits = net(batch[0].contiguous(memory_format=torch.channels_last))
        loss = functional.cross_entropy(logits, batch[1], weights, label_smoothing=SMOOTHING)
        return {"loss": loss}

    Loop(
        net,
        optimizer,
        rate=lambda epoch: learning_rate(epoch / settings.epochs, settings.lr),
        average=average,
        bfloat16=settings.bfloat16,
        seed=settings.seed,
    ).run(settings.epochs, state, partial(_batches, faces, labels, settings), losses)
    trained = average.module
    assert isinstance(trained, ExpressionNet)
    loss = fit_metric(trained, embed(trained, faces), labels, settings.seed)
    print(f"metric head: loss {loss:.4f}", flush=True)
    _write(trained, settings)
    return OK


@torch.no_grad()
def embed(net: ExpressionNet, faces: Tensor) -> Tensor:
    """Embeddings (N, D) of pictures (N, 1, 48, 48), averaged with those of their mirror images."""
    net.eval()
    views = (faces, faces.flip(3))
    parts = [torch.cat([net(scale_grey(part))[0] for part in view.split(256)]) for view in views]
    return torch.stack(parts).mean(0)


def fit_metric(net: ExpressionNet, embeddings: Tensor, labels: Tensor, seed: int) -> float:
    """Trains the metric head on frozen embeddings (N, D); the mean loss."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    net.project.reset_parameters()
    optimizer = torch.optim.AdamW(net.project.parameters(), 3e-3, weight_decay=1e-4)

    def losses(_: nn.Module, pick: Tensor) -> dict[str, Tensor]:
        metric = net.metric(functional.dropout(embeddings[pick], 0.2))
        triplets = draw_triplets(labels[pick], generator, 2 * HEAD_BATCH)
        return {"loss": triplet_loss(*metric[triplets].unbind(1))}

    picks = (
        torch.randint(len(labels), (HEAD_BATCH,), generator=generator) for _ in range(HEAD_STEPS)
    )
    loop = Loop(net.project, optimizer, rate=lambda done: 3e-3 * (1 - done))
    return loop.epoch(0, HEAD_STEPS, picks, losses)["loss"]


def _batches(
    faces: Tensor, labels: Tensor, settings: TrainExpression, epoch: int
) -> tuple[int, Iterator[tuple[Tensor, Tensor]]]:
    """Pictures of an epoch, each changed by chance, with their labels."""
    generator = torch.Generator().manual_seed(settings.seed * 1000 + epoch)
    steps = len(labels) // settings.batch
    order = torch.randperm(len(labels), generator=generator)[: steps * settings.batch]
    picks = order.split(settings.batch)
    return steps, (
        (augment(scale_grey(faces[pick]), generator, settings.strength), labels[pick])
        for pick in picks
    )


def _write(net: ExpressionNet, settings: TrainExpression) -> None:
    """Scores the network on the test pictures and saves its weights in float16."""
    weights = {
        name: w.half().contiguous() if w.is_floating_point() else w.contiguous()
        for name, w in net.state_dict().items()
    }
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, settings.out)
    net.load_state_dict({n: w.float() if w.is_floating_point() else w for n, w in weights.items()})
    faces, labels, copies = read_test(settings.data)
    for mirror in (False, True):
        print("with mirror images" if mirror else "as it is")
        print(json.dumps(score(predict(net, faces, mirror=mirror), labels, copies), indent=2))
    print(f"wrote {settings.out} ({settings.out.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    run(
        TrainExpression,
        train,
        prog="experiments.pretraining.train_expression",
        description=__doc__.split("\n")[0],
    )
