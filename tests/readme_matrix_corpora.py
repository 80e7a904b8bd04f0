"""Small corpora of every kind that README names, for `tests.readme_matrix`.

Data flow: kind > eight clips with labels in the data set's own layout > media, or tracks made up.

People, frames and labels are the same in all kinds; they differ in what is labelled, and how.
"""

import json
import os
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from experiments.demo.clips import Plan, shoot
from features.media import read_sound
from features.store.feature_track import MAIN, SOUND, FeatureTrack, TrackInfo
from features.store.track_store import TrackStore
from fusion.tasks.au import UNITS
from fusion.tasks.expr import EXPRESSIONS

CLIPS = 8
FPS = 25
FRAMES = 40
SPLITS = ("train", "validation", "train", "validation", "train", "validation", "train", "test")
"""Of the clips, in order; each is of a person of its own."""
RATE = 16_000
STREAMS = {
    "expression": 12,
    "expression.metric": 4,
    "pyramid.1": 6,
    "pyramid.2": 6,
    "pyramid.3": 6,
    "wav2vec2": 8,
}
"""Streams of the shipped recipes, with the dimensions of tracks that are made up."""
HEADERS = {"VA": ["valence", "arousal"], "EXPR": ["expression"], "AU": list(UNITS)}
FOLDERS = {
    "VA": ("VA_Estimation_Challenge", "valence,arousal"),
    "EXPR": ("EXPR_Recognition_Challenge", ",".join(EXPRESSIONS)),
    "AU": ("AU_Detection_Challenge", ",".join(UNITS)),
}
ABAW_SPLITS = {"train": "Train_Set", "validation": "Validation_Set"}


@dataclass(frozen=True)
class Kind:
    """A kind of corpus.

    Attributes:
        name: On the command line.
        tasks: What is labelled.
        names: Ids of the clips.
        write: Writes the labels: root, kind.
        split: Whether there are validation clips; else people are held out by a fold.
        sound: Whether there are voices alone.
    """

    name: str
    tasks: tuple[str, ...]
    names: tuple[str, ...]
    write: Callable[[Path, "Kind"], None]
    split: bool = True
    sound: bool = False

    @property
    def files(self) -> list[str]:
        """Names of the media files."""
        return [f"{name}{'.wav' if self.sound else '.mp4'}" for name in self.names]


def state(clip: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Valence and arousal (F, 2), expressions (F,) and units (F, 12) of a clip."""
    phase = np.linspace(0, 6, FRAMES) + clip
    va = 0.9 * np.stack([np.sin(phase), np.cos(1.3 * phase)], axis=1)
    expr = (np.arange(FRAMES) // 5 + clip) % len(EXPRESSIONS)
    return va, expr, (va[:, :1] > np.linspace(-0.5, 0.5, len(UNITS))).astype(int)


def cells(clip: int, tasks: Sequence[str]) -> list[list[str]]:
    """Text of the labels of each frame: columns of the tasks, in their order."""
    va, expr, units = state(clip)
    texts = {
        "VA": [[f"{v:.3f}" for v in row] for row in va],
        "EXPR": [[str(e)] for e in expr],
        "AU": [[str(u) for u in row] for row in units],
    }
    return [[text for task in tasks for text in texts[task][frame]] for frame in range(FRAMES)]


def write_table(root: Path, kind: Kind) -> None:
    """`labels.csv` by frame; of a kind `time`, four times a second."""
    by_time = kind.name.endswith("time")
    columns = [column for task in kind.tasks for column in HEADERS[task]]
    lines = [",".join(["id", "split", "person", "time" if by_time else "frame", *columns])]
    for clip, name in enumerate(kind.names):
        for frame, row in enumerate(cells(clip, kind.tasks)):
            if by_time and frame % 6:
                continue
            place = f"{frame / FPS:.2f}" if by_time else str(frame + 1)
            known = row if SPLITS[clip] != "test" else [""] * len(row)
            lines.append(",".join([name, SPLITS[clip], f"person{clip}", place, *known]))
    _write(root / "labels.csv", lines)


def write_abaw(root: Path, kind: Kind) -> None:
    """A folder for each task, and a list of the test set."""
    for clip, name in enumerate(kind.names):
        for task in kind.tasks if SPLITS[clip] != "test" else ():
            folder, header = FOLDERS[task]
            rows = [",".join(row) for row in cells(clip, [task])]
            path = root / "annotations" / folder / ABAW_SPLITS[SPLITS[clip]] / f"{name}.txt"
            _write(path, [header, *rows])
    _write(
        root / "test/VA.txt", [n for n, s in zip(kind.names, SPLITS, strict=True) if s == "test"]
    )


def write_mtl(root: Path, kind: Kind) -> None:
    """Multi-task files."""
    for split, word in (("train", "training"), ("validation", "validation")):
        lines = ["image,valence,arousal,expression,aus"]
        for clip, name in enumerate(kind.names):
            rows = enumerate(cells(clip, kind.tasks), 1) if SPLITS[clip] == split else ()
            lines += [",".join([f"{name}/{frame:05d}.jpg", *row]) for frame, row in rows]
        _write(root / f"annotations/{word}_set_annotations.txt", lines)
    _write(root / "test/MTL.txt", [kind.names[-1]])


def write_afew_va(root: Path, kind: Kind) -> None:
    """A JSON file for each clip."""
    for clip, name in enumerate(kind.names):
        rows = [{"valence": v, "arousal": a} for v, a in np.round(10 * state(clip)[0]).tolist()]
        frames = {f"{frame:05d}": row for frame, row in enumerate(rows)}
        content = {"video_id": name, "actor": f"person{clip}", "frames": frames}
        _write(root / name / f"{name}.json", [json.dumps(content)])


def write_nothing(root: Path, kind: Kind) -> None:
    """The names of the files are the labels."""


_PLAIN = tuple(f"clip{number}" for number in range(1, CLIPS + 1))
_COUNTED = tuple(f"{number:03d}" for number in range(1, CLIPS + 1))
_RAVDESS = tuple(f"01-01-0{3 + i % 6}-01-01-01-0{i + 1}" for i in range(CLIPS))
_EMODB = tuple(f"{i + 8:02d}a01{'WEAFTNFW'[i]}a" for i in range(CLIPS))
_ALL = ("VA", "EXPR", "AU")
_TABLES = [("VA",), ("EXPR",), ("AU",), ("VA", "EXPR"), ("VA", "AU"), ("EXPR", "AU"), _ALL]

KINDS = {
    kind.name: kind
    for kind in (
        *(Kind(f"table-{'+'.join(t).lower()}", t, _PLAIN, write_table) for t in _TABLES),
        Kind("table-time", ("VA", "EXPR"), _PLAIN, write_table),
        Kind("ravdess", ("EXPR",), _RAVDESS, write_nothing, split=False),
        Kind("emodb", ("EXPR",), _EMODB, write_nothing, split=False, sound=True),
        Kind("afew-va", ("VA",), _COUNTED, write_afew_va, split=False),
        Kind("abaw-single", _ALL, _COUNTED, write_abaw),
        Kind("abaw-mtl", _ALL, _COUNTED, write_mtl),
    )
}


def write_labels(root: Path, kind: Kind) -> None:
    """Labels, and sample submissions of the last clip beside the root."""
    root.mkdir(parents=True, exist_ok=True)
    kind.write(root, kind)
    headers = {"VA": "image_location,valence,arousal"}
    headers |= {task: f"image_location,{FOLDERS[task][1]}" for task in ("EXPR", "AU")}
    for task in kind.tasks:
        zeros = ",0" * (2 if task == "VA" else 1 if task == "EXPR" else len(UNITS))
        rows = [f"{kind.names[-1]}/{frame:05d}.jpg{zeros}" for frame in range(1, FRAMES + 1)]
        _write(root.parent / f"{task}_sample.txt", [headers[task], *rows])


def film(folder: Path) -> list[Path]:
    """Eight short videos with a face and a voice, made once."""
    paths = [folder / f"{clip}.mp4" for clip in range(CLIPS)]
    for clip, path in enumerate(paths):
        if not path.exists():
            plan = Plan(clip, str(clip), "train", (f"person{clip}",), "", Fraction(FPS),
                        FRAMES / FPS, (240, 320), _ALL, clip)  # fmt: skip
            shoot(plan, 1, path)
    return paths


def put_media(root: Path, kind: Kind, films: Sequence[Path]) -> None:
    """Videos, or their voices, under the names of the clips."""
    for name, path in zip(kind.files, films, strict=False):
        if not kind.sound:
            os.link(path, root / name)
            continue
        sound = read_sound(path, RATE)
        assert sound is not None
        samples = np.concatenate(list(sound.blocks))
        with wave.open(str(root / name), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())


def put_tracks(root: Path, kind: Kind) -> None:
    """Tracks that tell the labels, without any media; empty files stand for these."""
    store = TrackStore(root / "tracks")
    times = np.arange(FRAMES) / FPS
    for clip, (name, file) in enumerate(zip(kind.names, kind.files, strict=True)):
        (root / file).touch()
        info = TrackInfo(name, MAIN, "", "made-up", "r1", "s1", f"{clip:064d}")
        if not kind.sound:
            _put(store, replace(info, stream="faces"), times, 14, clip)
        for stream, dim in STREAMS.items():
            voice = stream == "wav2vec2"
            if kind.sound and not voice:
                continue
            own = replace(info, stream=stream, person=SOUND if voice else MAIN)
            own = replace(own, duration=FRAMES / FPS) if kind.sound else own
            _put(store, own, times + 0.01 * voice, dim, clip)


def _put(store: TrackStore, info: TrackInfo, times: np.ndarray, dim: int, clip: int) -> None:
    va, expr, _ = state(clip)
    mixed = np.column_stack([va, np.eye(len(EXPRESSIONS))[expr]])
    values = mixed @ np.random.default_rng(dim).normal(size=(mixed.shape[1], dim))
    every = np.ones(len(times), bool)
    store.write(FeatureTrack(values.astype(np.float32), times, every, info))


def _write(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
