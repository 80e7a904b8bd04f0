"""A full-size imitation of Aff-Wild2's valence-arousal files, as ordinary files.

    python -m experiments.studies.simulation.affwild2_files OUT
    python -m experiments.studies.simulation.affwild2_files OUT --scale 0.1

Data flow: figures (affwild2_figures) > names, lengths, tracks (affwild2_tracks) > files below OUT,
and a table of what came out beside what the real files are like.

Counts of files, rows and unlabelled rows are exact; with `--scale`, every file is so much shorter.
Two runs with the same seed write the same bytes.

Letters: F frames of one file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.studies.simulation.affwild2_figures import (
    OTHER_RATES,
    QUANTILES,
    RATES,
    SCIENTIFIC_ROWS,
    TEST,
    TRAIN,
    TRAIN_LABELS,
    UNUSED_NUMBERS,
    UNUSED_RATES,
    VALIDATION,
    VALIDATION_LABELS,
    LabelFigures,
    SplitFigures,
)
from experiments.studies.simulation.affwild2_table import figures_table
from experiments.studies.simulation.affwild2_tracks import label_tracks
from features.cli.app import OK, run
from features.errors import UserError

HEADER = "valence,arousal\n"
CHALLENGE = "VA_Estimation_Challenge"
INVALID = -5.0


@dataclass
class Settings:
    """Settings of the imitation.

    Args:
        out: Folder to write; it must be empty or absent.
        scale: Length of every file as a share of its real one, for a quick imitation.
        seed: Equal seeds give equal files.
    """

    out: Path
    scale: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Imitation:
    """The labels of one split before they are written.

    Attributes:
        split: What the split is like.
        ids: Names of the files.
        tracks: (F, 2) float64 valence and arousal as written, -5 where not labelled.
    """

    split: SplitFigures
    ids: list[str]
    tracks: list[np.ndarray]


def command(settings: Settings) -> int:
    """Writes the files and prints the table."""
    if not 0 < settings.scale <= 1:
        raise UserError(f"scale must lie above 0 and at most at 1: {settings.scale:g}")
    if settings.out.exists() and (not settings.out.is_dir() or any(settings.out.iterdir())):
        raise UserError(f"{settings.out}: not an empty folder; name a new one")
    made = write_imitation(settings.out, settings.scale, settings.seed)
    print(figures_table({m.split.name: m.tracks for m in made}, settings.scale))
    return OK


def write_imitation(out: Path, scale: float = 1.0, seed: int = 0) -> list[Imitation]:
    """Writes annotations, test list, sample submission and frame rates; returns the labels."""
    rng = np.random.default_rng(seed)
    names = deal_names(rng)
    made = [
        imitate(TRAIN, TRAIN_LABELS, names["train"], scale, rng),
        imitate(VALIDATION, VALIDATION_LABELS, names["validation"], scale, rng),
    ]
    top = out / "annotations" / CHALLENGE
    for imitation in made:
        for name, track in zip(imitation.ids, imitation.tracks, strict=True):
            _write(top / imitation.split.folder / f"{name}.txt", HEADER + as_text(track))
    _write_test(out, top / TEST.folder, names["test"], scaled(split_lengths(TEST, rng), scale))
    _write(out / "videos_fps.csv", "video_name,fps\n" + "".join(_rates(names, rng)))
    return made


def imitate(
    split: SplitFigures,
    figures: LabelFigures,
    ids: list[str],
    scale: float,
    rng: np.random.Generator,
) -> Imitation:
    """Labels of one split, with its rounding and its unlabelled rows."""
    lengths = scaled(_paired(ids, split_lengths(split, rng)), scale)
    tracks = label_tracks(lengths, figures, rng)
    shortest = int(np.argmin(lengths))
    tracks[shortest][:] = tracks[shortest][0]  # one video of the split is wholly constant
    off_grid = rng.permutation(len(ids))[: round(figures.off_grid * len(ids))]
    tracks = [_rounded(t, i in set(off_grid.tolist()), rng) for i, t in enumerate(tracks)]
    if len(off_grid):
        _put_scientific([tracks[i] for i in off_grid], round(SCIENTIFIC_ROWS * scale))
    _put_invalid(tracks, split, scale, taken={shortest})
    return Imitation(split, ids, tracks)


def split_lengths(split: SplitFigures, rng: np.random.Generator) -> np.ndarray:
    """(files,) frames in random order, with exactly the split's quantiles and number of rows.

    Between two quantiles the sorted lengths rise as a power of the rank, the same for all, that
    gives the number of rows.
    """
    ranks = np.array(QUANTILES) * (split.files - 1)
    knots = np.unique(np.concatenate([np.floor(ranks), np.ceil(ranks)]))
    values = np.array([split.lengths[int(np.argmin(np.abs(ranks - knot)))] for knot in knots])
    at = np.arange(split.files)
    segment = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    low, high = values[segment], values[segment + 1]
    part = (at - knots[segment]) / (knots[segment + 1] - knots[segment])
    few, many = 0.05, 20.0
    for _ in range(60):
        power = (few + many) / 2
        lengths = np.round(low + (high - low) * part**power).astype(np.int64)
        few, many = (power, many) if lengths.sum() > split.rows else (few, power)
    return np.asarray(rng.permutation(_settled(lengths, (low, high), part, split.rows)))


def _settled(
    lengths: np.ndarray, bounds: tuple[np.ndarray, np.ndarray], part: np.ndarray, rows: int
) -> np.ndarray:
    """The lengths with single frames added or taken between the knots until the sum is right."""
    while lack := rows - int(lengths.sum()):
        step = int(np.sign(lack))
        moved = lengths + step
        free = np.flatnonzero((part > 0) & (part < 1) & (bounds[0] < moved) & (moved < bounds[1]))
        lengths[free[: abs(lack)]] += step
    return lengths


def scaled(lengths: np.ndarray, scale: float) -> np.ndarray:
    """Lengths times `scale`, at least one frame."""
    return np.maximum(np.round(lengths * scale).astype(np.int64), 1)


def deal_names(rng: np.random.Generator) -> dict[str, list[str]]:
    """Ids of each split, of the kinds and in the numbers of the real ones; none occurs twice."""
    numbers = iter([n for n in range(1, 400) if n not in UNUSED_NUMBERS])
    sizes = ("1920x1080", "640x360")
    kinds = [f"{n}-{24 + n % 7}-{size}" for n in range(1, 65) for size in sizes]
    kinds += [f"{n}-30-1280x720-{n % 3 + 1}" for n in range(101, 116)]
    kinds += [f"video{n}" for n in range(1, 85)]
    segments = iter([f"video{100 + n // 4}_{n % 4 + 1}" for n in range(10)])
    ids: dict[str, list[str]] = {}
    for split in (TRAIN, VALIDATION, TEST):
        names = [next(segments) for _ in range(split.segments)]
        for _ in range(split.pairs):
            names += [f"{(pair := next(numbers))}_left", f"{pair}_right"]
        for suffix in split.beside:
            names += [f"{(bare := next(numbers))}", f"{bare}{suffix}"]
        ids[split.name] = names
    free = sum(s.files for s in (TRAIN, VALIDATION, TEST)) - sum(map(len, ids.values()))
    kinds += [str(next(numbers)) for _ in range(free - len(kinds))]
    rest = iter([kinds[i] for i in rng.permutation(len(kinds))])
    for split in (TRAIN, VALIDATION, TEST):
        ids[split.name] += [next(rest) for _ in range(split.files - len(ids[split.name]))]
    return ids


def video_name(track_id: str) -> str:
    """Id of the raw video, written apart from the reader that it is to test."""
    head, _, tail = track_id.rpartition("_")
    return head if tail in ("left", "right") else track_id


def _paired(ids: Sequence[str], lengths: np.ndarray) -> np.ndarray:
    """Lengths such that two people of one video have the same; the total stays."""
    lengths = lengths.copy()
    places: dict[str, list[int]] = {}
    for i, name in enumerate(ids):
        places.setdefault(video_name(name), []).append(i)
    pairs = [pair for pair in places.values() if len(pair) == 2]
    used = {i for pair in pairs for i in pair}
    for one, other in pairs:
        wanted = int(lengths[one])
        free = [i for i in range(len(ids)) if i not in used]
        near = free[int(np.argmin([abs(int(lengths[i]) - wanted) for i in free]))]
        lengths[other], lengths[near] = lengths[near], lengths[other]
        lack = int(lengths[other]) - wanted
        lengths[other] = wanted
        longest = max(free, key=lambda i: int(lengths[i]) if lengths[i] < np.max(lengths) else 0)
        lengths[longest] += lack
    return lengths


def _rounded(track: np.ndarray, off_grid: bool, rng: np.random.Generator) -> np.ndarray:
    """Values on the .001 grid; of a file off the grid, half of the held values stay finer."""
    rounded = np.round(track, 3) + 0.0  # no -0.0
    if off_grid:
        stretch = np.cumsum(np.diff(track, axis=0, prepend=track[:1]).any(axis=1))
        digits = rng.choice([3, 4, 5, 12, 13], p=[0.5, 0.33, 0.03, 0.1, 0.04], size=len(track))
        for finer in (4, 5, 12, 13):
            rows = digits[stretch] == finer
            rounded[rows] = np.round(track[rows], finer) + 0.0
    return np.asarray(rounded)


def _put_scientific(tracks: Sequence[np.ndarray], rows: int) -> None:
    """Puts numbers that need an exponent into the middle of a few files."""
    for i in range(rows):
        track = tracks[i % len(tracks)]
        track[len(track) // 2 + i // len(tracks), i % 2] = (1 + i) * 1e-9


def _put_invalid(
    tracks: Sequence[np.ndarray], split: SplitFigures, scale: float, taken: set[int]
) -> None:
    """Puts runs of -5 into the files whose length fits the share that is to be invalid."""
    for share, runs in split.invalid:
        sizes = [max(round(frames * scale), 1) for _, frames in runs]
        miss = [abs(sum(sizes) / len(track) - share) for track in tracks]
        at = min((i for i in range(len(tracks)) if i not in taken), key=lambda i: miss[i])
        taken.add(at)
        track = tracks[at]
        gap, place = (len(track) - sum(sizes)) // (len(runs) + 1), 0
        for (where, _), size in zip(runs, sizes, strict=True):
            place = {"start": 0, "inside": place + gap, "end": len(track) - size}[where]
            track[place : place + size] = INVALID
            place += size


def as_text(track: np.ndarray) -> str:
    """Rows as the files write them: shortest form of each number, whole -5."""
    values = map(repr, track.ravel().tolist())
    rows = zip(values, values, strict=True)
    return "".join(f"{v},{a}\n" for v, a in rows).replace("-5.0,-5.0\n", "-5,-5\n")


def _write_test(out: Path, folder: Path, ids: Sequence[str], lengths: np.ndarray) -> None:
    """Placeholder labels, the list of ids and the sample submission."""
    rows = ["image_location,valence,arousal\n"]
    for name, frames in zip(ids, lengths.tolist(), strict=True):
        _write(folder / f"{name}.txt", HEADER + "0,0\n" * frames)
        rows += [f"{name}/{frame:05d}.jpg,0,0\n" for frame in range(1, frames + 1)]
    _write(out / "test" / "VA.txt", "".join(f"{name}\n" for name in ids))
    _write(out / "test" / "VA_sample_submission.txt", "".join(rows))


def _rates(names: dict[str, list[str]], rng: np.random.Generator) -> Iterator[str]:
    """Lines of the table of frame rates, in the order of the names."""
    others = iter(rng.permutation([rate for bin_ in OTHER_RATES for rate in _spread(*bin_)]))
    lines = {}
    for ids, counts in [
        *((names[split.name], split.rates) for split in (TRAIN, VALIDATION, TEST)),
        ([str(number) for number in UNUSED_NUMBERS], UNUSED_RATES),
    ]:
        videos = list(dict.fromkeys(map(video_name, ids)))
        rates = [r for r, count in zip(RATES, counts[:5], strict=True) for _ in range(count)]
        rates += [float(next(others)) for _ in range(counts[5])]
        for video, rate in zip(videos, rng.permutation(rates).tolist(), strict=True):
            suffix = "avi" if video.count("-") == 2 else "mp4"
            lines[video] = f"{video}.{suffix},{rate:.10g}\n"
    yield from (lines[video] for video in sorted(lines))


def _spread(start: float, stop: float, count: int) -> np.ndarray:
    return np.round(start + (stop - start) * (np.arange(count) + 0.5) / count, 3)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


if __name__ == "__main__":
    run(
        Settings,
        command,
        prog="experiments.studies.simulation.affwild2_files",
        description=__doc__.split("\n")[0],
    )
