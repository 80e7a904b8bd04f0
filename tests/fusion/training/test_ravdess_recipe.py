"""RAVDESS by the general path: names of files to eight emotions of clips, of actors held out.

Files are empty, tracks made up: sound at 50 tokens a second, units one row a clip, as imported.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.cli.app import parse
from features.store.feature_track import SOUND
from features.store.track_store import TrackStore
from fusion.check import check
from fusion.corpora import read_corpus
from fusion.data.loading.config import DataSettings
from fusion.data.loading.datamodule import AffectDataModule
from fusion.data.prediction_files import list_predictions, read_predictions
from fusion.data.predictions import FramePredictions
from fusion.metrics.evaluation import Evaluation
from fusion.metrics.remarks import remarks
from fusion.tasks.clips import Clip
from fusion.tasks.registry import Tasks, default_tasks, make_tasks
from fusion.training.config import TrainSettings
from fusion.training.cross_validation import train_several
from tests.fusion.small_corpora import put

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
ACTORS, SECONDS = 4, 3
SMALL = "--model.dim 16 --model.stream_dim 8 --model.dropout 0"
QUICK = "--epochs 25 --data.batch 8 --optimizer.lr 0.01 --model.stream_dropout 0"
LAYERS = [f"whisper.{n}" for n in (1, 2, 3, 4)]
STREAMS = [*LAYERS, "openface"]
EMOTIONS_ONLY = make_tasks({"emotions": {"classes": EMOTIONS}})
read = read_corpus


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each actor plays each emotion twice; units tell which half, sound which of the half."""
    folder = tmp_path_factory.mktemp("r")
    store, rng = TrackStore(folder / "tracks"), np.random.default_rng(0)
    for actor in range(1, ACTORS + 1):
        for code in range(1, 1 + len(EMOTIONS)):
            for take in (1, 2):
                name = f"03-01-0{code}-01-01-0{take}-0{actor}"
                (folder / f"{name}.flac").touch()
                _put_tracks(store, name, code - 1, rng)
    return folder


def _put_tracks(store: TrackStore, name: str, emotion: int, rng: np.random.Generator) -> None:
    times = np.arange(50 * SECONDS) / 50 + 0.01
    for layer in LAYERS:
        sound = np.eye(4)[emotion % 4] + 0.1 * rng.normal(size=(len(times), 4))
        put(store, layer, name, times, sound, person=SOUND, duration=float(SECONDS))
    units = np.eye(2)[emotion // 4] + 0.1 * rng.normal(size=(1, 2))
    put(store, "openface", name, [0.0], units, notes="clip-level")


def recipe(*argv: object) -> TrainSettings:
    words = ["--cfg", "ravdess", *map(str, argv)]
    return parse(TrainSettings, prog="t", description="", argv=words)


def test_the_recipe_tells_the_eight_emotions_of_clips_of_unseen_actors() -> None:
    one = recipe()
    (task,) = one.made_tasks().values()
    assert (task.name, task.names, task.level, task.settings.metric) == (
        "emotions", EMOTIONS, "clip", "accuracy",
    )  # fmt: skip
    assert (one.folds, one.keep) == (5, "last")
    assert one.data.streams == STREAMS
    assert not one.stages


def test_files_named_as_ravdess_go_through_training_to_a_score(root: Path, tmp_path: Path) -> None:
    more = ("--runs", tmp_path, "--folds", 2)
    scores = train_several(recipe("--data.root", root, *more, *SMALL.split(), *QUICK.split()))
    assert scores["EMOTIONS"] > 0.9
    out = list_predictions(tmp_path / "ravdess/out_of_fold")
    assert len(out) == ACTORS * 16, "calm too"
    assert list(read_predictions(next(iter(out.values()))).tasks) == ["emotions"]
    halves = [{clip.group for clip in fold_of(root, fold)} for fold in (0, 1)]
    assert list(map(len, halves)) == [ACTORS // 2] * 2
    assert not halves[0] & halves[1]


def fold_of(root: Path, fold: int) -> list[Clip]:
    """What a fold holds out."""
    return held_out_module(root, EMOTIONS_ONLY, fold).splits["validation"]


def held_out_module(root: Path, tasks: Tasks, fold: int = 0, **more: object) -> AffectDataModule:
    data = DataSettings(root=root, streams=STREAMS, fold=fold, folds=2, **more)  # type: ignore[arg-type]
    return AffectDataModule(read_corpus(root), TrackStore(root / "tracks"), data, tasks=tasks)


def without_emotions(clips: Sequence[Clip]) -> list[Clip]:
    return [replace(clip, labels=clip.labels.of_task("expr")) for clip in clips]


@pytest.mark.parametrize("share", [True, False])
def test_who_learns_abaws_tasks_sees_no_more_labels_than_theirs(
    root: Path, monkeypatch: pytest.MonkeyPatch, share: bool
) -> None:
    whole = held_out_module(root, default_tasks(), share_labels=share)
    monkeypatch.setitem(globals(), "read_corpus", lambda root: without_emotions(read(root)))
    plain = held_out_module(root, default_tasks(), share_labels=share)
    assert whole.content() == plain.content()
    for split in ("train", "validation"):
        assert [c.id for c in whole.splits[split]] == [c.id for c in plain.splits[split]]


def test_a_model_of_expressions_is_not_said_to_lack_the_emotions(root: Path) -> None:
    tasks = make_tasks({"expr": {}})
    clips = [clip for clip in read(root) if clip.labels.tasks() == ["emotions", "expr"][::-1]]
    evaluation = Evaluation.of(clips)
    times = np.arange(5) / 25
    even = np.full((5, 8), 1 / 8, np.float32)
    one = clips[0].id
    evaluation.add(FramePredictions(one, one, times, times > -1, tasks, {"expr": even}))
    assert not evaluation.unlearnt
    assert not [line for line in remarks(evaluation) if "not scored" in line]


def test_the_check_counts_what_is_not_abaws_where_there_is_nothing_else(
    root: Path, tmp_path: Path
) -> None:
    rows = [line.split() for line in check(root).tables["Labels"][1:]]
    assert [row[:3] for row in rows] == [["EXPR", "train", "56"], ["none", "train", "8"]]
    (tmp_path / "labels.csv").write_text("id,emotion\na,happy\nb,sad\n")
    rows = [line.split() for line in check(tmp_path).tables["Labels"][1:]]
    assert [row[:5] for row in rows] == [["EMOTIONS", "train", "2", "2", "2"]]
