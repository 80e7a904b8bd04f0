"""Predictions of several members as one.

Data flow: folders of predictions > statistics of valence and arousal over all clips; a clip's
predictions of every member, weights > FramePredictions of the ensemble.

- Expressions and units: weighted mean of log-probabilities and of logits, turned back. Thresholds
  are averaged as the probabilities are, so what all members say on is on in the ensemble.
- Basic expressions each by itself: as units are, with the weights of EXPR, where all members have
  them; else the ensemble has none.
- Valence and arousal: CCC-centred mean, in the manner of LFAN (Zhang et al., 2021). Each member is
  brought to mean 0 and deviation 1 over the whole folder, never by clip; the mean of the members
  is brought to deviation 1 again, since averaging shrinks it and CCC punishes that, and then to the
  mean of the members' deviations and means.

Letters: M members, F frames of a clip, C columns of a task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, softmax

from features.cli.wording import counted
from features.errors import UserError
from fusion.data.predictions import FramePredictions
from fusion.tasks.labels import DIMENSIONS, TASKS

FLOOR = 1e-7
"""Probabilities nearer to 0 or 1 are moved here before a logarithm is taken."""
CONSTANT = 1e-5
"""A member that deviates less adds nothing but its mean."""
TIME_TOLERANCE = 1e-3
"""Seconds by which members may differ about a frame's time."""

Weights = Mapping[str, np.ndarray]
"""By task (`VA`, `EXPR`, `AU`): (M,) weights that add up to 1."""


def equal_weights(members: int) -> dict[str, np.ndarray]:
    """The same weight for each member."""
    return {task: np.full(members, 1 / members) for task in TASKS}


@dataclass(frozen=True)
class VaStatistics:
    """Moments of the members' valence and arousal over a folder.

    Attributes:
        mean: (2, M) float64.
        deviation: (2, M) float64, 0 for a constant.
        correlation: (2, M, M) float64, 0 for a constant.
    """

    mean: np.ndarray
    deviation: np.ndarray
    correlation: np.ndarray

    def only(self, members: np.ndarray) -> "VaStatistics":
        """Those of (m,) of the members."""
        correlation = self.correlation[:, members][:, :, members]
        return VaStatistics(self.mean[:, members], self.deviation[:, members], correlation)

    def standardised(self, va: np.ndarray) -> np.ndarray:
        """(M, F, 2) values with mean 0 and deviation 1 over the folder; constants become 0."""
        scale = np.where(self.deviation > 0, self.deviation, 1)
        return (va - self.mean.T[:, None]) / scale.T[:, None]

    def restored(self, centred: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(F, 2) values in [-1, 1] from the weighted mean of standardised ones."""
        # Variance of a weighted sum of variables with deviation 1.
        spread = np.einsum("m,dmn,n->d", weights, self.correlation, weights) ** 0.5
        gain = self.deviation @ weights / np.where(spread > CONSTANT, spread, np.inf)
        return (centred * gain + self.mean @ weights).clip(-1, 1)


class VaMoments:
    """Collects valence and arousal clip by clip, then gives their statistics."""

    def __init__(self, members: int) -> None:
        self._count = 0
        self._sum = np.zeros((len(DIMENSIONS), members))
        self._products = np.zeros((len(DIMENSIONS), members, members))

    def add(self, va: np.ndarray) -> None:
        """Adds a clip: (M, F, 2) in [-1, 1], so that plain sums lose no digits that matter."""
        values = va.astype(np.float64).transpose(2, 0, 1)
        self._count += va.shape[1]
        self._sum += values.sum(axis=2)
        self._products += values @ values.transpose(0, 2, 1)

    def statistics(self) -> VaStatistics:
        """Statistics of everything added."""
        mean = self._sum / max(1, self._count)
        covariance = self._products / max(1, self._count) - mean[:, :, None] * mean[:, None]
        deviation = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2).clip(min=0))
        deviation = np.where(deviation > CONSTANT, deviation, 0)
        scale = deviation[:, :, None] * deviation[:, None]
        correlation = np.where(scale > 0, covariance / np.where(scale > 0, scale, 1), 0)
        return VaStatistics(mean, deviation, correlation)


def blend(
    members: Sequence[FramePredictions],
    weights: Weights,
    statistics: VaStatistics,
    provenance: Mapping[str, str],
) -> FramePredictions:
    """One clip's predictions of all members as one.

    Args:
        members: Checked to be of the same frames (`require_same_frames`).
        weights: Of the members, by task.
        statistics: Of the members over all clips of the folder.
        provenance: What is said of the result.
    """
    va = np.stack([one.va for one in members])
    centred = _mean(statistics.standardised(va), weights["VA"])
    log_expr = np.stack([log_probabilities(one.expr) for one in members])
    units = np.stack([logits(one.au) for one in members])
    thresholds = np.stack([logits(one.thresholds) for one in members])
    return FramePredictions(
        id=members[0].id,
        video=members[0].video,
        times=members[0].times,
        face=np.any([one.face for one in members], axis=0),
        va=statistics.restored(centred, weights["VA"]).astype(np.float32),
        expr=softmax(_mean(log_expr, weights["EXPR"]), axis=1).astype(np.float32),
        au=expit(_mean(units, weights["AU"])).astype(np.float32),
        thresholds=expit(_mean(thresholds, weights["AU"])).astype(np.float32),
        provenance=dict(provenance),
        compound=_compound(members, weights["EXPR"]),
    )


def _compound(members: Sequence[FramePredictions], weights: np.ndarray) -> np.ndarray | None:
    """(F, 6) float32 probabilities; None where a member lacks them."""
    held = [logits(one.compound) for one in members if one.compound is not None]
    if len(held) < len(members):
        return None
    return np.asarray(expit(_mean(np.stack(held), weights)), np.float32)


def log_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """Natural logarithms, float64; probabilities below `FLOOR` count as that."""
    return np.log(probabilities.astype(np.float64).clip(min=FLOOR))


def logits(probabilities: np.ndarray) -> np.ndarray:
    """Log-odds, float64; finite."""
    return logit(probabilities.astype(np.float64).clip(FLOOR, 1 - FLOOR))


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted mean over the members of (M, ...)."""
    return np.tensordot(weights, values, axes=1)


def require_same_frames(members: Sequence[FramePredictions], names: Sequence[str]) -> None:
    """Checks that the members' predictions of a clip are of the same frames.

    Raises:
        UserError: If they differ in number or in time; names the first that does.
    """
    first = members[0]
    for one, name in zip(members[1:], names[1:], strict=True):
        if len(one) != len(first):
            raise UserError(
                f"{name}: {counted(len(one), 'frame')} of '{one.id}', but {len(first)} in"
                f" {names[0]}; predict both from the same tracks"
            )
        if len(one) and np.abs(one.times - first.times).max() > TIME_TOLERANCE:
            raise UserError(
                f"{name}: other times of '{one.id}' than in {names[0]};"
                " predict both from the same tracks"
            )


def joint_provenance(members: Sequence[FramePredictions], ensemble: str) -> dict[str, str]:
    """What all members come from: a key with other values in several members gets a number."""
    joint = {"ensemble": ensemble}
    for number, member in enumerate(members, 1):
        for key, value in member.provenance.items():
            if joint.setdefault(key, value) != value:
                joint[f"{key} #{number}"] = value
    return joint
