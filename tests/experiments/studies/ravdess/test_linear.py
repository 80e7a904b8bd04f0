import numpy as np
import pytest

from experiments.studies.ravdess.linear import constant, discriminant, regression


@pytest.mark.parametrize("features", [3, 60])
def test_discriminant_follows_its_formula(features):
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(8), 5)
    x = rng.normal(size=(40, features)) + labels[:, None] * 0.1
    new = rng.normal(size=(6, features))
    scale = x.std(0)
    z, other = (x - x.mean(0)) / scale, (new - x.mean(0)) / scale
    means = np.stack([z[labels == k].mean(0) for k in range(8)])
    within = z - means[labels]
    cov = within.T @ within / 40
    cov = 0.7 * cov + 0.3 * np.trace(cov) / features * np.eye(features)
    apart = other[:, None] - means
    logits = -0.5 * np.einsum("nkd,de,nke->nk", apart, np.linalg.inv(cov), apart)
    expected = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(discriminant(0.3)(x, labels)(new), expected, rtol=1e-6)


@pytest.mark.parametrize("fit", [discriminant(0.5), regression(0.1), constant])
def test_an_emotion_that_training_lacks_is_never_guessed(fit):
    labels = np.tile(np.arange(8), 4)
    x = np.eye(8)[labels] * 8 + np.random.default_rng(0).normal(size=(32, 8))
    known = labels != 6
    said = fit(x[known], labels[known])(x)
    assert said.shape == (32, 8)
    assert np.isfinite(said).all()
    assert (said.argmax(1) != 6).all()
