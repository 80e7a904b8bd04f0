"""A tiny corpus in ABAW's layout with tracks that tell the labels."""

from pathlib import Path

import numpy as np

from features.store.track_store import TrackStore
from fusion.tasks.au import UNITS
from fusion.tasks.expr import EXPRESSIONS
from tests.fusion.small_corpora import put

FRAMES = 40
CLIPS = {"1": "Train_Set", "2": "Train_Set", "3": "Validation_Set", "4_left": "Validation_Set"}
TEST = {"5": 40, "6": 33}
DIM = 6


def write_corpus(root: Path) -> Path:
    """Annotations of four clips, two test ids with a sample submission, and tracks of all six."""
    store = TrackStore(root / "tracks")
    for number, name in enumerate([*CLIPS, *TEST]):
        frames = TEST.get(name, FRAMES)
        state = made_state(number, frames)
        _write_tracks(store, name, state)
        if name in CLIPS:
            write_labels(root / "annotations", name, CLIPS[name], state)
    rows = [f"{n}/{i:05d}.jpg,0,0" for n, frames in TEST.items() for i in range(1, frames + 1)]
    _write(root / "test/VA_sample_submission.txt", ["image_location,valence,arousal", *rows])
    return root


def made_state(number: int, frames: int) -> np.ndarray:
    """Valence and arousal (F, 2), smooth and different in each clip."""
    phase = np.linspace(0, 6, frames) + number
    return np.stack([np.sin(phase), np.cos(1.3 * phase)], 1) * 0.9


def _write_tracks(store: TrackStore, name: str, state: np.ndarray) -> None:
    video, _, person = name.partition("_")
    times = np.arange(len(state)) / 25
    mixed = state @ np.linspace(-1, 1, 2 * DIM).reshape(2, DIM)
    person = person or "main"
    put(store, "faces", video, times, person=person)
    put(store, "face", video, times, mixed, person=person)
    put(store, "voice", video, times + 0.01, mixed[:, :3] ** 2, person="sound")


def write_labels(root: Path, name: str, split: str, state: np.ndarray) -> None:
    """Labels that the state (F, 2) tells, in ABAW's single-task files below `root`."""
    expr = (np.arange(len(state)) // 5) % len(EXPRESSIONS)
    units = (state[:, :1] > np.linspace(-0.5, 0.5, len(UNITS))).astype(int)
    rows = {
        "VA_Estimation_Challenge": ("valence,arousal", [f"{v:.3f},{a:.3f}" for v, a in state]),
        "EXPR_Recognition_Challenge": (",".join(EXPRESSIONS), [str(e) for e in expr]),
        "AU_Detection_Challenge": (",".join(UNITS), [",".join(map(str, row)) for row in units]),
    }
    for challenge, (header, lines) in rows.items():
        _write(root / challenge / split / f"{name}.txt", [header, *lines])


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
