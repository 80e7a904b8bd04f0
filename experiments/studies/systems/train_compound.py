"""Whether six sigmoids learn compound expressions better than a softmax guesses them.

    python -m experiments.studies.systems.train_compound --data PATH/fer2013

Data flow: FER2013 pictures with one of the six basic expressions > singles and mixtures of two >
packaged expression net > embeddings > six-sigmoid head, with and without the curriculum, several
seeds > held-out basic expressions and synthetic compounds > a page in experiments/results.

There is no truth of compound expressions here: compounds are synthetic, mixed from held-out test
pictures. A head that has learnt from mixtures of the same making has an advantage on them that real
faces would not give, so each way of mixing is tested on the other's pictures too. Nothing is chosen
on the test pictures. A killed run goes on from the last finished training.

Letters: N pictures, D embedding dimensions.
"""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import Tensor, nn
from torch.nn import functional

from experiments.kept import Cache
from experiments.pages import table, write_page
from experiments.pretraining.loop import Loop
from experiments.pretraining.train_expression import WEIGHTS
from experiments.studies.systems.compound_pictures import (
    Part,
    held_out_pictures,
    make_parts,
    training_pictures,
)
from features.cli.app import OK, run
from features.cli.progress import ProgressReport
from features.encoders.visual.expression_net import ExpressionNet, load_expression_net
from features.store.fingerprint import settings_hash
from fusion.model.heads import task_head
from fusion.tasks.compound import COMPOUND_PAIRS, CompoundSettings
from fusion.tasks.learning.mixtures import (
    BASIC,
    compound_batch,
    compound_targets,
    share_at,
)

RESULT = Path(__file__).parents[2] / "results/compound.md"
SCHEDULE = CompoundSettings().share
"""The curriculum of the recipe; a training lasts as long."""
ARMS: dict[str, tuple[str, ...]] = {
    "single pictures only": (),
    "curriculum, feature Mixup": ("feature",),
    "curriculum, Mixup of pictures": ("mixup",),
    "curriculum, half-face CutMix": ("half",),
    "curriculum, Mixup and half-face CutMix": ("mixup", "half"),
}
"""What is compared: where its mixtures come from."""
COLUMNS = {
    "basic": "macro-F1 of 6 basic",
    "mixup": "top-1 of 7, synthetic by Mixup",
    "half": "... by half-face CutMix",
}
ZERO_SHOT = "zero-shot: softmax of the packaged net"


@dataclass
class TrainCompound:
    """Settings of the comparison.

    Args:
        data: Folder with FER2013's train.npz and test.npz.
        result: Page to write.
        state: Folder of what finished trainings scored.
        pictures: Training pictures, a random part of all.
        mixtures: Of training pictures, by each way of mixing.
        test_mixtures: Of test pictures, by each way of mixing.
        seeds: Trainings of each kind.
        finetune: Whether the expression net learns too; slow, and wants a lower rate (1e-4).
        batch: Rows of a step.
        lr: Learning rate of AdamW.
    """

    data: Path
    result: Path = RESULT
    state: Path = Path("runs/train_compound")
    pictures: int = 8000
    mixtures: int = 4000
    test_mixtures: int = 1400
    seeds: int = 3
    finetune: bool = False
    batch: int = 128
    lr: float = 1e-3

    def key(self) -> str:
        """What a resumed comparison must share."""
        free = ("result", "state", "seeds")
        return settings_hash({k: str(v) for k, v in asdict(self).items() if k not in free})


class Six(nn.Module):
    """Six sigmoids on embeddings, or on pictures through an expression net that learns.

    Args:
        net: Copied; None: the inputs are embeddings.
        dim: Of the embeddings.
    """

    def __init__(self, net: ExpressionNet | None, dim: int) -> None:
        super().__init__()
        self.net = None if net is None else copy.deepcopy(net).eval()
        self.head = task_head(dim, BASIC)

    def train(self, mode: bool = True) -> "Six":
        """As of any module, but the net's own norms stay what they are."""
        super().train(mode)
        if self.net is not None:
            self.net.eval()
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        """(N, 6) logits."""
        return self.head(inputs if self.net is None else self.net(inputs)[0])


def command(settings: TrainCompound) -> int:
    """Trains what is not trained yet and writes the page."""
    began = time.time()
    net = load_expression_net(WEIGHTS).to(memory_format=torch.channels_last)
    torch.manual_seed(0)
    singles = training_pictures(settings.data, settings.pictures)
    train = make_parts(net, singles, settings.mixtures, pictures=settings.finetune)
    singles = held_out_pictures(settings.data)
    test = make_parts(net, singles, settings.test_mixtures, pictures=settings.finetune)
    cache, scores = Cache(settings.state), {}

    def scored(name: str, seed: int) -> dict[str, float]:
        model = fit(net, train, ARMS[name], seed, settings)
        return judge(partial(_say, model), test)

    names = [name for name, kinds in ARMS.items() if not (settings.finetune and "feature" in kinds)]
    with ProgressReport("train", len(names) * settings.seeds) as progress:
        for name in names:
            for seed in range(settings.seeds):
                label = f"{name} #{seed}"
                scores[label] = cache.get(label, settings.key(), partial(scored, name, seed))
                progress.step(label)
    rows = {ZERO_SHOT: [judge(lambda part: part.softmax, test)]}
    rows |= {name: [scores[f"{name} #{s}"] for s in range(settings.seeds)] for name in names}
    text = page(settings, rows, test, time.time() - began)
    write_page(text, settings.result)
    return OK


def fit(
    net: ExpressionNet,
    parts: dict[str, Part],
    kinds: tuple[str, ...],
    seed: int,
    settings: TrainCompound,
) -> Six:
    """Trains six sigmoids over the whole schedule; without kinds of mixtures, on singles only."""
    torch.manual_seed(seed)
    model = Six(net if settings.finetune else None, net.classify.in_features)
    optimizer = torch.optim.AdamW(model.parameters(), settings.lr)
    single = parts["basic"]
    made = [parts[kind] for kind in kinds if kind != "feature"]
    loop = Loop(model, optimizer)
    for epoch in range(sum(epochs for epochs, _ in SCHEDULE)):
        share = share_at(epoch, SCHEDULE) if kinds else 0.0
        picks = torch.randperm(len(single.truth)).split(settings.batch)
        batches = (draw(single.inputs[p], single.truth[p], made, share) for p in picks)
        loop.epoch(epoch, len(picks), batches, losses)
    return model


def losses(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Of six sigmoids."""
    return {"loss": functional.binary_cross_entropy_with_logits(model(batch[0]), batch[1])}


def draw(inputs: Tensor, basic: Tensor, made: list[Part], share: float) -> tuple[Tensor, Tensor]:
    """A share of mixtures, the rest of the rows as they are; and the six targets of each.

    Mixtures are drawn evenly from those that were made before; if there are none, the rows
    themselves are mixed: feature Mixup.
    """
    if not made:
        return compound_batch(inputs, basic, share)
    count = round(share * len(basic))
    numbers = torch.randint(len(made), (count,))
    pieces = [inputs[count:]]
    wanted = [functional.one_hot(basic[count:], BASIC)]
    for number, part in enumerate(made):
        chosen = torch.randint(len(part.truth), (int((numbers == number).sum()),))
        pieces.append(part.inputs[chosen])
        wanted.append(compound_targets(part.truth[chosen]))
    return torch.cat(pieces), torch.cat(wanted).float()


@torch.no_grad()
def _say(model: Six, part: Part) -> Tensor:
    """(N, 6) probabilities."""
    return torch.cat([torch.sigmoid(model(piece)) for piece in part.inputs.split(256)])


def judge(says: Callable[[Part], Tensor], test: dict[str, Part]) -> dict[str, float]:
    """Macro-F1 over six basic expressions; share of right compounds for each making."""
    found = {}
    for name, part in test.items():
        scores, truth = says(part).numpy(), part.truth.numpy()
        if name == "basic":
            found[name] = float(f1_score(truth, scores.argmax(1), average="macro"))
        else:
            guess = scores[:, COMPOUND_PAIRS].sum(axis=2).argmax(axis=1)
            found[name] = float((guess == truth).mean())
    return found


def page(
    settings: TrainCompound,
    rows: dict[str, list[dict[str, float]]],
    test: dict[str, Part],
    seconds: float,
) -> str:
    """The result page."""
    words = ["python -m experiments.studies.systems.train_compound --data PATH/fer2013"]
    words += [
        f"--{name} {value}".lower()
        for name, value in asdict(settings).items()
        if name not in ("data", "result", "state") and value != getattr(TrainCompound, name)
    ]
    sizes = {name: len(part.truth) for name, part in test.items()}
    share = rows[ZERO_SHOT][0]["mixup"]
    return _TEXT.format(
        day=date.today(),
        command=" ".join(words),
        minutes=seconds / 60,
        what="fine-tuned" if settings.finetune else "frozen",
        error=math.sqrt(share * (1 - share) / max(sizes["mixup"], 1)),
        schedule=", ".join(f"{epochs} epochs with {share:g}" for epochs, share in SCHEDULE),
        rows=table({"trained on": name, **_cells(scores)} for name, scores in rows.items()),
        **asdict(settings) | sizes,
    )


def _cells(scores: list[dict[str, float]]) -> dict[str, str]:
    """Mean, and standard deviation over seeds where there are several."""
    cells = {}
    for name, heading in COLUMNS.items():
        values = np.array([one[name] for one in scores])
        spread = f" +- {values.std(ddof=1):.3f}" if len(values) > 1 else ""
        cells[heading] = f"{values.mean():.3f}{spread}"
    return cells


_TEXT = """# Compound expressions from basic ones

Written by `{command}` on {day}, in {minutes:.1f} minutes of 2 cores of a shared machine.

Six sigmoids (one hidden layer) on the {what} packaged expression net, {pictures} of FER2013's
training pictures with one of the six basic expressions, {mixtures} mixtures of them by each way of
mixing, AdamW {lr:g}, batches of {batch}, {seeds} seeds: mean +- standard deviation over them. The
share of mixtures is the recipe's curriculum: {schedule}.
A compound scores the sum of its two; zero-shot, of the net's own softmax.

**No truth of compound expressions exists here.** The compounds of the last two columns are
synthetic: {mixup} and {half} pictures mixed from held-out test pictures (no copies of training
pictures) by Mixup and by half-face CutMix (upper half of one, lower half of the other); chance is
1/7. The first column is real: {basic} test pictures with one basic expression each.

{rows}

One share of right compounds has a standard error of about {error:.3f} (binomial, from the number of
test mixtures); the spread over seeds does not hold it. Differences of that size mean nothing.

What this can show: whether a head learns to see two expressions that were both put into a picture,
also when they were put there in another way than in training (a head trained on Mixup, tested on
CutMix, and the other way round), and what that costs on single expressions: the curriculum ends
with mixtures alone. What it cannot show: how well people's compound expressions are told, of which
no labels are public. The packaged net has learnt from the training pictures with their labels, so
that its embeddings of them are tidier than those of the test pictures.
"""

if __name__ == "__main__":
    run(
        TrainCompound,
        command,
        prog="experiments.studies.systems.train_compound",
        description=__doc__.split("\n")[0],
    )
