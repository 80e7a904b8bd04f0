"""Views of faces keep their labels true, and damage damages."""

import torch

from experiments.pretraining.face.damage import KINDS, damaged, none
from experiments.pretraining.face.views import mirror_order, move, random_views
from features.encoders.visual.face.encoder import BLENDSHAPES


def spot_at(faces: torch.Tensor) -> list[float]:
    """Row and column of the light spot, from the middle."""
    return (torch.nonzero(faces[0, 0] > 0).float().mean(0) - 23.5).tolist()


def spot_to_the_right() -> torch.Tensor:
    faces = torch.full((1, 1, 48, 48), -1.0)
    faces[0, 0, 22:26, 36:40] = 1
    return faces


def test_a_turn_is_clockwise_and_a_mirror_swaps_sides() -> None:
    still, one = torch.zeros(1, 2), torch.ones(1)
    turned = move(spot_to_the_right(), torch.tensor([False]), torch.tensor([90.0]), one, still)
    row, column = spot_at(turned)
    assert row > 10  # down
    assert abs(column) < 2
    mirrored = move(spot_to_the_right(), torch.tensor([True]), torch.tensor([0.0]), one, still)
    assert spot_at(mirrored)[1] < -10
    near = move(spot_to_the_right(), torch.tensor([False]), torch.tensor([0.0]), one * 0.5, still)
    assert 5 < spot_at(near)[1] < 8


def test_left_and_right_blendshapes_swap_in_the_mirror() -> None:
    order = mirror_order().tolist()
    for name, other in zip(BLENDSHAPES, (BLENDSHAPES[n] for n in order), strict=True):
        swapped = name.replace("Left", "~").replace("Right", "Left").replace("~", "Right")
        assert other == swapped


def test_labels_follow_the_view() -> None:
    faces = torch.rand(64, 1, 48, 48) * 2 - 1
    views = random_views(faces, torch.Generator().manual_seed(0), 1.0)
    pose = views.pose(torch.tensor([[10.0, 5.0, 3.0]]).expand(64, 3), clockwise=1.0)
    sign = torch.where(views.mirrored, -1.0, 1.0)
    torch.testing.assert_close(pose[:, 0], 10 * sign)
    torch.testing.assert_close(pose[:, 1], torch.full((64,), 5.0))
    torch.testing.assert_close(pose[:, 2], 3 * sign + views.turn)
    assert 20 < views.mirrored.sum() < 44
    assert views.turn.abs().max() <= 14


def test_damage_changes_faces_and_keeps_their_range() -> None:
    generator = torch.Generator().manual_seed(0)
    faces = (torch.rand(100, 1, 48, 48) * 2 - 1) * 0.9
    out = damaged(faces, generator)
    assert out.shape == faces.shape
    assert out.abs().max() <= 1
    same = (out == faces).flatten(1).all(1).float().mean()
    assert same < 0.4
    for damage in KINDS:
        mild, strong = (
            (damage(faces[:1], degree, torch.Generator().manual_seed(1)) - faces[:1]).abs().mean()
            for degree in (0.05, 0.9)
        )
        assert strong > mild or damage is none
