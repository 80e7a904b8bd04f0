"""What is fitted to the trained face network, and how it is scored."""

import numpy as np
import pytest
import torch

from experiments.pretraining.face import fit_face as module
from experiments.pretraining.face.expression_rows import majority
from experiments.pretraining.face.fit_face import fit_expressions, fit_validity, no_faces
from experiments.pretraining.face.scoring import Row, correlation, drawn_score, mean_score
from experiments.pretraining.face.units import fit_units, outputs
from features.encoders.visual.face.model import FaceModel
from tests.experiments.pretraining.face.made import made_faces


def test_expressions_get_a_flat_prior() -> None:
    """Heads that only know that class 4 is frequent end up without an opinion."""
    faces = made_faces(400)
    faces.label[:] = np.where(np.arange(400) % 10 < 7, 4, np.arange(400) % 7)
    faces.votes[:] = np.nan
    faces.votes[:] = 0.9 * np.eye(8, dtype=np.float32)[faces.label] + 0.1 / 8
    share = torch.from_numpy(np.bincount(faces.label, minlength=8) / 400).float()

    def prior(*_: object) -> tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor]:
        log = (share + 0.01).log().expand(400, 8)
        return torch.zeros(400, 1), {"fer": log[:, :7], "votes": log}, torch.zeros(400, 1)

    model = FaceModel()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "outputs", prior)
        fit_expressions(model, faces)
        probs = model.expressions(prior()[1]).softmax(1)[0]
    assert probs[:7].std() < 0.03


def test_units_are_found_by_what_tells_them() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(5, 2, (1500, 20)).astype(np.float32)
    present = features[:, :3] > 6
    weight, bias = fit_units(features, present, np.arange(1500) % 30)
    guess = features @ weight.numpy().T + bias.numpy() > 0
    assert (guess == present).mean() > 0.85
    assert weight[:, :3].abs().argmax(1).tolist() == [0, 1, 2]


def test_validity_falls_with_damage() -> None:
    torch.manual_seed(0)
    model, faces = FaceModel().eval(), made_faces(60)
    ramp = np.linspace(0, 255, 48)[None, None] * np.linspace(0.3, 1, 60)[:, None, None]
    faces.images[:] = np.broadcast_to(ramp, (60, 48, 48)).astype(np.uint8)
    fit_validity(model, faces, seed=1)
    views = no_faces(faces.images, torch.Generator().manual_seed(3))
    assert views.shape == (60, 1, 48, 48)

    def valid(pictures: np.ndarray | torch.Tensor) -> float:
        embedding, _, texture = outputs(model.net, pictures)
        return float(model.validity(torch.cat([embedding, texture], 1)).detach().sigmoid().mean())

    assert valid(faces.images) > valid(views) + 0.2


def test_a_majority_is_single_and_known() -> None:
    votes = np.zeros((3, 8), np.float32)
    votes[0, 2], votes[0, 3] = 0.6, 0.4
    votes[1, 2], votes[1, 3] = 0.5, 0.5
    votes[2] = np.nan
    assert majority(votes).tolist() == [2, -1, -1]


def test_errors_take_pictures_of_one_person_as_one() -> None:
    hits = np.repeat([0.0, 1.0, 1.0, 0.0], 25)
    apart, together = mean_score(hits, np.arange(100)), mean_score(hits, np.arange(100) // 25)
    assert apart.value == together.value == 0.5
    assert together.error == pytest.approx(5 * apart.error)
    drawn = drawn_score(lambda rows: float(hits[rows].mean()), np.arange(100) // 25)
    assert drawn.error == pytest.approx(together.error, rel=0.2)


def test_correlations_are_a_column_each() -> None:
    truth = np.random.default_rng(0).normal(size=(50, 3))
    guess = truth * [1, -2, 1] + [0, 5, 0]
    guess[:, 2] = 1.0
    np.testing.assert_allclose(correlation(guess, truth), [1, -1, 0], atol=1e-9)


def test_a_missed_target_says_by_how_much() -> None:
    assert Row("", "", mean_score(np.ones(4) * 0.7, np.arange(4)), 0.72).met == "no, by 0.020"
    assert Row("", "", mean_score(np.ones(4), np.arange(4)), 0.72).met == "yes"
    error = mean_score(np.ones(4) * 5.2, np.arange(4), 1)
    assert Row("", "", error, 5.0, most=True).met == "no, by 0.2"
