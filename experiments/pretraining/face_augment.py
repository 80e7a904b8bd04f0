"""Random changes of grey faces in training: place, light, mirror, erased squares."""

import torch
from torch import Tensor
from torch.nn import functional


def augment(faces: Tensor, generator: torch.Generator, strength: float = 1.0) -> Tensor:
    """Random rotation, scale, shift, flip, light and erased squares; (N, 1, 48, 48) in and out.

    Args:
        faces: Scaled to [-1, 1].
        generator: Source of chance.
        strength: How far everything but the flip may go, relative.
    """
    n = len(faces)

    def uniform(low: float, high: float) -> Tensor:
        return (torch.rand(n, generator=generator) * (high - low) + low) * strength

    angle, scale = uniform(-0.3, 0.3), 1 + uniform(-0.2, 0.15)
    flip = (torch.rand(n, generator=generator) < 0.5).float() * -2 + 1
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta = torch.stack(
        [cos * flip, -sin, uniform(-0.15, 0.15), sin * flip, cos, uniform(-0.15, 0.15)], 1
    )
    grid = functional.affine_grid(theta.view(n, 2, 3), list(faces.shape), align_corners=False)
    faces = functional.grid_sample(faces, grid, padding_mode="border", align_corners=False)
    faces = faces * (1 + uniform(-0.3, 0.3)).view(-1, 1, 1, 1) + uniform(-0.2, 0.2).view(
        -1, 1, 1, 1
    )
    row, column = torch.rand(2, n, generator=generator)
    return erase(faces.clamp(-1, 1), row, column, uniform(0, 18))


def erase(faces: Tensor, row: Tensor, column: Tensor, side: Tensor) -> Tensor:
    """Sets one square of `side` pixels to mid grey in each picture."""
    height, width = faces.shape[-2:]
    rows, columns = torch.arange(height)[None], torch.arange(width)[None]
    inside_row = (rows - row[:, None] * height).abs() < side[:, None] / 2
    inside_column = (columns - column[:, None] * width).abs() < side[:, None] / 2
    return faces.masked_fill((inside_row[:, :, None] & inside_column[:, None])[:, None], 0.0)
