"""Random views of grey faces that keep their labels true: what turns or mirrors is given back.

Data flow: faces > mirror, turn, scale, shift > blur > contrast and light > erased squares.

Letters: N pictures.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from experiments.pretraining.face_augment import erase

MIRRORED = (
    *((1, 2), (4, 5), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16), (17, 18), (19, 20), (21, 22)),
    *((24, 26), (28, 29), (30, 31), (33, 39), (34, 35), (36, 37), (44, 45), (46, 47), (48, 49)),
    (50, 51),
)
"""Blendshapes of the left and of the right, in MediaPipe's order."""


@dataclass(frozen=True)
class Views:
    """Changed faces.

    Attributes:
        faces: (N, 1, 48, 48) in [-1, 1].
        mirrored: (N,) bool.
        turn: (N,) degrees by which the picture was turned clockwise, after it was mirrored.
    """

    faces: Tensor
    mirrored: Tensor
    turn: Tensor

    def shapes(self, shapes: Tensor) -> Tensor:
        """Blendshapes (N, 52) as they are in the view."""
        return torch.where(self.mirrored[:, None], shapes[:, mirror_order()], shapes)

    def pose(self, pose: Tensor, clockwise: float) -> Tensor:
        """Yaw, pitch, roll (N, 3) in degrees as they are in the view.

        Args:
            pose: Of the pictures.
            clockwise: +1 if roll grows as the picture turns clockwise, else -1.
        """
        sign = torch.where(self.mirrored, -1.0, 1.0)
        roll = pose[:, 2] * sign + clockwise * self.turn
        return torch.stack([pose[:, 0] * sign, pose[:, 1], roll], dim=1)


def mirror_order() -> Tensor:
    """Where each blendshape's counterpart stands, (52,)."""
    order = torch.arange(52)
    for left, right in MIRRORED:
        order[left], order[right] = right, left
    return order


def random_views(faces: Tensor, generator: torch.Generator, strength: float) -> Views:
    """Random views of faces (N, 1, 48, 48) in [-1, 1].

    Args:
        faces: The pictures.
        generator: Source of chance.
        strength: How far everything but the mirror goes, relative: at 1 turns of 14 degrees,
            scales from .8 to 1.25, shifts of a tenth, light and contrast by a quarter.
    """
    n = len(faces)

    def within(reach: float) -> Tensor:
        return (torch.rand(n, generator=generator) * 2 - 1) * reach * strength

    mirrored = torch.rand(n, generator=generator) < 0.5
    turn, zoom = within(14.0), torch.exp(within(0.22))
    faces = move(faces, mirrored, turn, zoom, torch.stack([within(0.1), within(0.1)], 1))
    faces = torch.where(
        (torch.rand(n, generator=generator) < 0.2 * strength).view(-1, 1, 1, 1), blur(faces), faces
    )
    middle = faces.mean(dim=(2, 3), keepdim=True)
    contrast, light = torch.exp(within(0.25)), within(0.2)
    faces = (faces - middle) * contrast.view(-1, 1, 1, 1) + middle + light.view(-1, 1, 1, 1)
    row, column, side = torch.rand(3, n, generator=generator)
    return Views(erase(faces.clamp(-1, 1), row, column, side * 16 * strength), mirrored, turn)


def move(faces: Tensor, mirrored: Tensor, turn: Tensor, zoom: Tensor, shift: Tensor) -> Tensor:
    """Mirrors, turns clockwise by degrees, enlarges by `zoom` and shifts by shares of half a side.

    Args:
        faces: (N, 1, H, W).
        mirrored: (N,) bool.
        turn: (N,) degrees.
        zoom: (N,) factors.
        shift: (N, 2) right and down.
    """
    angle, flip = torch.deg2rad(turn), torch.where(mirrored, -1.0, 1.0)
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    # Where in the picture each point of the view comes from: y points down.
    theta = torch.stack([cos * flip, sin * flip, shift[:, 0], -sin, cos, shift[:, 1]], dim=1)
    grid = functional.affine_grid(theta.view(-1, 2, 3), list(faces.shape), align_corners=False)
    return functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)


def blur(faces: Tensor, cell: int = 2) -> Tensor:
    """As if the face had been smaller by a factor of `cell`: averaged, then enlarged again."""
    small = functional.avg_pool2d(faces, cell)
    return functional.interpolate(
        small, size=faces.shape[-2:], mode="bilinear", align_corners=False
    )
