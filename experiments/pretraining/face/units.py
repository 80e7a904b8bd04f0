"""Action units: CK+'s FACS codes, and logistic regressions from the network's outputs to them.

Data flow: CK+'s faces, close and wide > FaceNet > embedding and blendshapes >
standardised logistic regression a unit.

Letters: N faces, U units, D features.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from torch import Tensor
from torch.nn import functional

from experiments.pretraining.probe_data import require
from features.encoders.visual.expression_net import scale_grey
from features.encoders.visual.face.encoder import UNITS
from features.encoders.visual.face.net import FaceNet

FOLDS = 5
STRENGTHS = (0.001, 0.003, 0.01)
"""Values of C to choose from, one for all units, by folds of the subjects that are fitted on."""
WIDE = slice(3, 46)
"""What is kept of a side of the wider framing, which shows the whole head."""


@dataclass(frozen=True)
class CodedFaces:
    """Faces with FACS codes.

    Attributes:
        images: (N, 48, 48) uint8.
        present: (N, U) bool.
        subjects: (N,).
        peak: (N,) whether it is the close picture of a sequence's last frame: what is judged.
    """

    images: np.ndarray
    present: np.ndarray
    subjects: np.ndarray
    peak: np.ndarray

    def features(self, net: FaceNet) -> np.ndarray:
        """Embedding and blendshapes (N, D) of all faces."""
        embedding, heads, _ = outputs(net, self.images)
        return torch.cat([embedding, heads["blendshapes"]], 1).numpy()


def read_coded(data: Path) -> CodedFaces:
    """CK+: last three frames of each sequence; in the wider framing, peaks and neutral frames."""
    with np.load(require(data / "faces/ckplus48.npz")) as z:
        images, sequence = z["images"], z["sequence"]
        last = np.array([z["frame_number"][sequence == s].max() for s in range(sequence.max() + 1)])
        peak = z["frame_number"] == last[sequence]
    with np.load(require(data / "faces/ckplus48_facs.npz")) as z:
        units = [int(np.flatnonzero(z["aus"] == int(unit[2:]))[0]) for unit in UNITS]
        codes, subject = z["present"][:, units].astype(bool), z["subject"].astype(str)
        names = {name: n for n, name in enumerate(z["sequence_names"].tolist())}
    with np.load(require(data / "faces/ckplus_wide48.npz")) as z:
        neutral = z["emotion"] == "neutral"
        wide = np.stack([cv2.resize(i[WIDE, WIDE], (48, 48)) for i in z["images"]])
        rows = np.array([names.get(name, -1) for name in z["sequence_names"].tolist()])
        wide_codes = np.where(neutral[:, None], False, codes[rows])
        known = neutral | (rows >= 0)
        wide_subjects = z["subjects"].astype(str)
    return CodedFaces(
        images=np.concatenate([images, wide[known]]),
        present=np.concatenate([codes[sequence], wide_codes[known]]),
        subjects=np.concatenate([subject[sequence], wide_subjects[known]]),
        peak=np.concatenate([peak, np.zeros(known.sum(), bool)]),
    )


@torch.inference_mode()
def outputs(net: FaceNet, faces: np.ndarray | Tensor) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """What the network gives for pictures (N, 48, 48) uint8, or (N, 1, 48, 48) in [-1, 1]."""
    if isinstance(faces, np.ndarray):
        faces = scale_grey(torch.from_numpy(np.ascontiguousarray(faces)[:, None]))
    parts = [net(part.contiguous(memory_format=torch.channels_last)) for part in faces.split(64)]
    heads = {name: torch.cat([part[1][name] for part in parts]) for name in parts[0][1]}
    return torch.cat([part[0] for part in parts]), heads, torch.cat([part[2] for part in parts])


def fit_units(
    features: np.ndarray, present: np.ndarray, subjects: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Weights (U, D) and biases (U,) of logistic regressions on raw features (N, D).

    C is chosen by the mean AUC over folds of these subjects.
    """
    scores = []
    for strength in STRENGTHS:
        guesses = np.zeros(present.shape)
        for train, test in GroupKFold(2).split(features, groups=subjects):
            weight, bias = _regress(features[train], present[train], strength)
            guesses[test] = features[test] @ weight.T + bias
        scores.append(auc(present, guesses).mean())
    weight, bias = _regress(features, present, STRENGTHS[int(np.argmax(scores))])
    return torch.from_numpy(weight).float(), torch.from_numpy(bias).float()


def guess_unseen(coded: CodedFaces, features: np.ndarray) -> np.ndarray:
    """Logits (N, U) of faces by regressions that have not seen their subject."""
    guesses = np.zeros(coded.present.shape)
    for train, test in GroupKFold(FOLDS).split(features, groups=coded.subjects):
        weight, bias = fit_units(features[train], coded.present[train], coded.subjects[train])
        guesses[test] = features[test] @ weight.numpy().T + bias.numpy()
    return guesses


def auc(present: np.ndarray, guesses: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each unit, (U,); NaN where one class is absent."""
    return np.array(
        [
            roc_auc_score(truth, guess) if 0 < truth.sum() < len(truth) else np.nan
            for truth, guess in zip(present.T, guesses.T, strict=True)
        ]
    )


def _regress(
    features: np.ndarray, present: np.ndarray, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regressions of all units at once: weights (U, D) and biases (U,) on raw features."""
    mean, std = features.mean(0), features.std(0) + 1e-3
    x = torch.from_numpy((features - mean) / std).float()
    y = torch.from_numpy(present).float()
    weight = torch.zeros(y.shape[1], x.shape[1], requires_grad=True)
    bias = torch.zeros(y.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        logits = x @ weight.T + bias
        entropy = functional.binary_cross_entropy_with_logits(logits, y, reduction="sum")
        value = (entropy * strength + weight.pow(2).sum() / 2) / len(x)
        value.backward()
        return value

    optimizer.step(loss)
    scaled = weight.detach().numpy() / std
    return scaled, bias.detach().numpy() - scaled @ mean
