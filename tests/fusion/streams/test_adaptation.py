"""Normalisation by person and by the past: statistics, bad input, prediction as in training."""

import numpy as np
import pytest
import torch

from fusion.data.windowing import WindowPool
from fusion.inference.checkpoint import load_checkpoint
from fusion.inference.payload import KEY, make_payload
from fusion.inference.predictor import predict_clips, raw_scores
from fusion.losses.multitask import LossSettings, MultiTaskLoss, fit_losses
from fusion.model.affect import AffectModel
from fusion.model.settings import ModelSettings
from fusion.streams.adaptation import Adaptation
from fusion.streams.person_normalization import person_of
from fusion.training.lightning_module import AffectModule, OptimizerSettings
from tests.fusion.classic import TASKS
from tests.fusion.small_corpora import clip, module, put

FRAMES = 50


def put_face(store, name, values, valid=None):
    clock = np.arange(len(values)) / 30
    put(store, "faces", name, clock)
    put(store, "face", name, clock, values, valid=valid)


def rows_of(dataset, index):
    """Normalised rows (F, D) of a clip, from its windows, the later one where two overlap."""
    rows = np.zeros((dataset.lengths[index], 4), np.float32)
    for number, (which, start) in enumerate(dataset.windows):
        if which == index:
            item = dataset[number]
            inside = int(item.frames.sum())
            rows[start : start + inside] = item.streams["face"][0, :inside].numpy()
    return rows


@pytest.fixture
def people(store):
    """Ann twice and Bob once in training, Cid twice in validation, each far from the others."""
    rng = np.random.default_rng(3)
    clips = []
    for name, person, split, mean in [
        ("1", "ann", "train", 5), ("2", "ann", "train", 9), ("3", "bob", "train", -400),
        ("4", "cid", "validation", 60), ("5", "cid", "validation", 70),
    ]:  # fmt: skip
        valid = rng.random(FRAMES) < 0.7
        values = rng.normal(mean, 3, (FRAMES, 4))
        put_face(store, name, np.where(valid[:, None], values, 1e5), valid)
        clips.append(clip(name, split, FRAMES, group=person))
    return clips


def loaded(clips, store, adapt, **settings):
    data = module(clips, store, streams=["face"], adapt=adapt, **settings)
    data.setup("fit")
    return data


def test_each_person_has_mean_0_and_deviation_1_over_all_their_clips_of_the_split(people, store):
    data = loaded(people, store, "person")
    train, held_out = data.datasets["train"], data.datasets["validation"]
    for dataset, clips in ((train, [0, 1]), (train, [2]), (held_out, [0, 1])):
        valid = [dataset.streams[i].valid["face"] for i in clips]
        rows = np.concatenate([rows_of(dataset, i)[v] for i, v in zip(clips, valid, strict=True)])
        np.testing.assert_allclose(rows.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(rows.std(0), 1, rtol=1e-4)
        assert not np.concatenate([rows_of(dataset, i) for i in clips])[
            ~np.concatenate(valid)
        ].any()
    assert abs(rows_of(train, 0)[train.streams[0].valid["face"]].mean()) > 0.3
    assert "transductive: person statistics of unlabelled validation frames" in (data.lines())


def test_two_unknown_people_of_one_video_have_statistics_of_their_own():
    left, right = (clip(name, video="7", group="7") for name in ("7_left", "7"))
    assert person_of(left) != person_of(right)
    known = [clip(name, video=name[:1], group="ann") for name in ("7_left", "8")]
    assert {person_of(one) for one in known} == {"ann"}


def test_people_without_valid_frames_or_with_one_or_constant_ones_become_zero(store):
    ramp = np.repeat(np.arange(50.0)[:, None], 4, 1)
    put_face(store, "blind", ramp, np.zeros(50, bool))
    put_face(store, "still", np.full((50, 4), 0.1))
    put_face(store, "brief", ramp[7:8])
    half = ramp.copy()
    half[:, 0] = 1e4
    put_face(store, "half", half)
    names = ["blind", "still", "brief", "half"]
    clips = [clip(name, frames=50) for name in names]
    data = loaded([*clips, clip("half", "validation", 50)], store, "person")
    dataset = data.datasets["train"]
    for index in range(3):
        assert not rows_of(dataset, index).any()
    assert not rows_of(dataset, 3)[:, 0].any()
    np.testing.assert_allclose(rows_of(dataset, 3)[:, 1].std(), 1, rtol=1e-4)
    text = "\n".join(data.lines())
    assert "train: 'face' is constant or absent for 3 of 4 people (such as blind)" in text


def running(values, valid, mean, std, prior):
    """The definition, frame by frame: z-score over the prior and the valid frames so far."""
    x, out = (values.astype(np.float64) - mean) / std, np.zeros(values.shape)
    for t in np.flatnonzero(valid):
        seen = x[: t + 1][valid[: t + 1]]
        count = prior + len(seen)
        centre = seen.sum(0) / count
        variance = (prior + (seen**2).sum(0)) / count - centre**2
        out[t] = (x[t] - centre) / np.sqrt(variance)
    return out


def test_causal_scaling_is_the_running_z_score_in_every_window(people, store):
    data = loaded(people, store, "causal", adapt_prior=7)
    face = data.normalisers["face"]
    for split in ("train", "validation"):
        dataset = data.datasets[split]
        for index, (one, streams) in enumerate(zip(dataset.clips, dataset.streams, strict=True)):
            values = store.read("face", one.id).values
            valid = streams.valid["face"]
            expected = running(values, valid, face.mean.numpy(), face.std.numpy(), 7)
            np.testing.assert_allclose(rows_of(dataset, index), expected, atol=2e-4)
    assert "transductive: running statistics, up to each frame," in "\n".join(data.lines())


def test_causal_scaling_sees_no_later_frame(people, store):
    def rows():
        return rows_of(loaded(people, store, "causal").datasets["validation"], 0)

    before = rows()
    track = store.read("face", "4")
    changed = track.values.copy()
    changed[30:] = -77
    put_face(store, "4", changed, track.valid)
    after = rows()
    assert np.array_equal(before[:30], after[:30])
    assert not np.allclose(before[30:], after[30:])


def test_causal_scaling_of_constant_and_one_frame_clips_is_finite(store):
    put_face(store, "still", np.full((400, 4), 1e4))
    put_face(store, "brief", np.full((1, 4), -3.0))
    put_face(store, "moving", np.random.default_rng(0).normal(0, 1, (400, 4)))
    names = ["still", "brief", "moving"]
    clips = [clip(name, frames=400) for name in names]
    data = loaded([*clips, clip("moving", "validation", 400)], store, "causal", adapt_prior=1)
    rows = [rows_of(data.datasets["train"], index) for index in range(3)]
    assert all(np.isfinite(one).all() and np.abs(one).max() < 50 for one in rows)
    assert abs(rows[0][-1, 0]) < abs(rows[0][0, 0])


def save(data, path, adaptation):
    """A checkpoint of a model that has learnt nothing."""
    torch.manual_seed(0)
    cut = data.settings
    payload = make_payload(
        config={},
        model=(
            size := ModelSettings(
                dim=16,
                stream_dim=8,
                tcn_levels=2,
                temporal={"name": "transformer", "layers": 1, "heads": 2},
            )
        ),
        tasks={name: task.description() for name, task in TASKS.items()},
        specs=data.specs,
        normalisers=data.normalisers,
        align_window=cut.align_window,
        window=cut.window,
        stride=cut.stride,
        provenance={"corpus": "c"},
        adaptation=adaptation,
    )
    model = AffectModel(size, {name: spec.dim for name, spec in data.specs.items()})
    loss = MultiTaskLoss(LossSettings(), TASKS, fit_losses(TASKS, []))
    weights = AffectModule(model, loss, OptimizerSettings(), payload).state_dict()
    torch.save({"state_dict": weights, KEY: payload}, path)
    return load_checkpoint(path)


@pytest.mark.parametrize("kind", ["none", "person", "causal"])
def test_prediction_adapts_as_validation_did(people, store, tmp_path, capsys, kind):
    data = loaded(people, store, kind)
    checkpoint = save(data, tmp_path / "x.ckpt", data.settings.adaptation())
    pool = WindowPool()
    with torch.inference_mode():
        for batch in data.val_dataloader():
            pool.add(batch.clip, batch.start, checkpoint.network.model(batch)["va"].numpy())
    clips = people[3:]
    for index, raw in enumerate(raw_scores(checkpoint, store, clips)):
        expected = pool.stitched(data.datasets["validation"].lengths)[index]
        np.testing.assert_allclose(raw.scores["va"], expected, atol=1e-5)
    said = capsys.readouterr().out
    assert ("transductive" in said) == (kind != "none")
    [one] = predict_clips(checkpoint, store, clips[:1])
    assert ("adaptation" in one.provenance) == (kind != "none")


def test_a_person_predicted_in_part_keeps_the_statistics_of_all_clips(people, store, tmp_path):
    data = loaded(people, store, "person")
    checkpoint = save(data, tmp_path / "x.ckpt", Adaptation("person"))
    clips = people[3:]
    whole = list(predict_clips(checkpoint, store, clips))
    [rest] = predict_clips(checkpoint, store, clips[1:], among=clips)
    [alone] = predict_clips(checkpoint, store, clips[1:])
    np.testing.assert_array_equal(rest.values["va"], whole[1].values["va"])
    assert not np.allclose(alone.values["va"], whole[1].values["va"])


def test_a_checkpoint_from_before_there_was_adaptation_has_none(people, store, tmp_path):
    save(loaded(people, store, "none"), tmp_path / "x.ckpt", Adaptation())
    content = torch.load(tmp_path / "x.ckpt", weights_only=True)
    del content[KEY]["adaptation"]
    torch.save(content, tmp_path / "old.ckpt")
    assert load_checkpoint(tmp_path / "old.ckpt").adaptation == Adaptation()
