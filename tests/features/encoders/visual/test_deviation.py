"""What makes the deviation encoder PASN's DLN, and what its files must be."""

from pathlib import Path

import numpy as np
import pytest
import torch
from facenet_pytorch import InceptionResnetV1
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from experiments.pretraining.triplets import draw_triplets, triplet_accuracy, triplet_loss
from features.encoders.base import READY, VisualEncoder
from features.encoders.visual.deviation import DeviationEncoder, DeviationSettings
from features.encoders.visual.deviation_net import (
    DeviationNet,
    expression_backbone,
    facenet_backbone,
    save_deviation,
)
from features.encoders.visual.expression import WEIGHTS, ExpressionEncoder, grey_faces
from features.errors import UserError


def crops(count: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (count, 112, 112, 3)).astype(np.uint8)


def small_net() -> DeviationNet:
    torch.manual_seed(3)
    identity = nn.Sequential(
        nn.Conv2d(1, 8, 3, 2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32, 12),
    )
    return DeviationNet(identity, dim=12)


def easy_faces(per_class: int = 40) -> tuple[Tensor, Tensor]:
    """Three classes by where a noisy picture is bright."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat_interleave(per_class)
    faces = torch.randn(len(labels), 1, 12, 12, generator=generator)
    for number, label in enumerate(labels.tolist()):
        faces[number, :, 4 * label : 4 * label + 4] += 1
    return faces, labels


def accuracy(net: DeviationNet, faces: Tensor, labels: Tensor) -> float:
    picks = draw_triplets(labels, torch.Generator().manual_seed(9), 500)
    net.eval()
    with torch.inference_mode():
        return triplet_accuracy(*net(faces)[1][picks].unbind(1))


def train_one_epoch(net: DeviationNet, faces: Tensor, labels: Tensor) -> None:
    torch.manual_seed(1)
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], 3e-3)
    triplets = draw_triplets(labels, torch.Generator().manual_seed(2), 32 * 40)
    net.train()
    for rows in triplets.split(32):
        a, p, n = net(faces[rows.T.flatten()])[1].chunk(3)
        optimizer.zero_grad()
        triplet_loss(a, p, n, 0.2).backward()
        optimizer.step()


@pytest.fixture(scope="module")
def trained() -> tuple[DeviationNet, dict[str, Tensor]]:
    """A net after an epoch, and the identity branch's weights and buffers before it."""
    net = small_net()
    before = {name: value.clone() for name, value in net.identity.state_dict().items()}
    train_one_epoch(net, *easy_faces())
    return net, before


def test_both_branches_are_identical_at_the_start_and_share_nothing() -> None:
    net = small_net()
    for (name, ours), theirs in zip(
        net.copy.state_dict().items(), net.identity.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), name
        assert ours.data_ptr() != theirs.data_ptr(), name


def test_output_is_zero_before_training() -> None:
    deviation, metric = small_net().eval()(torch.randn(5, 1, 12, 12))
    assert torch.equal(deviation, torch.zeros(5, 12))
    assert torch.equal(metric, torch.zeros(5, 16))


def test_the_identity_branch_is_unchanged_by_training(
    trained: tuple[DeviationNet, dict[str, Tensor]],
) -> None:
    net, before = trained
    for name, value in net.identity.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not any(p.requires_grad for p in net.identity.parameters())
    assert any(not torch.equal(v, before[n]) for n, v in net.copy.state_dict().items())


def test_the_identity_branch_stays_in_evaluation_mode_in_training() -> None:
    net = small_net().train()
    assert net.copy.training
    assert not any(part.training for part in net.identity.modules())


def test_the_copy_gets_finite_gradients_from_the_very_first_step() -> None:
    net = small_net().train()
    faces, labels = easy_faces(4)
    rows = draw_triplets(labels, torch.Generator().manual_seed(0), 16)
    triplet_loss(*net(faces[rows.T.flatten()])[1].chunk(3)).backward()
    for name, parameter in net.trained().named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    first = next(net.copy.parameters()).grad
    assert first is not None
    assert first.abs().max() > 0
    assert all(p.grad is None for p in net.identity.parameters())


def test_gradients_at_the_zero_vector_are_finite() -> None:
    net = small_net().eval()
    net(torch.randn(3, 1, 12, 12))[1].sum().backward()
    for parameter in net.trained().parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()


def test_higher_powers_of_the_deviation_matter(
    trained: tuple[DeviationNet, dict[str, Tensor]],
) -> None:
    net, _ = trained
    faces, _ = easy_faces(4)
    with torch.inference_mode():
        deviation, metric = net.eval()(faces)
        powers = torch.cat([deviation, deviation**2, deviation**3], 1)
        weight = net.project.weight
        whole = powers @ weight.T
        linear = deviation @ weight[:, :12].T
    torch.testing.assert_close(metric, nn.functional.normalize(whole))
    assert (metric - nn.functional.normalize(linear)).abs().max() > 0.01


def test_metric_vectors_have_unit_norm_after_training(
    trained: tuple[DeviationNet, dict[str, Tensor]],
) -> None:
    metric = trained[0].eval()(easy_faces()[0])[1]
    torch.testing.assert_close(metric.norm(dim=1), torch.ones(len(metric)))


def test_one_epoch_on_easy_faces_raises_triplet_accuracy(
    trained: tuple[DeviationNet, dict[str, Tensor]],
) -> None:
    faces, labels = easy_faces()
    assert accuracy(small_net(), faces, labels) == 0  # all distances are zero: no right answer
    assert accuracy(trained[0], faces, labels) > 0.8


@settings(max_examples=20, deadline=None)
@given(sizes=st.lists(st.integers(1, 5), min_size=2, max_size=5), seed=st.integers(0, 99))
def test_triplets_are_two_pictures_of_a_class_and_one_of_another(
    sizes: list[int], seed: int
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(sizes)) * 3, torch.tensor(sizes))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    if max(sizes) == 1:
        with pytest.raises(UserError, match="one of them of two"):
            draw_triplets(labels, torch.Generator().manual_seed(seed), 5)
        return
    triplets = draw_triplets(labels, torch.Generator().manual_seed(seed), 50)
    anchor, positive, negative = labels[triplets].unbind(1)
    assert (anchor == positive).all()
    assert (anchor != negative).all()
    assert (triplets[:, 0] != triplets[:, 1]).all()


def test_the_loss_counts_both_directions_and_each_margin() -> None:
    a, p, n = torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [0.0]]), torch.tensor([[3.0]] * 2)
    assert triplet_loss(a, p, n, 0.2) == 0  # 1 against 9 and 4
    assert triplet_loss(a, n, p, 0.0) == pytest.approx((9 - 1 + 9 - 4 + 9 + 9 - 9) / 2)
    assert triplet_loss(a, a, a, torch.tensor([0.1, 0.2])) == pytest.approx(0.3)


def test_accuracy_asks_that_anchor_and_positive_are_the_nearest_two() -> None:
    a = torch.zeros(3, 1)
    p, n = torch.tensor([[1.0], [3.0], [3.0]]), torch.tensor([[5.0], [1.0], [4.0]])
    assert triplet_accuracy(a, p, n) == pytest.approx(1 / 3)  # in the third, p and n are nearer


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint on the packaged net whose copy was moved."""
    torch.manual_seed(0)
    backbone = expression_backbone()
    net = DeviationNet(backbone.net, backbone.dim)
    with torch.no_grad():
        for parameter in net.copy.parameters():
            parameter.mul_(1.1)
    path = tmp_path_factory.mktemp("weights") / "deviation.safetensors"
    save_deviation(path, net, backbone, "made-up pictures")
    return path


def test_the_packaged_backbone_is_the_expression_embedding() -> None:
    encoder = ExpressionEncoder()
    with torch.inference_mode():
        faces = grey_faces(crops(3))
        torch.testing.assert_close(expression_backbone().net(faces), encoder._net(faces)[0])


def test_streams_are_the_deviation_and_its_place_in_the_metric_space(weights: Path) -> None:
    encoder = DeviationEncoder(DeviationSettings(weights=str(weights), stream="dev"))
    assert isinstance(encoder, VisualEncoder)
    assert encoder.streams == {"dev": 256, "dev.metric": 16}
    assert "made-up pictures" in encoder.trained_on
    faces = crops(35)
    out, alone = encoder.encode_faces(faces), encoder.encode_faces(faces[33:34])
    assert out["dev"].shape == (35, 256)
    assert np.abs(out["dev"]).max() > 0.01
    np.testing.assert_allclose(np.linalg.norm(out["dev.metric"], axis=1), 1, atol=1e-5)
    for name, value in out.items():
        np.testing.assert_allclose(value[33:34], alone[name], atol=1e-4)
    assert {n: v.shape for n, v in encoder.encode_faces(crops(0)).items()} == {
        "dev": (0, 256),
        "dev.metric": (0, 16),
    }


def test_without_weights_the_training_command_is_told(tmp_path: Path) -> None:
    absent = DeviationSettings(weights=str(tmp_path / "absent.safetensors"))
    status = DeviationEncoder.status(absent)
    assert status.word == "needs training"
    assert "python -m experiments.pretraining.train_deviation" in status.remedy
    with pytest.raises(UserError, match=r"experiments\.pretraining\.train_deviation"):
        DeviationEncoder(absent)


def test_weights_of_another_backbone_are_refused(weights: Path, tmp_path: Path) -> None:
    backbone = expression_backbone()
    other = tmp_path / "other.safetensors"
    changed = type(backbone)(**{**vars(backbone), "revision": "0123456789abcdef"})
    save_deviation(other, DeviationNet(changed.net, changed.dim), changed, "nothing")
    assert DeviationEncoder.status(DeviationSettings(weights=str(other))) == READY
    with pytest.raises(UserError, match="is of backbone expression 0123456789abcdef, not expr"):
        DeviationEncoder(DeviationSettings(weights=str(other)))
    with pytest.raises(UserError, match="is of backbone None None"):
        DeviationEncoder(DeviationSettings(weights=str(WEIGHTS)))


def test_damaged_weights_are_one_line(weights: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(UserError, match="cannot read the weights"):
        DeviationEncoder(DeviationSettings(weights=str(cut)))


def test_an_unknown_backbone_is_refused(weights: Path) -> None:
    with pytest.raises(UserError, match="known are expression, facenet"):
        DeviationEncoder(DeviationSettings("arcface", weights=str(weights)))


def test_facenet_without_its_weights_says_which_option_gives_them() -> None:
    status = DeviationEncoder.status(DeviationSettings("facenet"))
    assert status.word == "needs weights"
    assert "--deviation.weights_identity" in status.remedy


def test_facenet_runs_from_a_file_and_up_to_its_values_before_unit_norm(tmp_path: Path) -> None:
    torch.manual_seed(0)
    identity, weights = tmp_path / "facenet.pt", tmp_path / "deviation.safetensors"
    original = InceptionResnetV1().eval()
    torch.save(original.state_dict(), identity)
    backbone = facenet_backbone(identity)
    save_deviation(weights, DeviationNet(backbone.net, backbone.dim), backbone, "nothing")
    given = DeviationSettings("facenet", str(weights), str(identity))
    encoder = DeviationEncoder(given)
    assert encoder.input == "face 160x160 RGB"
    assert encoder.streams == {"deviation": 512, "deviation.metric": 16}
    faces = crops(1)
    with torch.inference_mode():
        raw = backbone.net(backbone.crops(faces, 0.0))
        unit = original(backbone.crops(faces, 0.0)).numpy()
    np.testing.assert_allclose(nn.functional.normalize(raw).numpy(), unit, atol=1e-5)
    # float16 rounds the copy, so the deviation of an untrained net is small instead of zero.
    assert np.abs(encoder.encode_faces(faces)["deviation"]).max() < 0.05
