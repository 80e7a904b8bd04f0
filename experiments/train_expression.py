"""Trains the packaged `expression` encoder on FER2013 and writes its weights.

Data flow: FER2013 pictures > copies of test pictures removed > random affine, flip, light, erasing
> ExpressionNet > cross-entropy with label smoothing > moving average of the weights > safetensors.

    python -m experiments.train_expression --data PATH/fer2013 --out FIRST
    python -m experiments.train_expression --data PATH/fer2013 --start FIRST --epochs 10 --lr 0.03 \
        --strength 0.6 --balance 0.5

The second run goes on with milder augmentation and with rare classes weighted up. No epoch is
chosen on the test pictures: the last one is taken. Killed runs go on from the last finished epoch.
"""

import argparse
import io
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from features.encoders.expression_net import (
    EXPRESSIONS,
    FACE_SIZE,
    ExpressionNet,
    load_expression_net,
    scale_grey,
)

WEIGHTS = Path(__file__).parents[1] / "features/encoders/weights/expression.safetensors"


def read_train(folder: Path) -> tuple[Tensor, Tensor]:
    """Training pictures (N, 1, 48, 48) uint8 and ABAW labels (N,), without copies of test pictures.

    Copies inside the training part are kept once, and dropped where they disagree on the label.
    """
    with np.load(folder / "train.npz") as data:
        buffer, offsets = data["webp"].tobytes(), data["offsets"]
        labels = data["to_abaw"][data["labels"]]
        same_as, in_test = data["same_as"], data["in_test"]
    disagree = set(same_as[labels != labels[same_as]].tolist())
    keep = [
        i for i in range(len(labels)) if not in_test[i] and same_as[i] == i and i not in disagree
    ]
    pictures = [
        np.asarray(Image.open(io.BytesIO(buffer[offsets[i] : offsets[i + 1]])).convert("L"))
        for i in keep
    ]
    return torch.from_numpy(np.stack(pictures)[:, None]), torch.from_numpy(labels[keep]).long()


def read_test(folder: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Test pictures, ABAW labels, and whether a picture is a copy of a training picture."""
    with np.load(folder / "test.npz") as data:
        labels = data["to_abaw"][data["labels"]]
        return (
            torch.from_numpy(data["images"][:, None]),
            torch.from_numpy(labels).long(),
            torch.from_numpy(data["in_train"]),
        )


def augment(faces: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Random rotation, scale, shift, flip, light and erased squares; (N, 1, 48, 48) in and out.

    Args:
        faces: Scaled to [-1, 1].
        generator: Source of chance.
        strength: How far everything but the flip may go, relative.
    """
    n = len(faces)

    def uniform(low: float, high: float) -> Tensor:
        return (torch.rand(n, generator=generator) * (high - low) + low) * strength

    angle, scale = uniform(-0.3, 0.3), 1 + uniform(-0.2, 0.15)
    flip = (torch.rand(n, generator=generator) < 0.5).float() * -2 + 1
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta = torch.stack(
        [cos * flip, -sin, uniform(-0.15, 0.15), sin * flip, cos, uniform(-0.15, 0.15)], 1
    )
    grid = functional.affine_grid(theta.view(n, 2, 3), list(faces.shape), align_corners=False)
    faces = functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)
    faces = faces * (1 + uniform(-0.3, 0.3)).view(-1, 1, 1, 1) + uniform(-0.2, 0.2).view(
        -1, 1, 1, 1
    )
    row, column = torch.rand(2, n, generator=generator)
    return _erase(faces.clamp(-1, 1), row, column, uniform(0, 18))


def _erase(faces: Tensor, row: Tensor, column: Tensor, side: Tensor) -> Tensor:
    """Sets one square of `side` pixels to mid grey in each picture."""
    axis = torch.arange(FACE_SIZE)
    inside_row = (axis[None] - row[:, None] * FACE_SIZE).abs() < side[:, None] / 2
    inside_column = (axis[None] - column[:, None] * FACE_SIZE).abs() < side[:, None] / 2
    return faces.masked_fill((inside_row[:, :, None] & inside_column[:, None])[:, None], 0.0)


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
def predict(net: torch.nn.Module, faces: Tensor) -> Tensor:
    """Logits (N, 7) in evaluation mode."""
    net.eval()
    return torch.cat([net(scale_grey(part))[1] for part in faces.split(256)])


def score(logits: Tensor, labels: Tensor, copies: Tensor) -> dict[str, float]:
    """Accuracy on all test pictures and on those that are no copies, macro-F1, recall by class."""
    from sklearn.metrics import f1_score

    guess = logits.argmax(1)
    hit = (guess == labels).float()
    recall = {name: round(hit[labels == k].mean().item(), 4) for k, name in enumerate(EXPRESSIONS)}
    return {
        "accuracy": round(hit.mean().item(), 4),
        "accuracy_without_copies": round(hit[~copies].mean().item(), 4),
        "macro_f1": round(float(f1_score(labels, guess, average="macro")), 4),
        **{f"recall_{name}": value for name, value in recall.items()},
    }


def train(args: argparse.Namespace) -> None:
    """Runs all epochs, going on from `args.state` if it is there; writes the averaged weights."""
    torch.manual_seed(args.seed)
    faces, labels = read_train(args.data)
    print(f"{len(labels)} training pictures", flush=True)
    weights = class_weights(labels, args.balance)
    net = load_expression_net(args.start) if args.start else ExpressionNet()
    net = net.to(memory_format=torch.channels_last)
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.998), use_buffers=True)
    optimizer = torch.optim.SGD(
        net.parameters(), lr=args.lr, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    start = 0
    if args.state.exists():
        state = torch.load(args.state, weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["epoch"]
        print(f"going on after epoch {start}", flush=True)

    steps = len(labels) // args.batch
    for epoch in range(start, args.epochs):
        began, losses = time.time(), []
        generator = torch.Generator().manual_seed(args.seed * 1000 + epoch)
        order = torch.randperm(len(labels), generator=generator)
        net.train()
        for step in range(steps):
            rate = learning_rate((epoch + step / steps) / args.epochs, args.lr)
            for group in optimizer.param_groups:
                group["lr"] = rate
            pick = order[step * args.batch : (step + 1) * args.batch]
            batch = augment(scale_grey(faces[pick]), generator, args.strength)
            with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
                logits = net(batch.contiguous(memory_format=torch.channels_last))[1]
            loss = functional.cross_entropy(
                logits.float(), labels[pick], weight=weights, label_smoothing=0.1
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average.update_parameters(net)
            losses.append(loss.item())
        _save_state(args.state, epoch + 1, net, average, optimizer)
        print(
            f"epoch {epoch + 1}/{args.epochs} loss {np.mean(losses):.4f}"
            f" {time.time() - began:.0f} s",
            flush=True,
        )
    _write(average.module, args)


def _save_state(path: Path, epoch: int, net, average, optimizer) -> None:  # type: ignore[no-untyped-def]
    """Writes the resumable state by rename, so that a kill leaves the old one whole."""
    state = {
        "epoch": epoch,
        "net": net.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def _write(net: torch.nn.Module, args: argparse.Namespace) -> None:
    """Scores the network on the test pictures and saves its weights in float16."""
    weights = {
        name: w.half().contiguous() if w.is_floating_point() else w.contiguous()
        for name, w in net.state_dict().items()
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, args.out)
    net.load_state_dict({n: w.float() if w.is_floating_point() else w for n, w in weights.items()})
    faces, labels, copies = read_test(args.data)
    print(json.dumps(score(predict(net, faces), labels, copies), indent=2))
    print(f"wrote {args.out} ({args.out.stat().st_size / 1e6:.2f} MB)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train.npz, test.npz")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="where the weights go")
    parser.add_argument("--state", type=Path, default=Path("runs/train_expression/state.pt"))
    parser.add_argument("--start", type=Path, help="weights to go on from, as a new run")
    parser.add_argument("--strength", type=float, default=1.0, help="of the augmentation")
    parser.add_argument(
        "--balance", type=float, default=0.0, help="how far rare classes weigh more"
    )
    parser.add_argument("--epochs", type=int, default=32)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bfloat16", action=argparse.BooleanOptionalAction, default=True)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
