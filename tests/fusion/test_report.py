import errno
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import fusion.reporting.loudness
from features.cli.app import FAILED, INTERRUPTED, OK, USAGE, run
from features.encoders.audio.prosody import ProsodyEncoder
from features.errors import UserError
from features.media import Sound
from features.store.feature_track import SOUND, FeatureTrack, TrackInfo
from features.store.track_store import TrackStore
from fusion.data.prediction_files import write_predictions
from fusion.data.predictions import FramePredictions
from fusion.metrics.official import ccc
from fusion.report import command, report
from fusion.reporting import timeline
from fusion.reporting.figures import draw_clips, draw_comparison
from fusion.reporting.loudness import (
    ENERGY,
    HOP,
    RATE,
    SILENCE_DB,
    envelope_of_media,
    envelope_of_store,
)
from fusion.reporting.settings import ReportSettings
from fusion.reporting.timeline import Envelope, agreement, clock, draw_timeline
from fusion.reporting.timelines.grouping import Groups
from fusion.reporting.truth import TruthSettings, read_labels
from fusion.tasks.au import UNITS
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.labels import FrameLabels
from tests.fusion.classic import classic_labels, classic_predictions, empty_labels

FRAMES = 60


def make_predictions(frames: int = FRAMES, name: str = "12", seed: int = 0) -> FramePredictions:
    rng = np.random.default_rng(seed)
    return classic_predictions(
        id=name,
        video=name.removesuffix("_left"),
        times=np.arange(frames) / 25,
        face=np.arange(frames) % 20 > 2,
        va=np.tanh(rng.normal(size=(frames, 2)).cumsum(0) / 5).astype(np.float32),
        expr=rng.dirichlet(np.ones(len(EXPRESSIONS)), frames).astype(np.float32),
        au=rng.random((frames, len(UNITS)), dtype=np.float32),
        thresholds=np.full(len(UNITS), 0.5, np.float32),
        provenance={"checkpoint": "0123abcd"},
    )


def make_labels(frames: int = FRAMES, seed: int = 1) -> FrameLabels:
    rng = np.random.default_rng(seed)
    return classic_labels(
        va=rng.uniform(-1, 1, (frames, 2)).astype(np.float32),
        va_mask=np.ones(frames, bool),
        expr=rng.integers(0, len(EXPRESSIONS), frames),
        expr_mask=np.ones(frames, bool),
        au=rng.integers(0, 2, (frames, len(UNITS))).astype(np.float32),
        au_mask=np.ones((frames, len(UNITS)), bool),
    )


def make_sound(frames: int = FRAMES) -> Envelope:
    times = np.arange(0.01, frames / 25, 0.02)
    return Envelope(times, (-30 + 20 * np.sin(times * 9)).astype(np.float32))


def drawn(path: Path, *args: FrameLabels | Envelope | None, frames: int = FRAMES) -> bytes:
    labels, envelope = args
    draw_timeline(make_predictions(frames), labels, envelope, path)  # type: ignore[arg-type]
    return path.read_bytes()


def run_report(*argv: str | Path) -> int:
    with pytest.raises(SystemExit) as caught:
        run(ReportSettings, command, prog="fusion.report", description="", argv=[*map(str, argv)])
    return int(caught.value.code or 0)


# Groups ----------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 80), st.integers(1, 12), st.integers(0, 999))
def test_groups_summarise_exactly_their_own_frames(frames: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(1.0, frames) + 1e-3)
    values, mask = rng.normal(size=frames), rng.random(frames) < 0.6
    classes = rng.integers(0, 3, frames)
    groups = Groups.of(times, columns)
    assert len(groups.starts) == frames if frames <= columns else len(groups.starts) <= columns
    mean, (low, high) = groups.mean(values, mask), groups.range(values, mask)
    mode = groups.most_frequent(classes, mask, 3)
    parts = np.split(np.arange(frames), groups.starts[1:])
    for i, part in enumerate(parts):
        known = values[part][mask[part]]
        assert np.ma.getmaskarray(mean)[i] == np.ma.getmaskarray(mode)[i] == (len(known) == 0)
        assert groups.edges[i] == times[part[0]]
        if len(known):
            assert mean[i] == pytest.approx(known.mean())
            assert (low[i], high[i]) == (known.min(), known.max())
            counts = np.bincount(classes[part][mask[part]], minlength=3)
            assert counts[mode[i]] == counts.max()


def test_a_single_extreme_frame_of_half_an_hour_stays_in_the_range() -> None:
    values = np.zeros(54_000)
    values[31_234] = 0.9
    groups = Groups.of(np.arange(54_000) / 30)
    low, high = groups.range(values, np.ones(54_000, bool))
    assert high.max() == 0.9
    assert low.min() == 0
    assert (high > 0).sum() == 1


# The picture -----------------------------------------------------------------------------------


def test_the_picture_is_1600_by_1000_repeats_byte_by_byte_and_has_no_date(tmp_path: Path) -> None:
    first = drawn(tmp_path / "a.png", make_labels(), make_sound())
    assert first == drawn(tmp_path / "b.png", make_labels(), make_sound())
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (1600, 1000)
        assert set(image.info) == {"dpi"}


def test_values_under_a_mask_leave_no_trace_but_the_mask_does(tmp_path: Path) -> None:
    labels = make_labels()
    hidden = deepcopy(labels)
    hidden["va"].mask[20:40], hidden["au"].mask[:, 3] = False, False
    nonsense = deepcopy(hidden)
    nonsense["va"].values[20:40], nonsense["au"].values[:, 3] = 0.77, 1.0
    picture = drawn(tmp_path / "a.png", hidden, None)
    assert picture == drawn(tmp_path / "b.png", nonsense, None)
    assert picture != drawn(tmp_path / "c.png", labels, None)


@pytest.mark.parametrize("frames", [60, 3000])
def test_a_gap_in_the_truth_is_a_gap_in_its_line(tmp_path: Path, frames: int) -> None:
    labels = make_labels(frames)
    labels["va"].values[:] = 0.8
    labels["va"].mask[frames // 3 : 2 * frames // 3] = False
    path = tmp_path / "a.png"
    drawn(path, labels, None, frames=frames)
    with Image.open(path) as image:
        panel = np.asarray(image.convert("RGB"))[100:220, 150:1410].max(2) < 60
    thirds = [part.any() for part in np.split(panel, 3, axis=1)]
    inner = panel[:, 440:820]
    assert thirds[0]
    assert thirds[2]
    assert not inner.any()


def test_truth_of_each_task_and_sound_are_drawn_where_they_are_known(tmp_path: Path) -> None:
    labels, empty = make_labels(), empty_labels(FRAMES)
    bare = drawn(tmp_path / "a.png", None, None)
    assert drawn(tmp_path / "a.png", empty, None) == bare
    pictures = {bare, drawn(tmp_path / "a.png", None, make_sound())}
    for task in ("va", "expr", "au"):
        pictures.add(drawn(tmp_path / "a.png", labels.of_task(task), None))
    assert len(pictures) == 5


@pytest.mark.parametrize(
    "change",
    [
        {"id": "cost $x_{2$", "provenance": {"a": "$\\frac$"}},
        {"face": np.zeros(FRAMES, bool)},
        {"times": np.cumsum(np.r_[np.full(30, 0.02), 3600.0, np.full(29, 0.05)])},
    ],
)
def test_odd_predictions_are_drawn(tmp_path: Path, change: dict) -> None:
    predictions = replace(make_predictions(), **change)
    draw_timeline(predictions, make_labels(40), make_sound(), tmp_path / "a.png")
    assert (tmp_path / "a.png").is_file()


def test_one_frame_is_drawn(tmp_path: Path) -> None:
    assert drawn(tmp_path / "a.png", make_labels(1), None, frames=1)


def test_the_title_gives_the_ccc_over_labelled_frames_alone() -> None:
    predictions, labels = make_predictions(), make_labels()
    labels["va"].mask[:25] = False
    truth, said = labels["va"].values[25:], predictions.values["va"][25:]
    v, a = (ccc(truth[:, i], said[:, i]) for i in (0, 1))
    text = agreement(predictions, labels)
    assert f"valence {v:.2f}" in text
    assert f"arousal {a:.2f}" in text
    assert "35 labelled frames" in text
    assert agreement(predictions, FrameLabels(FRAMES)) == ""


def test_long_times_read_as_on_a_clock() -> None:
    assert [clock(t) for t in (0, 61.6, 3605)] == ["0:00", "1:02", "1:00:05"]


# Truth -----------------------------------------------------------------------------------------


def write_va(root: Path, split: str, name: str, rows: list[str]) -> None:
    path = root / "VA_Estimation_Challenge" / split / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["valence,arousal", *rows]) + "\n")


def write_expr(root: Path, split: str, name: str, rows: list[str]) -> None:
    path = root / "EXPR_Classification_Challenge" / split / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([",".join(EXPRESSIONS), *rows]) + "\n")


def test_truth_of_one_id_comes_together_from_all_splits_and_the_folder_beside(
    tmp_path: Path,
) -> None:
    root, beside = tmp_path / "corpus", tmp_path / "corpus_truth"
    write_va(root, "Train_Set", "12", ["0.5,0.25", "-5,-5"])
    write_expr(root, "Validation_Set", "12", ["4", "-1", "6"])
    write_va(root, "Validation_Set", "12", ["0.1,0.1", "0.2,0.1", "0.3,0.1"])
    write_va(beside, "Test_Set", "9", ["-0.5,1"])
    labels = read_labels(TruthSettings(root=root))
    assert labels.keys() == {"12", "9"}
    va, expr = labels["12"]["va"], labels["12"]["expr"]
    np.testing.assert_allclose(va.values[:, 0], [0.5, 0.2, 0.3])
    assert va.mask.all()
    assert expr.mask.tolist() == [True, False, True]
    assert expr.values[2] == 6
    np.testing.assert_array_equal(labels["9"]["va"].values, [[-0.5, 1]])
    assert read_labels(TruthSettings()) == {}
    assert read_labels(TruthSettings(truth=beside)).keys() == {"9"}


# Sound -----------------------------------------------------------------------------------------


def write_tone(path: Path) -> None:
    """A second of silence, then a second of a sine of amplitude .5: -9 dB."""
    t = np.arange(2 * 44100) / 44100
    soundfile.write(path, np.where(t < 1, 0, 0.5 * np.sin(2 * np.pi * 440 * t)), 44100)


def write_prosody(store: TrackStore, video: str, values: np.ndarray, encoder: str) -> Path:
    times = (np.arange(len(values)) + 0.5) * 0.02
    info = TrackInfo(video, SOUND, "prosody", encoder, "r", "s", "f")
    return store.write(FeatureTrack(values, times, np.ones(len(values), bool), info))


def test_loudness_of_a_file_is_in_decibels_at_the_right_time(tmp_path: Path) -> None:
    write_tone(tmp_path / "tone.wav")
    envelope = envelope_of_media(tmp_path / "tone.wav")
    assert envelope is not None
    assert len(envelope.times) == 100
    np.testing.assert_allclose(np.diff(envelope.times), 0.02)
    np.testing.assert_allclose(envelope.level[envelope.times < 0.9], SILENCE_DB, atol=15)
    np.testing.assert_allclose(envelope.level[envelope.times > 1.1], -9.03, atol=0.3)


def test_loudness_keeps_the_offset_of_the_sound_and_ignores_its_cuts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    power = np.repeat(np.float32([0.1, 0.01, 0.001]), HOP)
    blocks = np.split(power, [7, 7, 200])
    monkeypatch.setattr(
        fusion.reporting.loudness, "read_sound", lambda *_: Sound(RATE, 1.5, iter(blocks))
    )
    envelope = envelope_of_media(Path("late.mp4"))
    assert envelope is not None
    np.testing.assert_allclose(envelope.times, [1.51, 1.53, 1.55])
    np.testing.assert_allclose(envelope.level, [-20, -40, -60], atol=1e-3)
    monkeypatch.setattr(fusion.reporting.loudness, "read_sound", lambda *_: None)
    assert envelope_of_media(Path("mute.mp4")) is None


def test_loudness_of_a_prosody_track_is_its_energy(tmp_path: Path) -> None:
    assert ProsodyEncoder().columns["prosody"][ENERGY] == "energy"
    store = TrackStore(tmp_path)
    values = np.zeros((50, len(ProsodyEncoder().columns["prosody"])), np.float32)
    values[:, ENERGY] = np.linspace(-80, -10, 50)
    write_prosody(store, "12", values, "prosody")
    write_prosody(store, "foreign", values, "opensmile")
    write_prosody(store, "mute", values[:0], "prosody")
    envelope = envelope_of_store(store, "12")
    assert envelope is not None
    np.testing.assert_array_equal(envelope.level, values[:, ENERGY])
    assert [envelope_of_store(store, v) for v in ("foreign", "mute", "absent")] == [None] * 3


# The command -----------------------------------------------------------------------------------


@pytest.fixture
def pred(tmp_path: Path) -> Path:
    for name in ("12", "12_left", "video7"):
        write_predictions(make_predictions(name=name), tmp_path / "pred")
    return tmp_path / "pred"


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Replaces the drawing by a record of what would be drawn."""
    calls: list[tuple] = []

    def record(*args: object) -> None:
        calls.append(args)

    monkeypatch.setattr(timeline, "draw_timeline", record)
    return calls


def test_a_picture_is_made_of_each_and_named(pred: Path, capsys: pytest.CaptureFixture) -> None:
    assert run_report("--pred", pred) == OK
    made = sorted((pred / "report").iterdir())
    assert [path.name for path in made] == ["12.png", "12_left.png", "video7.png"]
    printed = capsys.readouterr().out
    assert all(str(path) in printed for path in made)
    assert "3 pictures, 0 failed" in printed


def test_ids_choose_and_out_places(pred: Path, undrawn: list[tuple], tmp_path: Path) -> None:
    assert run_report("--pred", pred, "--id", "12_left,12", "--out", tmp_path / "o") == OK
    assert [call[3] for call in undrawn] == [tmp_path / "o/12_left.png", tmp_path / "o/12.png"]


def test_truth_and_sound_of_the_right_video_reach_the_drawing(
    pred: Path, undrawn: list[tuple], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    root = tmp_path / "corpus"
    write_va(root, "Train_Set", "12", ["0.5,0.5"] * (FRAMES + 1))
    write_va(root, "Train_Set", "12_left", ["-0.5,0.5"] * FRAMES)
    values = np.full((9, len(ProsodyEncoder().columns["prosody"])), -20, np.float32)
    write_prosody(TrackStore(root / "tracks"), "12", values, "prosody")
    (tmp_path / "raw").mkdir()
    write_tone(tmp_path / "raw" / "video7.wav")
    argv = ("--pred", pred, "--data.root", root, "--videos", tmp_path / "raw")
    assert run_report(*argv) == OK
    drawing = {call[0].id: call[1:3] for call in undrawn}
    assert drawing["12"][0]["va"].values[0, 0] == 0.5
    assert drawing["12_left"][0]["va"].values[0, 0] == -0.5
    assert drawing["video7"][0] is None
    assert [len(drawing[i][1].times) for i in ("12", "12_left", "video7")] == [9, 9, 100]
    printed = capsys.readouterr().out
    assert f"12: {FRAMES + 1} rows of labels, {FRAMES} frames; matched by frame number" in printed


@pytest.mark.parametrize("rows", [FRAMES - 7, FRAMES + 7])
def test_labels_of_another_length_are_matched_by_frame_number(tmp_path: Path, rows: int) -> None:
    labels = make_labels(rows)
    matched = drawn(tmp_path / "a.png", labels.resized(FRAMES), None)
    assert drawn(tmp_path / "b.png", labels, None) == matched


def damage_prediction(pred: Path, store: Path) -> Path:
    return pred / "12_left.parquet"


def damage_track(pred: Path, store: Path) -> Path:
    path = write_prosody(TrackStore(store), "video7", np.zeros((9, 47), np.float32), "prosody")
    return path


@pytest.mark.parametrize("choose", [damage_prediction, damage_track])
def test_a_damaged_file_fails_alone_and_is_named(
    pred: Path,
    undrawn: list[tuple],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    choose: Callable[[Path, Path], Path],
) -> None:
    store = tmp_path / "tracks"
    store.mkdir()
    path = choose(pred, store)
    path.write_bytes(path.read_bytes()[:100])
    assert run_report("--pred", pred, "--store", store) == FAILED
    printed = capsys.readouterr().out
    assert len(undrawn) == 2
    assert f"failed: {path.stem}: " in printed
    assert str(path) in printed
    assert "2 pictures, 1 failed" in printed


def test_predictions_without_a_frame_fail_by_name(tmp_path: Path, undrawn: list[tuple]) -> None:
    write_predictions(make_predictions(0), tmp_path)
    assert "without a single frame" in report(ReportSettings(tmp_path)).failures["12"]


def test_mistakes_give_one_line_and_a_status(
    pred: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for argv, status, message in (
        (("--pred", empty), FAILED, "no predictions in it"),
        (("--pred", tmp_path / "absent"), FAILED, "no such folder"),
        (("--pred", pred, "--id", "12_lft"), FAILED, "did you mean '12_left'?"),
        (("--pred", pred, "--store", tmp_path / "absent"), FAILED, "no such folder of tracks"),
        (("--pred", pred, "--videos", empty), FAILED, "no video"),
        (("--pred", pred, "--data.root", empty), FAILED, "no annotations found"),
        (("--pred", pred, "--data.rot", empty), USAGE, "did you mean 'data.root'?"),
        ((), USAGE, "pred"),
    ):
        assert run_report(*argv) == status
        error = capsys.readouterr().err
        assert message in error
        assert error.startswith("fusion.report: ")
        assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        (KeyboardInterrupt(), INTERRUPTED, "stopped"),
        (OSError(errno.ENOSPC, "full"), FAILED, "no space left"),
    ],
)
def test_pictures_made_before_a_stop_stay(
    pred: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    fault: BaseException,
    status: int,
    message: str,
) -> None:
    def draw_one(*args: object) -> None:
        if (pred / "report").exists():
            raise fault
        draw_timeline(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(timeline, "draw_timeline", draw_one)
    assert run_report("--pred", pred) == status
    assert message in capsys.readouterr().err
    assert [path.name for path in (pred / "report").iterdir()] == ["12.png"]


def test_truth_that_cannot_be_read_is_named(pred: Path, tmp_path: Path) -> None:
    write_va(tmp_path / "c", "Train_Set", "12", ["0.5,zero"])
    data = TruthSettings(root=tmp_path / "c")
    with pytest.raises(UserError, match=r"12\.txt.*2"):
        report(ReportSettings(pred, data=data))


def test_long_names_leave_the_pictures_their_room() -> None:
    ids = [letter * 200 for letter in "abc"]
    measures = dict.fromkeys("abcd", (-1.05, 1.05))
    clips = pd.DataFrame({"id": ids, **{name: [0.1, 0.2, 0.3] for name in measures}})
    assert draw_clips(
        clips, measures
    )  # matplotlib's warning that nothing is left is an error in tests
    scores = pd.DataFrame({"score": ["P"], "difference": [0.1], "low": [0.0], "high": [0.2]})
    assert draw_comparison(scores, ("a" * 300, "b" * 300))
