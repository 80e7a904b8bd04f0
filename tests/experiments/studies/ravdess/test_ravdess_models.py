from dataclasses import replace

import numpy as np
import pytest

from experiments.studies.ravdess import systems as ravdess_systems
from experiments.studies.ravdess.linear import constant, discriminant, regression
from experiments.studies.ravdess.streams import MOMENTS, UNITS, adapted
from experiments.studies.ravdess.systems import Trainer
from experiments.studies.ravdess.training import train_clips
from tests.experiments.ravdess_small import SMALL, blobs


def test_person_adaptation_scales_each_person_alone():
    rows = blobs()
    rows.parts["ear"][rows.people == 1] += 100
    scaled = adapted(rows, "person", rows.people > 1)
    for person in range(4):
        own = scaled.parts["ear"][rows.people == person].reshape(-1, 8)
        np.testing.assert_allclose(own.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(own.std(0), 1, atol=1e-3)


def test_causal_adaptation_looks_at_no_later_clip():
    rows = blobs()
    train = rows.people > 1
    before = adapted(rows, "causal", train)
    own = np.random.default_rng(1).permutation(np.flatnonzero(rows.people == 1))
    rows.parts["ear"][own[5]] += 50
    after = adapted(rows, "causal", train)
    changed = np.abs(after.parts["ear"] - before.parts["ear"]).max(axis=(1, 2)) > 1e-6
    assert changed[own[5:]].all()
    assert changed.sum() == len(own) - 5


def test_no_adaptation_leaves_rows_alone():
    rows = blobs()
    assert adapted(rows, "none", rows.people > 1) is rows


def test_clips_without_units_do_not_count_in_a_person_s_statistics():
    rows = replace(blobs(), seen=np.arange(32) != 3)
    first = adapted(rows, "person", rows.people > 1).parts[UNITS]
    rows.parts[UNITS][3] = 1e6
    np.testing.assert_array_equal(adapted(rows, "person", rows.people > 1).parts[UNITS], first)
    assert not first[3].any()


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
    rows = blobs()
    known = rows.labels != 6
    model = fit(rows.moments[MOMENTS][known], rows.labels[known])
    said = model(rows.moments[MOMENTS])
    assert said.shape == (32, 8)
    assert np.isfinite(said).all()
    assert (said.argmax(1) != 6).all()


def test_a_clip_model_learns_what_clips_tell_and_its_seed_decides():
    rows, other = blobs(people=8), blobs(seed=1, people=8)
    first, again, third = (train_clips(rows, SMALL, seed).logits(other) for seed in (1, 1, 2))
    assert (first.argmax(1) == other.labels).mean() > 0.6
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, third)


def test_units_that_are_not_there_say_nothing():
    rows = replace(blobs(), seen=np.arange(32) % 2 == 0)
    quick = replace(SMALL, epochs=2)
    first = train_clips(rows, quick, 1).logits(rows)
    rows.parts[UNITS][1::2] = 1e3
    np.testing.assert_array_equal(train_clips(rows, quick, 1).logits(rows), first)


def test_a_student_learns_from_its_teacher():
    rows = blobs()
    wrong = np.log(np.eye(8)[(rows.labels + 1) % 8] * 0.98 + 0.0025)
    said = [train_clips(rows, SMALL, 1, teacher=t).logits(rows) for t in (None, wrong)]
    told = [np.exp(one)[np.arange(len(rows)), (rows.labels + 1) % 8].mean() for one in said]
    assert told[1] > told[0] + 0.05


def test_the_joint_model_sees_what_the_first_stages_have_learnt(monkeypatch):
    rows = blobs()
    trainer = Trainer(rows, rows, [1], replace(SMALL, streams=(), epochs=2))
    seen = []
    real = train_clips

    def spy(given, settings, seed, teacher=None):
        seen.append(given.parts)
        return real(given, settings, seed, teacher)

    monkeypatch.setattr(ravdess_systems, "train_clips", spy)
    trainer.scores("progressive", 1)
    assert [set(parts) for parts in seen] == [
        {"ear", UNITS},
        {"ear", UNITS},
        {"ear", UNITS, "audio", "visual"},
    ]
    own = trainer._clip_model("audio", 1).features(rows)
    np.testing.assert_array_equal(seen[-1]["audio"], own)


def test_every_system_s_members_can_be_trained():
    rows = blobs()
    trainer = Trainer(rows, rows, [1, 2], replace(SMALL, streams=(), epochs=1))
    systems = [one for kind in ravdess_systems.ALL.values() for one in kind]
    for member in {name for one in systems for name in one.members}:
        assert np.isfinite(trainer.scores(member, 1)).all()
