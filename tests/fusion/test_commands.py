"""train, evaluate, predict and submit on a tiny corpus: what they make, keep and refuse."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from features.cli.app import run
from features.errors import UserError
from features.store.track_store import TrackStore
from fusion import evaluate, predict, submit, train
from fusion.data.loading.config import DataSettings
from fusion.data.prediction_files import list_predictions, read_predictions
from fusion.evaluate import EvaluateSettings, LabelledSettings
from fusion.inference.checkpoint import load_checkpoint
from fusion.inference.payload import KEY
from fusion.model.settings import ModelSettings
from fusion.streams.clip_tracks import clips_of
from fusion.training.config import TrainSettings
from fusion.training.lightning_module import AffectModule
from fusion.training.run_folder import DONE
from fusion.training.stages import train as train_all
from tests.fusion.small_corpora import put
from tests.fusion.tiny import FRAMES, TEST, write_corpus

EPOCHS = 3


def settings(root: Path, runs: Path, **changes: object) -> TrainSettings:
    defaults = {
        "name": "tiny",
        "runs": runs,
        "data": DataSettings(root=root, streams=["face", "voice"], window=20, stride=15, batch=4),
        "model": ModelSettings(
            dim=16,
            stream_dim=8,
            tcn_levels=1,
            temporal={"name": "transformer", "layers": 1, "heads": 2},
        ),
        "epochs": EPOCHS,
    }
    return TrainSettings(**(defaults | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def best(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of a finished run."""
    return train_all(settings(root, tmp_path_factory.mktemp("runs")))


def call(module, *argv: object) -> int:
    """Exit status of a command."""
    types = {
        train: TrainSettings,
        evaluate: EvaluateSettings,
        predict: predict.PredictSettings,
        submit: submit.SubmitSettings,
    }
    with pytest.raises(SystemExit) as stop:
        run(types[module], module.command, prog="t", description="", argv=[str(a) for a in argv])
    return int(stop.value.code or 0)


def read_logs(run_folder: Path) -> pd.DataFrame:
    """What all legs of a run have logged."""
    return pd.concat(map(pd.read_csv, sorted(run_folder.glob("logs/*/metrics.csv"))))


@pytest.fixture
def says(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What was complained of since; fails unless that is one line."""

    def one_line() -> str:
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("t: ")]
        assert len(lines) == 1
        return lines[0]

    return one_line


def test_a_checkpoint_holds_all_that_is_needed_and_no_code(best: Path) -> None:
    payload = torch.load(best, weights_only=True)[KEY]
    assert payload["config"]["model"]["dim"] == 16
    assert payload["specs"]["face"]["revision"] == "r1"
    assert payload["provenance"]["train_clips"] == ["1", "2"]
    checkpoint = load_checkpoint(best)
    assert list(checkpoint.network.normalisers) == ["face", "voice"]
    assert not checkpoint.network.model.training


def test_training_logs_and_scores_as_evaluate_does(root: Path, best: Path) -> None:
    logged = read_logs(best.parent)["val/P"].dropna()
    metrics, missing = evaluate.evaluate(
        EvaluateSettings(checkpoint=best, data=LabelledSettings(root=root))
    )
    assert not missing
    assert metrics.scores()["P"] == pytest.approx(logged.max(), abs=1e-4)


def test_a_finished_run_is_not_trained_again(
    root: Path, best: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = best.read_bytes()
    train_all(settings(root, best.parents[1]))
    assert "finished before" in capsys.readouterr().out
    assert best.read_bytes() == before


def test_a_run_with_other_settings_is_not_overwritten(root: Path, best: Path) -> None:
    with pytest.raises(UserError, match=r"other settings \(seed\).*--fresh true"):
        train_all(settings(root, best.parents[1], seed=5))


def test_a_stopped_run_goes_on_from_its_last_epoch(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: Callable[[], str]
) -> None:
    words = ["--data.root", root, "--runs", tmp_path, "--data.streams", "[face]", "--epochs", "3"]

    def stop(module: AffectModule) -> None:
        if module.current_epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(AffectModule, "on_train_epoch_start", stop)
        assert call(train, *words) == 130
        assert "finished work is kept" in says()
    assert not (tmp_path / "mtl" / DONE).exists()
    assert call(train, *words) == 0
    second_leg = pd.read_csv(tmp_path / "mtl/logs/version_1/metrics.csv")
    assert sorted(second_leg["epoch"].unique()) == [1, 2]


def test_fresh_trains_anew(root: Path, tmp_path: Path) -> None:
    first = train_all(settings(root, tmp_path, epochs=1))
    train_all(settings(root, tmp_path, epochs=1, seed=9, fresh=True))
    assert load_checkpoint(first).config["seed"] == 9


def test_a_stream_that_is_not_extracted_is_named_with_the_remedy(
    root: Path, tmp_path: Path, says: Callable[[], str]
) -> None:
    status = call(
        train, "--data.root", root, "--runs", tmp_path, "--data.streams", "[face,whisper]"
    )
    assert status == 1
    assert "no stream 'whisper'" in (line := says())
    assert "features.extract" in line


@pytest.mark.parametrize("row", ["0.1", "0.1,loud", "0.1,3"])
def test_a_bad_annotation_is_named_with_its_line(
    row: str, tmp_path: Path, says: Callable[[], str]
) -> None:
    root = write_corpus(tmp_path / "bad")
    path = root / "annotations/VA_Estimation_Challenge/Train_Set/1.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:4], row, *lines[5:]]) + "\n")
    assert call(train, "--data.root", root, "--data.streams", "[face]", "--runs", tmp_path) == 1
    assert "1.txt:5" in says().replace(", line ", ":")


def test_labels_are_matched_to_frames_by_number_and_the_difference_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_corpus(tmp_path / "odd")
    folder = root / "annotations/EXPR_Recognition_Challenge/Train_Set"
    for name, change in (("1", lambda rows: [*rows, "3"]), ("2", lambda rows: rows[:-2])):
        for path in (root / "annotations").rglob(f"{name}.txt"):
            rows = path.read_text().splitlines()
            path.write_text("\n".join(change(rows) if path.parent == folder else rows) + "\n")
    for path in (root / "annotations").rglob("2.txt"):
        path.write_text("\n".join(path.read_text().splitlines()[: FRAMES - 1]) + "\n")
    train_all(settings(root, tmp_path, epochs=1))
    out = capsys.readouterr().out
    assert "1 label row beyond the last frame cut: 1 clip (1)" in out
    assert "2 frames beyond the last label row masked: 1 clip (2)" in out


def test_predictions_cover_every_frame_with_their_times(
    root: Path, best: Path, tmp_path: Path
) -> None:
    status = call(
        predict, "--checkpoint", best, "--store", root / "tracks", "--out", tmp_path,
        "--format", "csv",
    )  # fmt: skip
    assert status == 0
    table = pd.read_csv(tmp_path / "6.csv")
    assert len(table) == TEST["6"]
    np.testing.assert_allclose(table["time"], np.arange(TEST["6"]) / 25)
    assert {p.stem for p in tmp_path.glob("*.csv")} == {"1", "2", "3", "4_left", *TEST}


def test_only_what_was_asked_for_is_predicted(
    root: Path, best: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "6.mp4").touch()
    monkeypatch.setattr(predict, "extract_input", lambda *_: True)  # its tracks are there
    words = ["--checkpoint", best, "--input", tmp_path / "6.mp4", "--store", root / "tracks"]
    assert call(predict, *words, "--out", tmp_path / "p") == 0
    assert [path.stem for path in (tmp_path / "p").glob("*.parquet")] == ["6"]


def test_videos_with_names_of_people_are_predicted_like_any_other(
    root: Path, best: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`x_left` may be a video, with its own sound; nobody is left out for the name of a file."""
    store, videos = TrackStore(tmp_path / "tracks"), tmp_path / "videos"
    videos.mkdir()
    for name in ("x_left", "x_right", "dyad01_person1"):
        (videos / f"{name}.mp4").touch()
        for stream in ("faces", "face", "voice"):
            track = TrackStore(root / "tracks").read(stream, "1")
            info = replace(track.info, video=name)
            store.write(replace(track, info=info))
    monkeypatch.setattr(predict, "extract_input", lambda *_: True)  # their tracks are there
    words = ["--checkpoint", best, "--store", store.root]
    assert call(predict, *words, "--input", videos, "--out", tmp_path / "p") == 0
    assert call(predict, *words, "--out", tmp_path / "q") == 0
    for folder in (tmp_path / "p", tmp_path / "q"):
        said = {
            name: read_predictions(path).video for name, path in list_predictions(folder).items()
        }
        assert said == {name: name for name in ("x_left", "x_right", "dyad01_person1")}
    (tmp_path / "list.txt").write_text("x_left\ndyad01_person1\n")
    words = ["--checkpoint", best, "--data.root", tmp_path, "--data.store", store.root]
    out = tmp_path / "va.txt"
    assert call(submit, *words, "--list", tmp_path / "list.txt", "--out", out) == 0
    assert len(out.read_text().splitlines()) == 1 + 2 * FRAMES
    assert [clip.video for clip in clips_of(store, ["x_left", "x_right"])] == ["x_left", "x_right"]


def test_predictions_of_another_source_of_the_same_name_are_never_overwritten(
    root: Path, best: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: Callable[[], str]
) -> None:
    words = ["--checkpoint", best, "--store", root / "tracks", "--out", tmp_path / "p"]
    extracted: list[Path] = []
    monkeypatch.setattr(predict, "extract_input", lambda s, *_: not extracted.append(s.input))
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "6.mp4").write_text(folder)
    a, b = tmp_path / "a" / "6.mp4", tmp_path / "b" / "6.mp4"
    assert call(predict, *words, "--input", a) == 0
    before = (tmp_path / "p" / "6.parquet").read_bytes()
    a.write_text("changed since")  # of the same place: made anew
    assert call(predict, *words, "--input", a) == 0
    for more in ([], ["--format", "csv"]):
        assert call(predict, *words, "--input", b, *more) == 1
        assert f"6.parquet: of video '6' ({a}), and {b} would overwrite it" in says()
    assert extracted == [a, a]  # nothing of b was begun
    assert [p.name for p in (tmp_path / "p").iterdir()] == ["6.parquet"]
    assert (tmp_path / "p" / "6.parquet").read_bytes() == before
    assert call(predict, *words, "--input", b, "--out", tmp_path / "q") == 0


def test_a_stream_that_the_store_lacks_is_done_without(
    root: Path, best: Path, tmp_path: Path
) -> None:
    store = TrackStore(tmp_path / "tracks")
    for stream in ("faces", "face"):
        store.write(TrackStore(root / "tracks").read(stream, "1"))
    assert call(predict, "--checkpoint", best, "--store", store.root, "--out", tmp_path / "p") == 0
    assert (tmp_path / "p" / "1.parquet").exists()


def test_tracks_of_another_encoder_are_refused(
    root: Path, best: Path, tmp_path: Path, says: Callable[[], str]
) -> None:
    store = TrackStore(tmp_path / "tracks")
    store.write(TrackStore(root / "tracks").read("faces", "1"))
    put(store, "face", "1", np.arange(FRAMES) / 25, np.ones((FRAMES, 6)), revision="r2")
    assert call(predict, "--checkpoint", best, "--store", store.root, "--out", tmp_path / "p") == 1
    assert "net r2" in (line := says())
    assert "net r1" in line


def test_a_checkpoint_of_streams_that_are_not_there_says_what_to_run(
    root: Path, best: Path, tmp_path: Path, says: Callable[[], str]
) -> None:
    store = TrackStore(tmp_path / "tracks")
    store.write(TrackStore(root / "tracks").read("faces", "1"))
    assert call(predict, "--checkpoint", best, "--store", store.root, "--out", tmp_path / "p") == 1
    assert "no stream 'face', only 'faces'; run python -m features.extract" in says()


@pytest.mark.parametrize("content", [None, b"", b"no checkpoint", b"PK\x03\x04 cut"])
def test_a_missing_or_damaged_checkpoint_is_one_line(
    content: bytes | None, root: Path, tmp_path: Path, says: Callable[[], str]
) -> None:
    path = tmp_path / "a.ckpt"
    if content is not None:
        path.write_bytes(content)
    assert call(evaluate, "--checkpoint", path, "--data.root", root) == 1
    assert "a.ckpt" in says()


def test_a_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "b.ckpt")
    with pytest.raises(UserError, match="not a checkpoint of this project"):
        load_checkpoint(tmp_path / "b.ckpt")


def test_a_submission_follows_the_template_and_passes_the_check(
    root: Path, best: Path, tmp_path: Path
) -> None:
    template = root / "test/VA_sample_submission.txt"
    out = tmp_path / "va.txt"
    words = ["--challenge", "VA", "--template", template, "--data.root", root]
    assert call(submit, *words, "--checkpoint", best, "--out", out) == 0
    rows = out.read_text().splitlines()
    assert rows[0] == "image_location,valence,arousal"
    expected = [line.split(",")[0] for line in template.read_text().splitlines()]
    assert [row.split(",")[0] for row in rows] == expected
    assert call(submit, *words, "--check", out) == 0


def test_the_check_names_the_first_bad_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = root / "test/VA_sample_submission.txt"
    lines = template.read_text().splitlines()
    lines[3] = lines[3].replace(",0,0", ",0,2.5")
    bad = tmp_path / "bad.txt"
    bad.write_text("\n".join(lines) + "\n")
    status = call(submit, "--challenge", "VA", "--template", template, "--check", bad)
    assert status == 1
    assert "line 4" in capsys.readouterr().out


def test_submitting_without_saying_which_frames_is_refused(says: Callable[[], str]) -> None:
    assert call(submit, "--challenge", "VA") == 1
    assert "--template" in says()


def test_a_full_disk_while_training_is_one_line(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: Callable[[], str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28), "best.ckpt")

    monkeypatch.setattr("pytorch_lightning.Trainer.save_checkpoint", full)
    config = [
        "--data.root", root, "--runs", tmp_path, "--data.streams", "[face]", "--epochs", "1",
    ]  # fmt: skip
    assert call(train, *config) == 1
    assert "no space left" in says()


def test_all_listed_ids_that_cannot_be_predicted_are_named_before_work_starts(
    root: Path, best: Path, tmp_path: Path, says: Callable[[], str]
) -> None:
    store = TrackStore(tmp_path / "tracks")
    for stream in ("faces", "face", "voice"):
        store.write(TrackStore(root / "tracks").read(stream, "1"))
    for name in ("mute", "mute2"):
        put(store, "voice", name, np.arange(5) / 25, np.ones((5, 3)), person="sound")
    names = tmp_path / "list.txt"
    names.write_text("1\nlost\nmute\ngone\nmute2\n")
    words = ["--checkpoint", best, "--data.root", tmp_path, "--list", names]
    assert call(submit, *words, "--out", tmp_path / "va.txt") == 1
    assert says().endswith(
        "no tracks of 2 listed ids: lost, gone; sound but no pictures that give the frame times of"
        " 2 listed ids: mute, mute2; run python -m features.extract on the test videos"
    )
