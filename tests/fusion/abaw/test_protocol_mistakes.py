"""Every mistake found in public ABAW code, one test for each, on the functions that users call."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from features.errors import UserError
from features.store.feature_track import SOUND, FeatureTrack, TrackInfo
from fusion.abaw.reading.annotations import read_au, read_corpus, read_expr, read_mtl, read_va
from fusion.abaw.reading.lists import read_template
from fusion.abaw.submission.checker import check_submission
from fusion.abaw.submission.writer import FrameDecisions, write_submission
from fusion.data.loading.config import DataSettings
from fusion.data.loading.splits import split_clips
from fusion.losses.multitask import LossSettings, MultiTaskLoss
from fusion.metrics.official import ccc, mean_binary_f1
from fusion.postprocess.decision import Decision, RawScores
from fusion.streams.alignment import align
from fusion.streams.clip_streams import load_clip
from fusion.streams.clip_tracks import find_track
from fusion.tasks.au import UNITS
from fusion.tasks.clips import Clip
from fusion.tasks.deciding.interface import TaskDecision
from fusion.tasks.deciding.smoothing import Smoothing, smooth
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.learning.concordance import ccc_loss
from tests.fusion import abaw_files
from tests.fusion import small_corpora as corpora
from tests.fusion.batches import targets
from tests.fusion.classic import (
    TASKS,
    classic_predictions,
    classic_scores,
    classic_tasks,
    empty_labels,
    split_columns,
)

EXPR_HEADER = "image_location," + ",".join(EXPRESSIONS)


def decided(frames: int) -> FrameDecisions:
    """Frame i has class i mod 8."""
    i = np.arange(1, frames + 1)
    return FrameDecisions(
        va=np.zeros((frames, 2), np.float32),
        expr=i % 8,
        au=np.zeros((frames, len(UNITS)), np.int64),
        ce=i % 7,
        face=np.ones(frames, bool),
    )


def clip_of(name: str, frames: int = 0, split: str = "train", group: str = "") -> Clip:
    return Clip(name, name, split, empty_labels(frames), group or name)


def test_minus_five_is_no_value_and_minus_one_is_a_value_of_valence(tmp_path: Path) -> None:
    va = read_va(abaw_files.write(tmp_path / "v.txt", abaw_files.VA + "-1,-1\n-5,-5\n.5,-5\n"))
    assert va["va"].mask.tolist() == [True, False, False]
    assert va["va"].values[0].tolist() == [-1, -1]
    expr = read_expr(abaw_files.write(tmp_path / "e.txt", abaw_files.EXPR + "-1\n0\n"))
    assert expr["expr"].mask.tolist() == [False, True]
    units = ",".join(["-1", "0", "1"] * 4)
    au = read_au(abaw_files.write(tmp_path / "a.txt", f"{abaw_files.AU}{units}\n"))
    assert au["au"].mask[0].tolist() == [False, True, True] * 4
    for filler, text in (
        (read_expr, abaw_files.EXPR + "-5\n"),
        (read_va, abaw_files.VA + "-5,2\n"),
    ):
        with pytest.raises(UserError):
            filler(abaw_files.write(tmp_path / "wrong.txt", text))


def test_frame_numbers_count_from_one(tmp_path: Path) -> None:
    labels = read_mtl(
        abaw_files.write(
            tmp_path / "m.txt",
            abaw_files.MTL
            + abaw_files.row("a/00001.jpg", expr="1")
            + abaw_files.row("a/00003.jpg"),
        )
    )["a"]
    assert labels["expr"].mask.tolist() == [True, False, True]
    with pytest.raises(UserError, match="count from 1"):
        read_mtl(
            abaw_files.write(tmp_path / "z.txt", abaw_files.MTL + abaw_files.row("a/00000.jpg"))
        )
    write_submission(tmp_path / "s.txt", "EXPR", {"a": decided(2)})
    assert (tmp_path / "s.txt").read_text().splitlines()[1] == "a/00001.jpg,1"


def test_left_and_right_are_matched_by_their_whole_names(store, tmp_path: Path) -> None:
    for person in ("left", "right"):
        corpora.put(store, "face", "12", [0.0, 0.1], person=person)
    assert find_track(store, "face", clip_of("12_left")) == "12_left"
    assert find_track(store, "face", clip_of("12")) is None
    sample = abaw_files.write(tmp_path / "t.txt", f"{EXPR_HEADER}\n12_left/00001.jpg,0\n")
    with pytest.raises(UserError, match=r"no prediction of 1 of \d+ listed ids? \(12_left\)"):
        write_submission(tmp_path / "s.txt", "EXPR", {"12": decided(1)}, read_template(sample))


def test_thresholds_of_units_are_put_on_probabilities_and_never_on_logits() -> None:
    scores = np.zeros((1, 22))
    scores[0, -12:] = 0.3  # as a logit: a probability of .574
    raw = RawScores(clip_of("a"), np.zeros(1), np.ones(1, bool), split_columns(scores))
    decision = Decision.neutral(TASKS)
    limits = {"thresholds": decision.thresholds()["au"]}
    said = {"id": "a", "video": "a", "times": raw.times, "face": raw.face} | decision.apply(raw)
    one = classic_predictions(**said | limits)
    assert one.decided("au").all()
    with pytest.raises(ValueError, match="au must be finite and in"):
        classic_predictions(**said | limits | {"au": np.full((1, len(UNITS)), 1.7, np.float32)})
    with pytest.raises(ValueError, match="decided, not logits"):
        mean_binary_f1(np.ones((1, 12)), scores[:, -12:])


def test_task_weights_are_applied_in_training() -> None:
    torch.manual_seed(0)
    truth = targets(2, 5)
    scores = classic_scores(
        va=torch.rand(2, 5, 2), expr=torch.rand(2, 5, 8), au=torch.rand(2, 5, 12)
    )
    tasks = classic_tasks(va=2.0, expr=0.0, au=0.5)
    fitted = {"expr": {"weights": torch.ones(len(EXPRESSIONS))},
              "au": {"pos_weights": torch.ones(len(UNITS))}}  # fmt: skip
    losses = MultiTaskLoss(LossSettings(), tasks, fitted)(scores, truth)
    expected = 2 * losses["va"] + 0.5 * losses["au"]
    assert losses["total"].item() == pytest.approx(expected.item())


def test_validation_frames_come_from_other_people_and_videos() -> None:
    names = [("1", "Ann"), ("2", "Ann"), ("3", "Bob"), ("4", "Cid"), ("5", "Cid"), ("6", "Dan")]
    clips = [clip_of(name, 10, group=person) for name, person in names]
    for fold in range(3):
        splits = split_clips(clips, DataSettings(fold=fold, folds=3), TASKS)
        groups = {split: {clip.group for clip in splits[split]} for split in splits}
        assert groups["validation"]
        assert not groups["validation"] & groups["train"]


def test_moments_of_ccc_are_all_of_one_kind() -> None:
    truth, guess = np.array([0.0, 1.0]), np.array([0.0, 0.5])
    population = 2 * 0.125 / (0.25 + 0.0625 + 0.25**2)
    assert ccc(truth, guess) == pytest.approx(population)
    loss = ccc_loss(torch.tensor(guess), torch.tensor(truth))
    assert 1 - loss.item() == pytest.approx(population)


def test_a_perfect_prediction_has_no_loss() -> None:
    values = torch.linspace(-1, 1, 7)
    assert ccc_loss(values, values).item() == 0.0
    assert ccc(values.numpy(), values.numpy()) == 1.0


def test_validation_is_normalised_with_the_training_mean(store) -> None:
    clock = np.arange(8) / 25
    for name, value in (("1", 1.0), ("2", 9.0)):
        corpora.put(store, "faces", name, clock)
        corpora.put(store, "face", name, clock, np.full((8, 4), value) + clock[:, None])
    clips = [corpora.clip("1", frames=8), corpora.clip("2", "validation", 8)]
    data = corpora.module(clips, store, streams=["face"])
    data.setup("fit")
    assert data.normalisers["face"].mean.tolist() == pytest.approx([1 + clock.mean()] * 4)
    (batch,) = list(data.val_dataloader())
    assert batch.streams["face"][0, :8].mean() > 8 / clock.std() * 0.9


def smoothed_va(smoothing: Smoothing) -> Decision:
    neutral = Decision.neutral(TASKS)
    return replace(neutral, by_task={**neutral.by_task, "va": TaskDecision(smoothing)})


def test_leading_frames_without_a_face_are_predicted_and_not_filled_with_minus_one() -> None:
    face = np.array([False, False, True, True])
    scores = np.zeros((4, 22))
    scores[:, 0] = [0.9, 0.9, 0.2, 0.4]
    raw = RawScores(clip_of("a"), np.arange(4) / 25, face, split_columns(scores))
    filled = smoothed_va(Smoothing(interpolate=True)).apply(raw)["va"]
    assert filled[:, 0].tolist() == pytest.approx([0.2, 0.2, 0.2, 0.4])
    neutral = Decision.neutral(TASKS).apply(raw)["va"]
    assert neutral[:, 0].tolist() == pytest.approx([0.9, 0.9, 0.2, 0.4])


def test_frames_without_a_face_keep_their_place(store) -> None:
    clock, face = np.arange(6) / 25, np.array([False, True, False, False, True, True])
    corpora.put(store, "faces", "1", clock, valid=face)
    corpora.put(
        store, "face", "1", clock, np.arange(6)[:, None] * np.ones(4) * face[:, None], valid=face
    )
    streams = load_clip(store, corpora.clip("1", frames=6), {"face": 4}, 0.2)
    assert streams is not None
    assert len(streams) == 6
    assert streams.face.tolist() == face.tolist()
    assert streams.streams["face"][:][face, 0].tolist() == [1, 4, 5]


@pytest.mark.parametrize("frames", [2, 9])
def test_a_length_mismatch_is_not_mended_by_repeating_the_last_prediction(
    tmp_path: Path, frames: int
) -> None:
    rows = "".join(f"a/{i:05d}.jpg,0\n" for i in range(1, 6))
    wanted = read_template(abaw_files.write(tmp_path / "t.txt", f"{EXPR_HEADER}\n{rows}"))
    with pytest.raises(UserError, match=f"'a' has {frames} predicted frames, .* frame 5"):
        write_submission(tmp_path / "s.txt", "EXPR", {"a": decided(frames)}, wanted)
    assert not (tmp_path / "s.txt").exists()


def test_expression_rows_have_two_fields_though_the_header_has_nine(tmp_path: Path) -> None:
    path = tmp_path / "s.txt"
    write_submission(path, "EXPR", {"a": decided(3)})
    header, *rows = path.read_text().splitlines()
    assert header == EXPR_HEADER
    assert {row.count(",") for row in rows} == {1}
    path.write_text(f"{EXPR_HEADER}\na/00001.jpg,0,0,0,1,0,0,0,0\n")
    (problem,) = check_submission(path, "EXPR")
    assert str(problem) == "line 2: a row has 2 fields (picture, expression), this one has 9"


def test_smoothing_does_not_cross_the_border_of_two_videos() -> None:
    decision = smoothed_va(Smoothing("box", 1.0))
    for value in (-0.8, 0.8):
        scores = np.zeros((50, 22))
        scores[:, 0] = value
        raw = RawScores(clip_of("a"), np.arange(50) / 25, np.ones(50, bool), split_columns(scores))
        np.testing.assert_allclose(decision.apply(raw)["va"][:, 0], value, rtol=1e-5)


def test_imputed_frames_are_not_taken_into_the_smoothing() -> None:
    times, face = np.arange(50) / 25, np.arange(50) % 10 >= 4
    values = np.where(face, 0.5, -1.0)[:, None]
    for kind in ("box", "gaussian", "median", "savgol"):
        out = smooth(values, times, face, Smoothing(kind, 0.5))
        np.testing.assert_allclose(out[face], 0.5, atol=1e-6)


def test_frame_times_come_from_the_container_and_not_from_thirty_frames_a_second() -> None:
    frames = np.cumsum([0.0, 0.04, 0.04, 0.2, 0.04, 0.5])
    tokens = np.arange(60) * 0.02
    info = TrackInfo("1", SOUND, "voice", "e", "r", "s", "x")
    voice = FeatureTrack(tokens[:, None].astype(np.float32), tokens, np.ones(60, bool), info)
    values, valid = align(voice, frames, window=0.0)
    assert valid.all()
    np.testing.assert_allclose(values[:, 0], frames, atol=0.011)


def test_nothing_can_be_chosen_on_the_test_split(tmp_path: Path) -> None:
    folder = tmp_path / "VA_Estimation_Challenge"
    for split in ("Train_Set", "Validation_Set", "Test_Set"):
        abaw_files.write(folder / split / f"{split}.txt", abaw_files.VA + "0.1,0.2\n" * 3)
    rows = {clip.split: len(clip.labels) for clip in read_corpus(tmp_path)}
    assert rows == {"train": 3, "validation": 3, "test": 0}
