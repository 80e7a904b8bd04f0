import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import distributed as dist
from torch.utils.data import DataLoader

from features.errors import UserError
from fusion.data.windowing import cut
from fusion.inference.checkpoint import load_checkpoint
from fusion.inference.payload import KEY, make_payload
from fusion.losses.multitask import LossSettings, MultiTaskLoss, fit_losses
from fusion.metrics.windows import ScoredWindow, official_window_scores, scored_windows
from fusion.model.affect import AffectModel
from fusion.streams.normalization import Normaliser
from fusion.streams.stream_spec import StreamSpec
from fusion.tasks.au import UNITS
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.labels import one_after_another
from fusion.tasks.va import DIMENSIONS
from fusion.training.lightning_module import AffectModule
from fusion.training.optimizer import OptimizerSettings, parameter_groups, warmup_cosine
from tests.fusion.batches import SMALL, STREAMS, batch
from tests.fusion.classic import (
    TASKS,
    classic_labels,
    classic_scores,
    empty_labels,
    joined,
    official_scores,
)

# A missing class scores 0 with a warning, which tiny data cannot avoid.
pytestmark = pytest.mark.filterwarnings(
    "ignore::fusion.metrics.official.UndefinedScore",
    "ignore:.*does not have many workers.*",
    "ignore:Be aware that when using `ckpt_path`",
)
SPECS = {name: StreamSpec(size, "net", "r1", "s1") for name, size in STREAMS.items()}


def payload():
    made = {n: Normaliser(torch.zeros(d), torch.ones(d)) for n, d in STREAMS.items()}
    return make_payload(
        config={"seed": 1, "data": {"root": None, "streams": list(STREAMS)}},
        model=SMALL,
        tasks={name: task.description() for name, task in TASKS.items()},
        specs=SPECS,
        normalisers=made,
        align_window=0.2,
        window=20,
        stride=15,
        provenance={"train_clips": ["1", "2_left"]},
    )


def make_module(model=SMALL, held=None, **optimizer):
    torch.manual_seed(0)
    return AffectModule(
        AffectModel(model, STREAMS),
        MultiTaskLoss(LossSettings(), TASKS, fit_losses(TASKS, [])),
        OptimizerSettings(**optimizer),
        payload() if held is None else held,
    )


def learnable(batches, windows=8, frames=20, seed=0):
    """Labels that a linear look at the streams of the same frame tells."""
    torch.manual_seed(seed)
    made = []
    for _ in range(batches):
        one = batch(windows, frames)
        visual, audio = one.streams["visual"], one.streams["audio"]
        one.targets["va"].values = torch.tanh(torch.stack([visual[..., 0], audio[..., 0]], dim=-1))
        one.targets["expr"].values = (visual[..., 1] > 0).long() + 2 * (audio[..., 1] > 0).long()
        one.targets["au"].values = (visual[..., 2:3] > 0).float().expand(-1, -1, 12)
        one.clip += windows * len(made)
        made.append(one)
    return made


def loader(batches):
    return DataLoader(batches, batch_size=None)


def fit(module, folder, train, val, epochs=2, **options):
    keep = ModelCheckpoint(folder, "best", monitor="val/P", mode="max", save_last=True)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        callbacks=[keep],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
        **options,
    )
    trainer.fit(module, loader(train), loader(val))
    return trainer


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two epochs on tiny data: its folder, trainer, module and validation batches."""
    folder = tmp_path_factory.mktemp("run")
    pl.seed_everything(1, verbose=False)
    val = learnable(2, seed=9)
    module = make_module(warmup=0.0)
    trainer = fit(module, folder, learnable(3), val)
    return folder, trainer, module, val


def test_training_logs_every_loss_and_the_official_scores(trained):
    _, trainer, _, _ = trained
    logged = {name for name in trainer.callback_metrics if "/" in name}
    assert {name for name in logged if name.startswith("train/")} == {
        "train/va",
        "train/expr",
        "train/au",
        "train/total",
    }
    assert {name for name in logged if name.startswith("val/")} == {
        "val/P",
        "val/VA",
        "val/CCC_V",
        "val/CCC_A",
        "val/EXPR_F1",
        "val/AU_F1",
    }


def test_the_learning_rate_follows_the_steps_down_to_zero(trained):
    _, trainer, _, _ = trained
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)


def test_logged_scores_are_those_of_the_whole_split(trained):
    _, trainer, module, val = trained
    labels, said = [], []
    with torch.no_grad():
        for one in val:
            scores = module.model.eval()(one)
            said.append(joined(scores).flatten(0, 1))
            labels += [window.labels for window in scored_windows(one, scores, TASKS)]
    truth = one_after_another(labels)
    va, expr, au = torch.cat(said).split([2, 8, 12], dim=-1)
    on = (au.sigmoid() >= 0.5).numpy()
    expected = official_scores(truth, va.numpy(), expr.argmax(-1).numpy(), on)
    assert float(trainer.callback_metrics["val/P"]) == pytest.approx(expected["P"], abs=1e-6)
    assert float(trainer.callback_metrics["val/CCC_A"]) == pytest.approx(
        expected["CCC_A"], abs=1e-6
    )


def test_checkpoint_is_plain_data_with_the_payload_in_it(trained):
    folder, _, _, _ = trained
    content = torch.load(folder / "last.ckpt", weights_only=True)
    held, given = content[KEY], payload()
    normalisers = held.pop("normalisers")
    assert torch.equal(normalisers["audio"]["std"], given.pop("normalisers")["audio"]["std"])
    assert held == given


def test_checkpoint_gives_the_trained_model_back(trained):
    folder, _, module, val = trained
    loaded = load_checkpoint(folder / "last.ckpt")
    with torch.no_grad():
        again, before = loaded.network.model(val[0]), module.model.eval()(val[0])
    assert torch.equal(again["va"], before["va"])
    assert torch.equal(again["au"], before["au"])


def test_a_run_goes_on_where_it_stopped(trained, tmp_path):
    folder, _, _, val = trained
    module = make_module(warmup=0.0)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        module,
        loader(learnable(3)),
        loader(val),
        ckpt_path=folder / "last.ckpt",
        weights_only=True,
    )
    assert trainer.global_step == 9, "six steps before, three now"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda held: held.pop(KEY), "none of this project's"),
        (lambda held: held[KEY]["specs"]["audio"].update(revision="r2"), "specs"),
        (lambda held: held[KEY]["model"].update(dim=32), "model"),
    ],
)
def test_a_run_does_not_go_on_from_another_kind_of_checkpoint(change, named):
    held = {KEY: payload()}
    change(held)
    with pytest.raises(UserError, match=named):
        make_module().on_load_checkpoint(held)


def test_it_learns_what_is_easy_to_learn(tmp_path):
    pl.seed_everything(1, verbose=False)
    trainer = fit(
        make_module(replace(SMALL, dropout=0.0, stream_dropout=0.0), lr=1e-2),
        tmp_path,
        learnable(10),
        learnable(2, seed=9),
        epochs=8,
    )
    metrics = trainer.callback_metrics
    assert float(metrics["val/CCC_V"]) > 0.8
    assert float(metrics["val/CCC_A"]) > 0.8
    assert float(metrics["val/AU_F1"]) > 0.8
    assert float(metrics["train/va"]) < 0.2


def test_the_seed_decides_everything(tmp_path):
    train, val = learnable(2), learnable(1, seed=9)

    def outcome(name, seed):
        module = make_module()
        pl.seed_everything(seed, verbose=False)
        fit(module, tmp_path / name, train, val, epochs=1)
        return torch.cat([p.detach().ravel() for p in module.model.parameters()])

    first = outcome("first", 3)
    assert torch.equal(first, outcome("again", 3))
    assert not torch.equal(first, outcome("other", 4)), "dropout follows the seed"


def test_a_task_without_labels_is_left_out(tmp_path):
    train, val = learnable(2), learnable(1)
    for one in [*train, *val]:
        one.targets["expr"].mask[:] = False
    metrics = fit(make_module(), tmp_path, train, val, epochs=1).callback_metrics
    assert "val/EXPR_F1" not in metrics
    assert "train/expr" not in metrics
    assert {"val/P", "val/CCC_V", "val/AU_F1", "train/va", "train/au"} <= set(metrics)
    assert all(math.isfinite(value) for value in metrics.values())


def truth_of(frames, seed):
    rng = np.random.default_rng(seed)
    return classic_labels(
        va=rng.uniform(-1, 1, (frames, 2)).astype(np.float32),
        va_mask=rng.random(frames) < 0.8,
        expr=rng.integers(8, size=frames),
        expr_mask=rng.random(frames) < 0.8,
        au=rng.integers(2, size=(frames, 12)).astype(np.float32),
        au_mask=rng.random((frames, 12)) < 0.8,
    )


def say(truth, noise=0.0, seed=0):
    """Scores (F, 22) that come close to the truth."""
    exact = np.concatenate([truth.va, 4.0 * np.eye(8)[truth.expr], 4.0 * truth.au - 2.0], axis=1)
    return (exact + noise * np.random.default_rng(seed).normal(size=exact.shape)).astype(np.float32)


def windows_of(clip, truth, scores, length=30, stride=20):
    return [
        ScoredWindow(
            clip,
            start,
            scores[start : start + length].copy(),
            truth.at(slice(start, start + length)),
        )
        for start in cut(len(truth), length, stride)
    ]


def window_scores(windows):
    return official_window_scores(windows, TASKS, TASKS, {})


def test_right_windows_score_full_marks():
    truth = truth_of(95, seed=0)
    scores = window_scores(windows_of(0, truth, say(truth)))
    assert scores["P"] == pytest.approx(3.0)


def test_overlaps_and_short_clips_are_put_together_and_pooled():
    truths = [truth_of(95, seed=0), truth_of(7, seed=1), truth_of(30, seed=2)]
    said = [say(truth, noise=2.0, seed=i) for i, truth in enumerate(truths)]
    windows = [w for i in range(3) for w in windows_of(i, truths[i], said[i])]
    whole = one_after_another(truths)
    va, expr, au = np.split(np.concatenate(said), [2, 10], axis=1)
    expected = official_scores(whole, va.clip(-1, 1), expr.argmax(axis=1), au >= 0)
    assert window_scores(windows) == pytest.approx(expected, abs=1e-6)
    assert window_scores(windows[::-1]) == pytest.approx(expected, abs=1e-6)


def test_windows_that_come_twice_count_once():
    truth = truth_of(95, seed=0)
    windows = windows_of(0, truth, say(truth))
    for seed, window in enumerate(windows):  # so that they disagree where they overlap
        window.scores[:] += np.random.default_rng(seed).normal(size=window.scores.shape) * 2
    doubled = window_scores([*windows, *windows[:3]])
    assert doubled == window_scores(windows)


def test_units_are_on_by_probability_not_by_logit():
    truth = empty_labels(4)
    truth.au[:2], truth.au_mask[:] = 1.0, True
    scores = np.zeros((4, 22), np.float32)
    scores[:, 10:] = np.array([0.3, 0.0, -0.1, -3.0])[:, None]
    assert window_scores([ScoredWindow(0, 0, scores, truth)])["AU"] == 1.0


def test_windows_are_taken_out_of_a_batch_without_padding():
    made = batch(windows=2, frames=20)
    made.frames[1, 13:] = False
    made.clip, made.start = torch.tensor([4, 5]), torch.tensor([30, 0])
    said = classic_scores(torch.rand(2, 20, 2), torch.rand(2, 20, 8), torch.rand(2, 20, 12))
    first, second = scored_windows(made, said, TASKS)
    assert (first.clip, first.start, second.clip, second.start) == (4, 30, 5, 0)
    assert first.scores.shape == (20, len(DIMENSIONS) + len(EXPRESSIONS) + len(UNITS))
    assert len(second.scores) == len(second.labels) == 13
    np.testing.assert_array_equal(second.scores[:, 2:10], said.expr[1, :13].numpy())
    np.testing.assert_array_equal(second.labels["au"].values, made.targets.au[1, :13].numpy())


def test_distributed_runs_score_the_windows_of_all_processes(tmp_path, monkeypatch):
    """One real process of gloo, which hears of a second one that has the last window too."""
    truth = truth_of(95, seed=0)
    windows = windows_of(0, truth, say(truth, noise=2.0))
    other, gather = windows[2:], dist.all_gather_object
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:

        def with_other(gathered, mine):
            gather(gathered[:1], mine)
            gathered[:] = [mine, other]

        monkeypatch.setattr(dist, "all_gather_object", with_other)
        logged = {}
        module = make_module()
        monkeypatch.setattr(module, "log", lambda name, value, **_: logged.update({name: value}))
        module._trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
        module._windows = windows[:3]
        module.on_validation_epoch_end()
    finally:
        dist.destroy_process_group()
    assert logged["val/P"] == window_scores(windows)["P"]
    assert module._windows == []


def test_learning_rate_warms_up_and_comes_down():
    factors = [warmup_cosine(step, 10, 100) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert factors[100] == pytest.approx(0.0)
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert warmup_cosine(0, 0, 1) == 1.0


def test_norms_biases_and_missing_vectors_do_not_decay():
    model = AffectModel(SMALL, STREAMS)
    decayed, free = parameter_groups(model, 0.1)
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    names = {id(p): name for name, p in model.named_parameters()}
    assert {names[id(p)] for p in free["params"]} >= {"encoders.0.missing", "temporal.norm.weight"}
    assert all(names[id(p)].endswith("weight") for p in decayed["params"])
    assert len(free["params"]) + len(decayed["params"]) == len(names)


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        ({"provenance": {"score": np.float64(1)}}, r"affuse\.provenance\.score"),
        ({"clips": ["1", {"2"}]}, r"affuse\.clips\[1\]"),
        ({"root": Path("x")}, r"affuse\.root"),
    ],
)
def test_a_payload_that_could_not_be_read_back_is_refused_at_once(bad, where):
    with pytest.raises(TypeError, match=where):
        make_module(held=bad)


def test_a_plain_payload_survives_weights_only():
    held = {"a": [None, True, 1, 2.0, "x"], "b": torch.ones(2), 3: {"c": (1, 2)}}
    content, file = {}, io.BytesIO()
    make_module(held=held).on_save_checkpoint(content)
    torch.save(content, file)
    file.seek(0)
    read = torch.load(file, weights_only=True)[KEY]
    assert torch.equal(read.pop("b"), held.pop("b"))
    assert read == held
