"""Challenges on whole clips, from annotation to submission."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from features.cli.app import run
from features.errors import UserError
from features.store.track_store import TrackStore
from fusion import submit
from fusion.abaw.clip_challenges import MIMICRY
from fusion.data.loading.config import DataSettings
from fusion.data.prediction_files import write_predictions
from fusion.data.predictions import FramePredictions
from fusion.model.settings import ModelSettings
from fusion.submit import SubmitSettings
from fusion.tasks.registry import make_tasks
from fusion.training.config import TrainSettings
from fusion.training.stages import train
from tests.fusion.small_corpora import put

SPLIT = f"Filename,{','.join(MIMICRY)}"
NAMES = {"00000": "train", "00001": "train", "08072": "valid", "08073": "valid"}
TEST = ("12660", "12661")


def call(*argv: object) -> int:
    words = [str(word) for word in argv]
    with pytest.raises(SystemExit) as stop:
        run(SubmitSettings, submit.command, prog="t", description="", argv=words)
    return int(stop.value.code or 0)


def said(
    name: str, tasks: Mapping[str, Mapping[str, object]], values: np.ndarray
) -> FramePredictions:
    """Predictions of one task, the given rows (F, C)."""
    (task,) = tasks
    times = np.arange(len(values)) / 25
    face = np.ones(len(values), bool)
    rows = {task: values.astype(np.float32)}
    return FramePredictions(name, name, times, face, make_tasks(tasks), rows)


def test_ambivalence_is_decided_by_the_mean_over_a_video(tmp_path: Path) -> None:
    tasks = {"emotions": {"classes": ["present", "absent"], "level": "clip"}}
    for name, present in {
        "1_Question_1_Video": [0.9, 0.2],
        "1_Question_2_Video": [0.6, 0.2],
    }.items():
        rows = np.stack([present, 1 - np.array(present)], 1)
        write_predictions(said(name, tasks, rows), tmp_path / "pred")
    sample, out = tmp_path / "trial-0.txt", tmp_path / "trial-1.txt"
    sample.write_text("Videos/1/1_Question_2_Video.mp4,0\nVideos/1/1_Question_1_Video.mp4,0\n")
    words = ("--challenge", "AH", "--template", sample)
    assert call(*words, "--pred", tmp_path / "pred", "--out", out) == 0
    assert out.read_text().splitlines() == [
        "Videos/1/1_Question_2_Video.mp4,0.6000,0.4000,0",
        "Videos/1/1_Question_1_Video.mp4,0.4500,0.5500,1",
    ]
    out.write_text(out.read_text().replace("0.4500", "0.4501"))
    assert call(*words, "--check", out) == 1


def test_predictions_of_other_values_are_refused(tmp_path: Path) -> None:
    tasks = {"intensities": {"names": ["Joy", "Fear"]}}
    write_predictions(said("12660", tasks, np.zeros((2, 2))), tmp_path / "pred")
    settings = SubmitSettings(challenge="EMI", pred=tmp_path / "pred", out=tmp_path / "o.csv")
    with pytest.raises(
        UserError, match="has not learnt what EMI asks for; train with the task int"
    ):
        submit.submit(settings, submit.read_asked(settings))


@pytest.mark.parametrize(
    ("challenge", "edition", "known"),
    [("AH", 8, "editions 10 and 11"), ("EMI", 7, "editions 6, 8 and 10"), ("ERI", 6, "edition 5")],
)
def test_an_edition_with_other_files_is_refused(challenge: str, edition: int, known: str) -> None:
    settings = SubmitSettings(challenge=challenge, edition=edition)
    with pytest.raises(UserError, match=f"{challenge} has .* in {known}, not in {edition}"):
        submit.read_asked(settings)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips whose tracks tell their intensities."""
    folder = tmp_path_factory.mktemp("emi")
    store, rng = TrackStore(folder / "tracks"), np.random.default_rng(0)
    lines: dict[str, list[str]] = {split: [SPLIT] for split in ("train", "valid", "test")}
    for name in (*NAMES, *TEST):
        values = rng.uniform(0, 1, len(MIMICRY))
        times = np.arange(30) / 25
        put(store, "faces", name, times)
        put(store, "face", name, times, np.repeat(values[None], 30, 0))
        given = values if name in NAMES else np.zeros(len(MIMICRY))
        lines[NAMES.get(name, "test")].append(",".join([name, *(f"{v:.6f}" for v in given)]))
    for split, rows in lines.items():
        (folder / f"{split}_split.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_mimicry_goes_from_annotation_to_submission(root: Path, tmp_path: Path) -> None:
    tasks = {"intensities": {"names": list(MIMICRY)}}
    best = train(
        TrainSettings(
            name="emi",
            runs=tmp_path,
            data=DataSettings(root=root, streams=["face"], window=20, stride=15, batch=2),
            model=ModelSettings(dim=16, stream_dim=8, tcn_levels=1, temporal={"name": "none"}),
            tasks=tasks,
            epochs=1,
        )
    )
    out = tmp_path / "emi.csv"
    words = ("--challenge", "EMI", "--template", root / "test_split.csv")
    assert call(*words, "--checkpoint", best, "--data.root", root, "--out", out) == 0
    header, *rows = out.read_text().splitlines()
    assert header == SPLIT
    assert [row.partition(",")[0] for row in rows] == list(TEST)
