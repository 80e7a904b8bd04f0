"""What the training of the packaged expression encoder learns from."""

import pytest
import torch

from experiments.pretraining.face_augment import augment
from experiments.pretraining.fer2013 import read_test, read_train, score
from experiments.pretraining.train_expression import class_weights, fit_metric, predict
from experiments.pretraining.triplets import draw_triplets, triplet_accuracy
from features.encoders.visual.expression_net import ExpressionNet
from tests.shared import shared_data


def test_rare_classes_weigh_more_and_the_mean_weight_is_one() -> None:
    labels = torch.arange(7).repeat_interleave(torch.tensor([64, 1, 4, 4, 4, 4, 4]))
    weights = class_weights(labels, 0.5)
    assert weights[1] == pytest.approx(8 * weights[0].item())
    assert weights[labels].mean().item() == pytest.approx(1)
    torch.testing.assert_close(class_weights(labels, 0.0), torch.ones(7))


def test_augmentation_without_strength_only_mirrors() -> None:
    faces = torch.rand(8, 1, 48, 48) * 2 - 1
    changed = augment(faces, torch.Generator().manual_seed(0), strength=0.0)
    for face, other in zip(faces, changed, strict=True):
        same = torch.allclose(face, other, atol=1e-4)
        assert same or torch.allclose(face.flip(2), other, atol=1e-4)
    strong = augment(faces, torch.Generator().manual_seed(0), strength=1.0)
    assert (strong - changed).abs().mean() > 0.05


def test_probabilities_with_mirror_images_are_the_mean_of_both() -> None:
    torch.manual_seed(0)
    net = ExpressionNet()
    faces = torch.randint(0, 256, (3, 1, 48, 48), dtype=torch.uint8)
    sides = [predict(net, view) for view in (faces, faces.flip(3))]
    torch.testing.assert_close(predict(net, faces, mirror=True), (sides[0] + sides[1]) / 2)


def test_scores_count_copies_apart() -> None:
    guess = torch.eye(7)
    labels = torch.tensor([0, 1, 2, 3, 4, 5, 0])
    copies = torch.tensor([False] * 6 + [True])
    result = score(guess, labels, copies)
    assert (result["accuracy"], result["accuracy_without_copies"]) == (round(6 / 7, 4), 1.0)


def test_no_training_picture_is_a_copy_of_another_or_of_a_test_picture() -> None:
    folder = shared_data() / "fer2013"
    train, labels = read_train(folder)
    test, test_labels, _ = read_test(folder)
    assert (len(train), len(test)) == (26912, 3589)
    assert len(train) == len(labels)
    assert len(test) == len(test_labels)


def test_the_metric_head_learns_what_frozen_embeddings_hold() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(7).repeat(60)
    centres = torch.randn(7, 256, generator=generator)
    embeddings = centres[labels] * 0.3 + torch.randn(420, 256, generator=generator)
    net = ExpressionNet()
    trunk = {name: w.clone() for name, w in net.state_dict().items() if "project" not in name}
    loss = fit_metric(net, embeddings[:210], labels[:210], seed=0)
    with torch.no_grad():
        metric = net.metric(embeddings[210:])
    a, p, n = draw_triplets(labels[210:], generator, 500).T
    assert loss < 0.3
    assert triplet_accuracy(metric[a], metric[p], metric[n]) > 0.6  # chance is a third
    for name, before in trunk.items():
        torch.testing.assert_close(net.state_dict()[name], before)
