"""What pre-training is worth: accuracy on FER2013's test part of three uses of one small ViT.

Data flow: checkpoint of `experiments.pretraining.pretrain_mae`, or random weights > frozen
features >
standardised logistic regression on FER2013's training part > test part; and the same ViT trained
from scratch on the labels > test part. `experiments.pretraining.pretrain_mae --compare` runs it.
"""

import math
import time
from pathlib import Path
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional
from transformers import ViTMAEConfig, ViTMAEModel

from experiments.pretraining.face_augment import augment
from experiments.pretraining.fer2013 import read_test, read_train, score
from experiments.pretraining.pretrain_mae import PretrainMae
from experiments.pretraining.small_vit import new_vit
from features.cli.progress import ProgressReport
from features.encoders.hf_checkpoint import Checkpoint
from features.encoders.visual.expression_net import EXPRESSIONS, scale_grey
from features.encoders.visual.mae import encode_patches

RESULTS = Path(__file__).parents[1] / "results/mae.md"
PENALTY = 0.01
"""C of the probe; a weaker penalty does not converge on the features of random weights."""
STRENGTH = 0.6
"""Of the augmentation in training on the labels."""


class Classifier(nn.Module):
    """A ViT, the mean over its patch tokens, and a linear layer.

    Args:
        vit: A ViTMAEModel whose `mask_ratio` is 0.
    """

    def __init__(self, vit: Any) -> None:
        super().__init__()
        self.vit = vit
        self.classify = nn.Linear(vit.config.hidden_size, len(EXPRESSIONS))

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 1, 48, 48) to logits (N, 7)."""
        return self.classify(mean_features(self.vit, faces))


def mean_features(vit: Any, faces: Tensor) -> Tensor:
    """Mean over the patch tokens, (N, D), of faces (N, 1, 48, 48) in [-1, 1]."""
    return encode_patches(vit, faces)[:, 1:].mean(dim=1)


def random_vit(config: ViTMAEConfig, seed: int) -> Any:
    """The same ViT with random weights."""
    torch.manual_seed(seed)
    return new_vit(config).eval()


def probe(vit: Any, train: tuple[Tensor, Tensor], test: tuple[Tensor, ...]) -> dict[str, float]:
    """Scores of a logistic regression on frozen features."""
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=1000))
    regression.fit(_features(vit, train[0]), train[1])
    probs = regression.predict_proba(_features(vit, test[0]))
    return score(torch.from_numpy(probs), test[1], test[2])


@torch.inference_mode()
def _features(vit: Any, faces: Tensor) -> Any:
    parts = [mean_features(vit, scale_grey(part)) for part in faces.split(256)]
    return torch.cat(parts).numpy()


def train_on_labels(
    vit: Any, train: tuple[Tensor, Tensor], test: tuple[Tensor, ...], settings: PretrainMae
) -> dict[str, float]:
    """Scores of the ViT after all epochs on the labels; the last one counts."""
    torch.manual_seed(settings.seed)
    net = Classifier(vit).requires_grad_(True)
    net.vit.embeddings.position_embeddings.requires_grad_(False)
    steps = settings.scratch_epochs * _batches(train[0], settings)
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-4, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-4, total_steps=steps)
    for epoch in range(settings.scratch_epochs):
        _train_epoch(net, optimizer, schedule, train, epoch, settings)
    with torch.inference_mode():
        logits = torch.cat([net.eval()(scale_grey(part)) for part in test[0].split(256)])
    return score(logits, test[1], test[2])


def _train_epoch(
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: Any,
    train: tuple[Tensor, Tensor],
    epoch: int,
    settings: PretrainMae,
) -> None:
    generator = torch.Generator().manual_seed(settings.seed * 1000 + epoch)
    order = torch.randperm(len(train[0]), generator=generator)
    net.train()
    with ProgressReport(f"on labels, epoch {epoch + 1}", _batches(train[0], settings)) as report:
        for pick in order.split(settings.batch)[: settings.steps]:
            faces = augment(scale_grey(train[0][pick]), generator, STRENGTH)
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
                logits = net(faces)
            loss = functional.cross_entropy(logits.float(), train[1][pick], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            report.step(f"loss {loss.item():.4f}")


def _batches(faces: Tensor, settings: PretrainMae) -> int:
    """Batches in an epoch."""
    whole = math.ceil(len(faces) / settings.batch)
    return min(whole, settings.steps) if settings.steps else whole


def compare(settings: PretrainMae, results: Path = RESULTS) -> None:
    """Runs all uses and writes the table, row by row."""
    checkpoint = Checkpoint.find(str(settings.out), "--out")
    pretrained: Any = checkpoint.load(ViTMAEModel, mask_ratio=0.0)
    config = pretrained.config
    train, test = read_train(settings.data / "fer2013"), read_test(settings.data / "fer2013")
    epochs = f"trained on the labels for {settings.scratch_epochs} epochs"
    uses = {
        "linear probe, random weights": lambda: probe(
            random_vit(config, settings.seed), train, test
        ),
        "linear probe, MAE pre-training": lambda: probe(pretrained, train, test),
        f"from scratch, {epochs}": lambda: train_on_labels(
            random_vit(config, settings.seed), train, test, settings
        ),
    }
    if settings.finetune:
        uses[f"from MAE pre-training, {epochs}"] = lambda: train_on_labels(
            pretrained, train, test, settings
        )
    rows = []
    for name, use in uses.items():
        began = time.time()
        scores = use()
        rows.append(_row(name, scores, len(test[0]), time.time() - began))
        print(rows[-1], flush=True)
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(_page(rows, pretrained, checkpoint.revision, settings))
    print(f"wrote {results}")


def _row(name: str, scores: dict[str, float], count: int, seconds: float) -> str:
    share = scores["accuracy"]
    error = math.sqrt(share * (1 - share) / count)
    return (
        f"| {name} | {share:.4f} ± {error:.4f} | {scores['accuracy_without_copies']:.4f}"
        f" | {scores['macro_f1']:.4f} | {seconds:.0f} |"
    )


def _page(rows: list[str], vit: Any, revision: str, settings: PretrainMae) -> str:
    """The table and how it was made, in Markdown."""
    size = sum(p.numel() for p in vit.parameters()) / 1e6
    short = f" Only {settings.steps} batches an epoch: a trial." if settings.steps else ""
    lines = [
        "# Masked autoencoding of faces: what it is worth",
        "",
        "Written by `python -m experiments.pretraining.pretrain_mae --compare`."
        " FER2013's test part, 7 classes;"
        " one ViT"
        f" ({size:.1f} M parameters, weights {revision}); seed {settings.seed}; ± is the binomial"
        f" standard error.{short}",
        "",
        f"Probe: logistic regression (C {PENALTY}) on the standardised mean over the patch tokens."
        " Training on"
        f" labels: AdamW 5e-4, one cycle, augmentation of strength {STRENGTH}, label smoothing .1.",
        "",
        "| use | accuracy | without copies | macro-F1 | seconds |",
        "|---|---|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"
