"""Damaged faces, for the validity: small, blurred, dark, noisy, covered, turned, cut off, no face.

Data flow: faces > one kind of damage each, of random degree > damaged faces.

Letters: N faces.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from experiments.pretraining.face.views import move


def damaged(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Faces (N, 1, 48, 48) in [-1, 1], each damaged in one way, from barely to past recognition."""
    kind = torch.randint(len(KINDS), (len(faces),), generator=generator)
    degree = torch.rand(len(faces), generator=generator)
    out = faces.clone()
    for number, damage in enumerate(KINDS):
        for row in torch.nonzero(kind == number)[:, 0].tolist():
            out[row : row + 1] = damage(faces[row : row + 1], float(degree[row]), generator)
    return out.clamp(-1, 1)


def small(face: Tensor, degree: float, generator: torch.Generator) -> Tensor:
    """As if the face had been 48 to 5 pixels wide."""
    side = max(5, round(48 * (1 - degree)))
    less = functional.interpolate(face, size=(side, side), mode="area")
    return functional.interpolate(less, size=face.shape[-2:], mode="bilinear", align_corners=False)


def blurred(face: Tensor, degree: float, generator: torch.Generator) -> Tensor:
    """A Gaussian of up to 5 pixels' deviation, or movement over up to 16 pixels."""
    reach = 1 + int(degree * 15)
    if torch.rand((), generator=generator) < 0.5:
        padded = functional.pad(face, (reach // 2, reach - 1 - reach // 2, 0, 0), mode="replicate")
        moved = functional.avg_pool2d(padded, (1, reach), stride=1)
        return moved if torch.rand((), generator=generator) < 0.7 else _across(face, reach)
    at = torch.arange(-12, 13, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (at / (0.3 + 4.7 * degree)) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    padded = functional.pad(face, (12, 12, 12, 12), mode="replicate")
    return functional.conv2d(functional.conv2d(padded, kernel), kernel.transpose(2, 3))


def _across(face: Tensor, reach: int) -> Tensor:
    padded = functional.pad(face, (0, 0, reach // 2, reach - 1 - reach // 2), mode="replicate")
    return functional.avg_pool2d(padded, (reach, 1), stride=1)


def dark(face: Tensor, degree: float, generator: torch.Generator) -> Tensor:
    """Little contrast around a random grey, with noise: night, glare."""
    level = torch.rand((), generator=generator) * 1.8 - 0.9
    noise = torch.randn(face.shape, generator=generator) * 0.15 * degree
    return face * (1 - degree) + level * degree + noise


def noisy(face: Tensor, degree: float, generator: torch.Generator) -> Tensor:
    """Noise of up to the full range's half."""
    return face + torch.randn(face.shape, generator=generator) * degree


def covered(face: Tensor, degree: float, generator: torch.Generator) -> Tensor:
    """A rectangle of one grey over up to all of it: hand, mask, glasses, text."""
    height, width = (int(48 * degree**0.5 * s) for s in _two(generator, 0.7, 1.3))
    top, left = (int(s) for s in _two(generator, -8, 40))
    face = face.clone()
    grey = torch.rand((), generator=generator) * 2 - 1
    face[..., max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)] = grey
    return face


def displaced(face: Tensor, degree: float, generator: torch.Generator) -> Tensor:
    """Turned by up to 90 degrees, shifted by up to half a side, enlarged or shrunk to a half."""
    turn, zoom, right, down = (torch.rand(4, generator=generator) * 2 - 1).tolist()
    return move(
        face,
        torch.tensor([False]),
        torch.tensor([90.0 * turn * degree]),
        torch.tensor([2.0 ** (zoom * degree)]),
        torch.tensor([[right, down]]) * degree,
    )


def none(face: Tensor, degree: float, generator: torch.Generator) -> Tensor:
    """As it is."""
    return face


KINDS: tuple[Callable[[Tensor, float, torch.Generator], Tensor], ...] = (
    small,
    small,
    blurred,
    blurred,
    dark,
    noisy,
    covered,
    covered,
    displaced,
    none,
)


def _two(generator: torch.Generator, low: float, high: float) -> list[float]:
    return (torch.rand(2, generator=generator) * (high - low) + low).tolist()
