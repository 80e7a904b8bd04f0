"""Fits what the `face` encoder adds to its trained network, and writes the packaged weights.

Data flow: network of `experiments.pretraining.face.train_face` >
expressions: the two heads' mix and prior, on held-out pictures of FER2013's training part;
units: logistic regression on embedding and blendshapes, on CK+'s FACS codes;
validity: how far damage moves the blendshapes, on faces that were trained on, damaged
> safetensors.

    python -m experiments.pretraining.face.fit_face --data PATH
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from experiments.kept import Cache
from experiments.pretraining.face.damage import damaged
from experiments.pretraining.face.data import CALIBRATE, TRAIN, Faces, read_faces
from experiments.pretraining.face.train_face import RUN
from experiments.pretraining.face.units import fit_units, outputs, read_coded
from experiments.pretraining.loop import Loop
from features.cli.app import OK, run
from features.encoders.visual.expression_net import scale_grey
from features.encoders.visual.face.encoder import WEIGHTS
from features.encoders.visual.face.model import Expressions, FaceModel
from features.encoders.visual.face.net import load_face_net

REMEDY = "run experiments.pretraining.face.train_face first"
TRUST = 1.0
"""Root mean square change of the standardised blendshapes at which the validity is 1/e."""
DAMAGED_FACES, DAMAGES, STEPS = 2000, 3, 1500
"""Faces that are damaged, how often each, and steps in which the validity is fitted."""


@dataclass
class FitFace:
    """Settings of the fit.

    Args:
        data: Folder of the shared data.
        trunk: Network of `train_face`.
        out: File for the packaged weights.
        cache: Folder for what takes long to read.
        seed: Of damage and weights.
    """

    data: Path
    trunk: Path = RUN / "trunk.safetensors"
    out: Path = WEIGHTS
    cache: Path = RUN / "cache"
    seed: int = 1


def fit(settings: FitFace) -> int:
    """Fits all parts and writes the weights."""
    torch.manual_seed(settings.seed)
    faces = read_faces(settings.data, Cache(settings.cache))
    model = FaceModel().eval()
    model.net = load_face_net(settings.trunk, REMEDY)
    fit_expressions(model, faces.take(faces.part == CALIBRATE))
    coded = read_coded(settings.data)
    units = fit_units(coded.features(model.net), coded.present, coded.subjects)
    model.units.weight.data, model.units.bias.data = units
    loss = fit_validity(model, faces.take(faces.part == TRAIN), settings.seed)
    print(f"validity: mean square error {loss:.4f}", flush=True)
    weights = {
        name: w.half().contiguous() if w.is_floating_point() else w
        for name, w in model.state_dict().items()
    }
    settings.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, settings.out)
    print(f"wrote {settings.out} ({settings.out.stat().st_size / 1e6:.2f} MB)")
    return OK


def fit_expressions(model: FaceModel, faces: Faces) -> None:
    """Fits the mix and the prior on pictures with both labels, as if classes were equally frequent.

    The truth is half FER2013's label (what the picture was found by) and half FER+'s votes (what
    ten people saw); each picture weighs by what its classes lack, so that the prior is flat.
    """
    faces = faces.take((faces.label >= 0) & np.isfinite(faces.votes[:, 0]))
    _, heads, _ = outputs(model.net, faces.images)
    label = functional.one_hot(torch.from_numpy(faces.label).long(), 8).float()
    truth = (label + torch.from_numpy(faces.votes)) / 2
    weight = 1 / truth.mean(0)
    fitted = Expressions()
    optimizer = torch.optim.LBFGS(fitted.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        log_probs = fitted(heads).log_softmax(1)
        value = -(weight * truth * log_probs).sum(1).mean() / 8 + 0.01 * (fitted.bias**2).mean()
        value.backward()
        return value

    optimizer.step(loss)
    print(f"expressions: mix {fitted.mix.tolist()}, bias {fitted.bias.tolist()}", flush=True)
    model.expressions = fitted


def fit_validity(model: FaceModel, faces: Faces, seed: int) -> float:
    """Fits the validity's layers; the mean square error.

    The truth is exp(-d / TRUST), d the root mean square over blendshapes of how far damage moved
    the network's reading, in standard deviations over undamaged faces; 0 where there is no face.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(faces), generator=generator)[:DAMAGED_FACES].numpy()
    pictures = faces.images[rows]
    clean = outputs(model.net, pictures)[1]["blendshapes"]
    spread = clean.std(0)
    inputs, truth = [], []
    for _ in range(DAMAGES):
        views = damaged(scale_grey(torch.from_numpy(pictures[:, None])), generator)
        embedding, heads, texture = outputs(model.net, views)
        distance = ((heads["blendshapes"] - clean) / spread).pow(2).mean(1).sqrt()
        inputs.append(torch.cat([embedding, texture], 1))
        truth.append(torch.exp(-distance / TRUST))
    embedding, _, texture = outputs(model.net, no_faces(pictures, generator))
    x = torch.cat([*inputs, torch.cat([embedding, texture], 1)])
    y = torch.cat([*truth, torch.zeros(len(embedding))])
    mean, std = x.mean(0), x.std(0) + 1e-3
    head = model.validity
    optimizer = torch.optim.AdamW(head.parameters(), 2e-3, weight_decay=1e-2)

    def losses(net: nn.Module, pick: Tensor) -> dict[str, Tensor]:
        guess = net((x[pick] - mean) / std)[:, 0].sigmoid()
        return {"loss": functional.mse_loss(guess, y[pick])}

    picks = (torch.randint(len(x), (256,), generator=generator) for _ in range(STEPS))
    loss = Loop(head, optimizer).epoch(0, STEPS, picks, losses)["loss"]
    with torch.no_grad():  # the standardisation becomes a part of the first layer
        first = head[0]
        assert isinstance(first, nn.Linear)
        first.weight /= std
        first.bias.sub_(first.weight @ mean)
    return loss


def no_faces(pictures: np.ndarray, generator: torch.Generator) -> Tensor:
    """Pictures (N, 1, 48, 48) of no face: parts of faces in disorder, slopes of light, noise."""
    faces = scale_grey(torch.from_numpy(pictures[:, None]))
    third = len(faces) // 3
    blocks = faces[:third].unfold(2, 12, 12).unfold(3, 12, 12).reshape(third, 16, 12, 12)
    order = torch.rand(third, 16, generator=generator).argsort(1)
    blocks = blocks[torch.arange(third)[:, None], order].view(third, 4, 4, 12, 12)
    mixed = blocks.permute(0, 1, 3, 2, 4).reshape(third, 1, 48, 48)
    coarse = torch.rand(third, 1, 3, 3, generator=generator) * 2 - 1
    slopes = functional.interpolate(coarse, size=(48, 48), mode="bilinear", align_corners=True)
    cells = torch.rand(third, 1, 12, 12, generator=generator) * 2 - 1
    noise = functional.interpolate(cells, size=(48, 48), mode="nearest")
    return torch.cat([mixed, slopes, noise])


if __name__ == "__main__":
    run(
        FitFace,
        fit,
        prog="experiments.pretraining.face.fit_face",
        description=__doc__.split("\n")[0],
    )
