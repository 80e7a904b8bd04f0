"""FER2013 as the shared data keeps it: pictures, ABAW labels, copies; scores on the test part."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import f1_score
from torch import Tensor

from features.encoders.visual.expression_net import EXPRESSIONS


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


def score(logits: Tensor, labels: Tensor, copies: Tensor) -> dict[str, float]:
    """Accuracy on all test pictures and on those that are no copies, macro-F1, recall by class."""
    guess = logits.argmax(1)
    hit = (guess == labels).float()
    recall = {name: round(hit[labels == k].mean().item(), 4) for k, name in enumerate(EXPRESSIONS)}
    return {
        "accuracy": round(hit.mean().item(), 4),
        "accuracy_without_copies": round(hit[~copies].mean().item(), 4),
        "macro_f1": round(float(f1_score(labels, guess, average="macro")), 4),
        **{f"recall_{name}": value for name, value in recall.items()},
    }
