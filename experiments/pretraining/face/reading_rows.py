"""Rows of the comparison of `face` on units, blendshapes, smiles, pose and validity.

Letters: N faces, D columns.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import LogisticRegression, Ridge

from experiments.pretraining.face.damage import damaged
from experiments.pretraining.face.data import TRAIN
from experiments.pretraining.face.scoring import (
    Row,
    Score,
    Tested,
    correlation,
    drawn_score,
    grey,
    mean_score,
)
from experiments.pretraining.face.units import auc, guess_unseen, outputs
from features.encoders.visual.expression_net import scale_grey
from features.encoders.visual.face.encoder import POSE

LEAST_DEVIATION = 0.02
"""Blendshapes that move less in the teacher's reading are not compared."""


def units(tested: Tested) -> Row:
    """Action units against FACS codes, subjects apart."""
    coded, peak = tested.coded, tested.coded.peak
    scores = []
    for features in (
        coded.features(tested.network),
        grey(tested.expression, coded.images)["expression"],
    ):
        guess, truth = guess_unseen(coded, features)[peak], coded.present[peak]
        scores.append(drawn_score(partial(_mean_auc, truth, guess), coded.subjects[peak]))
    return Row(
        "AUC, mean of 16 units",
        "CK+ peak frames, by subject",
        scores[0],
        0.93,
        f"{scores[1]} (map)",
        "map of the teacher's 52 .934",
    )


def _mean_auc(truth: np.ndarray, guess: np.ndarray, rows: np.ndarray) -> float:
    """Of columns (N, D), over some rows; columns with one class only are left out."""
    return float(np.nanmean(auc(truth[rows], guess[rows])))


def blendshapes(tested: Tested) -> Iterator[Row]:
    """Agreement with the teacher on faces that were not trained on."""
    train = tested.faces.take(
        (tested.faces.part == TRAIN) & np.isfinite(tested.faces.blendshapes[:, 0])
    )
    ridge = Ridge(100.0).fit(train.hint.astype(np.float32), train.blendshapes)
    for source, on in (
        ("lfw", "LFW, people not trained on"),
        ("yale", "Yale, people not trained on"),
        ("orl", "ORL, people not trained on"),
        ("fer", "FER2013 test"),
    ):
        faces = tested.part(source)
        faces = faces.take(np.isfinite(faces.blendshapes[:, 0]) & ~faces.copy)
        truth = faces.blendshapes
        moving = int((truth.std(0) >= LEAST_DEVIATION).sum())
        people = faces.person if source != "fer" else np.arange(len(faces))
        mine = grey(tested.face, faces.images)["face.blendshapes"]
        theirs = ridge.predict(faces.hint.astype(np.float32))
        scores = [_agreement(guess, truth, people) for guess in (mine, theirs)]
        yield Row(
            f"r with the teacher, {moving} blendshapes",
            on,
            scores[0],
            0.9,
            f"{scores[1]} (map)",
        )


def _agreement(guess: np.ndarray, truth: np.ndarray, people: np.ndarray) -> Score:
    """Mean r over the blendshapes (N, D) that move."""
    moving = truth.std(0) >= LEAST_DEVIATION

    def mean(rows: np.ndarray) -> float:
        return float(correlation(guess[rows][:, moving], truth[rows][:, moving]).mean())

    return drawn_score(mean, people)


def smiles(tested: Tested) -> Iterator[Row]:
    """Smiles of GENKI-4K, and LFW's happiness against neutral."""
    train, test = tested.part("genki", TRAIN), tested.part("genki")
    mapped = LogisticRegression(C=0.01, max_iter=500).fit(train.hint, train.smile)
    strangers, words = tested.part("lfw"), tested.words
    rated = np.isin(words, (0, 4))
    for faces, truth, on, other in (
        (test, test.smile == 1, "GENKI-4K, last 30 %", ".979"),
        (
            strangers.take(rated),
            words[rated] == 4,
            "LFW happiness against neutral, people not trained on",
            ".952 on all of LFW",
        ),
    ):
        guesses = (
            grey(tested.face, faces.images)["face.smile"][:, 0],
            mapped.decision_function(faces.hint),
        )
        people = np.where(faces.person >= 0, faces.person, np.arange(len(faces)))
        scores = [
            drawn_score(partial(_mean_auc, truth[:, None], guess[:, None]), people)
            for guess in guesses
        ]
        yield Row("AUC of smiles", on, scores[0], 0.98, f"{scores[1]} (map)", f"teacher {other}")


def pose(tested: Tested) -> Iterator[Row]:
    """Head pose of GENKI-4K."""
    train, test = tested.part("genki", TRAIN), tested.part("genki")
    mine = np.abs(grey(tested.face, test.images)["face.pose"] - test.pose)
    ridge = Ridge(100.0).fit(train.hint.astype(np.float32), train.pose)
    theirs = np.abs(ridge.predict(test.hint.astype(np.float32)) - test.pose)
    still = np.abs(train.pose.mean(0) - test.pose).mean(0)
    alone = np.arange(len(test))
    for n, angle in enumerate(POSE):
        yield Row(
            f"error of {angle}, degrees",
            "GENKI-4K, last 30 %",
            mean_score(mine[:, n], alone, 1),
            5.0,
            f"{mean_score(theirs[:, n], alone, 1)} (map)",
            f"no model {still[n]:.1f}",
            most=True,
        )


def validity(tested: Tested) -> Row:
    """Whether the validity ranks damaged faces by what the damage did to the blendshapes."""
    faces = tested.part("fer").take(np.arange(600))
    generator = torch.Generator().manual_seed(7)
    clean = outputs(tested.network, faces.images)[1]["blendshapes"]
    views = damaged(scale_grey(torch.from_numpy(faces.images[:, None])), generator)
    moved = outputs(tested.network, views)[1]["blendshapes"]
    distance = (((moved - clean) / clean.std(0)) ** 2).mean(1).sqrt().numpy()
    pictures = ((views[:, 0] + 1) * 127.5).round().clamp(0, 255).byte().numpy()
    valid = grey(tested.face, pictures)["face.validity"][:, 0]
    return Row(
        "rank correlation of validity with what damage left of the blendshapes",
        "FER2013 test, damaged",
        drawn_score(
            lambda rows: float(spearmanr(valid[rows], -distance[rows]).statistic),
            np.arange(len(faces)),
        ),
    )
