"""Damaged and odd media files made from real clips, the same ones at every call.

Data flow: clips > Excerpts (a second each, stream copy) > kinds of damage and oddness > Mutants.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from experiments.benchmarks.robustness.fuzz_damage import DAMAGES, REMUXES, copy_packets
from experiments.benchmarks.robustness.fuzz_odd import ODDITIES, Excerpt
from features.media import read_frames, read_sound

SECONDS = 1.2
"""Length of the excerpts."""
WIDTH = 320
"""Pixels; odd files are encoded again, and smaller than the clips."""


@dataclass(frozen=True)
class Mutant:
    """A file that was made.

    Attributes:
        path: The file.
        kind: How it was damaged, or what is odd in it.
        clip: The clip it was made from.
        frames: Frames that must come out of it; None if the damage may reach the pictures.
    """

    path: Path
    kind: str
    clip: str
    frames: int | None


Maker = Callable[[Excerpt, np.random.Generator, Path], int | None]
"""Writes a file with the stem of a path; returns the frames that must come out of it."""


def all_kinds() -> dict[str, Maker]:
    """Every way to damage a file or to make an odd one, by name."""
    return {name: _damaging(damage) for name, damage in DAMAGES.items()} | REMUXES | ODDITIES


def make_mutants(
    clips: Sequence[Path], folder: Path, count: int, kinds: Mapping[str, Maker] | None = None
) -> list[Mutant]:
    """Makes `count` files in `folder`: all kinds in turn, and for each kind the clips in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    excerpts = [_excerpt(clip, folder / f".{i}.mp4") for i, clip in enumerate(clips)]
    makers = kinds or all_kinds()
    made = []
    for number, (kind, make) in enumerate(islice(cycle(makers.items()), count)):
        turn = number + number // len(makers)
        made.append(_mutant(kind, make, excerpts[turn % len(excerpts)], folder, number))
    for excerpt in excerpts:
        excerpt.path.unlink()
    return made


def _damaging(damage: Callable[[bytes, np.random.Generator], bytes]) -> Maker:
    def make(excerpt: Excerpt, rng: np.random.Generator, path: Path) -> int | None:
        path.with_suffix(".mp4").write_bytes(damage(excerpt.path.read_bytes(), rng))
        return excerpt.count if damage.__name__ == "junk_behind" else None

    return make


def _mutant(kind: str, make: Maker, excerpt: Excerpt, folder: Path, number: int) -> Mutant:
    stem = folder / f"{number:03d}"
    frames = make(excerpt, np.random.default_rng(number), stem)
    (path,) = folder.glob(f"{stem.name}.*")
    return Mutant(path, kind, excerpt.clip, frames)


def _excerpt(clip: Path, path: Path) -> Excerpt:
    """The first second of a clip as an mp4 whose index comes first."""
    copy_packets(clip, path, SECONDS)
    blocks = list(read_frames(path))
    images = np.concatenate([block.images for block in blocks])
    step = max(1, round(images.shape[2] / WIDTH))
    height, width = (side // step // 4 * 4 * step for side in images.shape[1:3])
    small = np.ascontiguousarray(images[:, :height:step, :width:step])
    sound = read_sound(path, 48_000)
    samples = np.concatenate([np.zeros(0, np.float32)] if sound is None else list(sound.blocks))
    return Excerpt(path, clip.name, len(images), small, samples)
