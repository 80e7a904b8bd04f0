"""Rows of the comparison of `face` on speed and expressions.

Letters: N faces.
"""

import time
from collections.abc import Iterator

import numpy as np

from experiments.pretraining.face.scoring import Row, Score, Tested, grey, mean_score
from experiments.pretraining.face.units import outputs

BATCH, ROUNDS = 8, 150
"""Faces at a time, and rounds, when speed is measured."""


def speed(tested: Tested) -> Row:
    """How many times as fast as `expression` per face."""
    crops = np.random.default_rng(0).integers(0, 256, (BATCH, 112, 112, 3)).astype(np.uint8)
    seconds = np.zeros((ROUNDS, 2))
    runs = (tested.face.encode_faces, tested.expression.encode_faces)
    for run in runs:
        run(crops)
    for turn in range(ROUNDS):
        for column, run in enumerate(runs):
            began = time.process_time()
            run(crops)
            seconds[turn, column] = time.process_time() - began
    ratios = seconds[:, 1] / seconds[:, 0]
    error = 1.25 * ratios.std() / np.sqrt(ROUNDS)  # of a median
    mine, theirs = np.median(seconds, 0) / BATCH * 1000
    return Row(
        "speed, times `expression`",
        f"{mine:.2f} ms a face against {theirs:.2f}",
        Score(float(np.median(ratios)), float(error), 2),
        4.0,
    )


def fer(tested: Tested) -> Iterator[Row]:
    """FER2013's labels and FER+'s majority."""
    faces = tested.part("fer")
    streams = grey(tested.face, faces.images)
    flat, votes = streams["face.expression"], streams["face.votes"].argmax(1)
    label = outputs(tested.network, faces.images)[1]["fer"].argmax(1).numpy()
    other = faces.teacher.argmax(1)
    every = np.ones(len(faces), bool)

    def score(guess: np.ndarray, truth: np.ndarray, rows: np.ndarray) -> Score:
        return mean_score(guess[rows] == truth[rows], np.flatnonzero(rows))

    for on, rows, target, anchors in (
        ("all", every, 0.72, "mini XCEPTION .654; best single net without more data .733"),
        ("without copies", ~faces.copy, None, "mini XCEPTION .637"),
    ):
        yield Row(
            "accuracy, `face.expression`",
            f"FER2013 test, 7 classes, {on}",
            score(flat[:, :7].argmax(1), faces.label, rows),
            target,
            score(other, faces.label, rows),
            anchors,
        )
    yield Row(
        "accuracy, label head (no stream)",
        "FER2013 test, 7 classes, all",
        score(label, faces.label, every),
        None,
        score(other, faces.label, every),
    )
    rated = majority(faces.votes)
    known = rated >= 0
    yield Row(
        "accuracy, `face.votes`",
        "FER+ majority, 8 classes",
        score(votes, rated, known),
        0.80,
        score(other, rated, known),
        "map of the teacher's 52 .646; face-api .682; single nets .84 to .88 on its own split",
    )
    yield Row(
        "accuracy, `face.expression`",
        "FER+ majority, 8 classes",
        score(flat.argmax(1), rated, known),
        None,
        score(other, rated, known),
    )


def majority(votes: np.ndarray) -> np.ndarray:
    """Class (N,) that most voted for, -1 without votes or with a tie, of shares (N, 8)."""
    best = np.nan_to_num(votes, nan=-1.0).max(1)
    single = (votes == best[:, None]).sum(1) == 1
    return np.where(single, np.nan_to_num(votes, nan=-1.0).argmax(1), -1)


def unseen(tested: Tested) -> Iterator[Row]:
    """Expressions of CK+ and of actor 01, nothing of which was trained on."""
    known = tested.ck.labels >= 0
    truth, people = tested.ck.labels[known], tested.ck.people[known]
    faces = tested.ck.faces[known]
    guesses = [
        grey(tested.face, faces)["face.expression"][:, :7].argmax(1) == truth,
        grey(tested.expression, faces)["expression.probs"].argmax(1) == truth,
    ]
    yield Row(
        "accuracy, `face.expression`",
        "CK+48, 6 classes",
        mean_score(guesses[0], people),
        0.85,
        mean_score(guesses[1], people),
        "mini XCEPTION .685; map of the teacher's 52 .691",
    )
    clips = np.unique(tested.actor.groups)
    truth = np.array([tested.actor.labels[tested.actor.groups == c][0] for c in clips])
    hits = []
    for run, name in (
        (tested.face.encode_faces, "face.expression"),
        (tested.expression.encode_faces, "expression.probs"),
    ):
        frames = run(tested.actor.faces)[name][:, :7]
        means = np.stack([frames[tested.actor.groups == c].mean(0) for c in clips])
        hits.append(means.argmax(1) == truth)
    yield Row(
        "accuracy, `face.expression`",
        "RAVDESS actor 01, 52 clips, 7 classes",
        mean_score(hits[0], clips),
        0.55,
        mean_score(hits[1], clips),
        "mini XCEPTION .500",
    )
