"""Orders of the training windows: even mixes, weights, seeds, processes and bad input."""

import numpy as np
import pytest

from features.errors import UserError
from fusion.data.loading.config import DataSettings
from fusion.data.loading.datamodule import AffectDataModule
from fusion.data.loading.sampling import MOST, SetSampler, WindowSet, epoch_length, task_weights
from fusion.tasks.clips import Clip
from fusion.tasks.registry import make_tasks
from tests.fusion.classic import TASKS, empty_labels
from tests.fusion.small_corpora import put

FRAMES, WINDOW = 40, 10


def labelled(store, name, split="train", va=None, expr=None, au=None, frames=FRAMES):
    """A clip of `frames` frames; each task's labels as given, none where it is None."""
    put(store, "faces", name, np.arange(frames) / 25)
    put(store, "face", name, np.arange(frames) / 25)
    made = empty_labels(frames)
    for task, values in {"va": va, "expr": expr, "au": au}.items():
        if values is not None:
            getattr(made, task)[:] = values
            getattr(made, f"{task}_mask")[:] = True
    return Clip(name, name, split, made, name)


def module(clips, store, tasks=("va", "expr", "au"), seed=0, **settings):
    weights = {name: {"weight": float(name in tasks)} for name in ("va", "expr", "au")}
    cut = {"streams": ["face"], "window": WINDOW, "stride": WINDOW, "batch": 6} | settings
    data = AffectDataModule(clips, store, DataSettings(**cut), seed=seed, tasks=make_tasks(weights))
    data.setup("fit")
    return data


@pytest.fixture
def clips(store):
    """Many windows with VA, few with EXPR, fewer with AU, one clip with VA and EXPR."""
    return [
        *(labelled(store, f"v{i}", va=0.1 * i) for i in range(5)),
        labelled(store, "e", expr=2),
        labelled(store, "u", au=1, frames=20),
        labelled(store, "ve", va=0.5, expr=1),
        labelled(store, "none"),
        labelled(store, "3", "validation", va=0),
    ]


def drawn(data, epoch=0):
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return [list(zip(batch.clip.tolist(), batch.start.tolist(), strict=True)) for batch in loader]


def tasks_of(data, step):
    """Tasks that each window of a batch has labels of."""
    labels = [data.datasets["train"].labels[clip] for clip, _ in step]
    return [set(one.tasks()) for one in labels]


def test_each_step_brings_as_many_windows_of_each_single_task_set(clips, store):
    data = module(clips, store, mix="tasks")
    steps = drawn(data)
    assert len(steps) == -(-len(data.datasets["train"]) // 6)
    for step in steps:
        found = tasks_of(data, step)
        for place, task in enumerate(["va", "expr", "au"]):
            assert all(task in found[row] for row in (place, place + 3))
    assert "batches mixed evenly from windows of va 24, expr 8, au 2" in "\n".join(data.lines())


def test_each_combination_of_tasks_can_be_a_set_of_its_own(clips, store):
    data = module(clips, store, mix="combinations", tasks=("va", "expr"))
    for step in drawn(data):
        found = ["+".join(sorted(tasks)) for tasks in tasks_of(data, step)]
        assert sorted(found) == sorted(["expr", "expr+va", "va"] * 2)


def test_a_small_set_comes_round_before_any_of_its_windows_comes_a_third_time(clips, store):
    data = module(clips, store, mix="tasks")
    every = [window for step in drawn(data) for window in step]
    au = [w for w in every if data.datasets["train"].clips[w[0]].id == "u"]
    assert len(au) == 12
    assert {au.count(w) for w in au} == {6}


@pytest.mark.parametrize("setting", [{"mix": "tasks"}, {"sampling": "balanced"}])
def test_mixed_and_balanced_orders_depend_on_seed_and_epoch_alone(clips, store, setting):
    one, same = (module(clips, store, seed=1, **setting) for _ in range(2))
    other = module(clips, store, seed=2, **setting)
    drawn(same, 0)  # a run that goes on at epoch 3 draws what the unbroken one does
    assert drawn(one, 3) == drawn(same, 3)
    assert drawn(one, 3) != drawn(one, 4)
    assert drawn(one, 3) != drawn(other, 3)


def test_tasks_without_labels_or_not_learnt_are_left_out(clips, store):
    data = module([c for c in clips if c.id != "u"], store, mix="tasks")
    text = "\n".join(data.lines())
    assert "train: no labels of AU" in text
    assert "windows of va 24, expr 8" in text
    assert "au" not in [one.name for one in data.train_dataloader().sampler.sets]
    learnt = module(clips, store, mix="tasks", tasks=("expr",))
    assert [one.name for one in learnt.train_dataloader().sampler.sets] == ["expr"]


def test_impossible_mixes_are_refused_in_one_line(clips, store):
    with pytest.raises(UserError, match=r"^data\.mix tasks.*no training window has any of.*va"):
        module(clips[-2:], store, mix="tasks").train_dataloader()
    with pytest.raises(UserError, match=r"data\.batch must be at least 3.*va, expr, au\): 2"):
        module(clips, store, mix="tasks", batch=2).train_dataloader()


def test_processes_share_the_draws_and_each_batch_of_each_is_even():
    sets = [WindowSet("a", np.arange(0, 9)), WindowSet("b", np.arange(100, 103))]
    length = epoch_length(windows=21, batch=4, sets=2, processes=2)
    assert length == 12
    ranks = [list(SetSampler(sets, length, 7, 2, rank)) for rank in (0, 1)]
    for order in ranks:
        assert len(order) == len(SetSampler(sets, length, 7, 2, 0)) == 12
        assert all((np.array(order[i : i + 4]) >= 100).sum() == 2 for i in range(0, 12, 4))
    together = [window for order in ranks for window in order if window < 100]
    assert {together.count(window) for window in range(9)} == {1, 2}  # 12 draws from 9


def test_lightning_gets_as_many_steps_in_each_process():
    assert epoch_length(100, 8, 1) == 100
    assert epoch_length(100, 8, 3) == 104
    assert epoch_length(101, 8, 1, 2) == 51
    assert epoch_length(101, 8, 3, 2) == 56


def test_weights_are_inverse_frequencies_of_what_the_window_shows(store):
    data = module(
        [
            labelled(store, "common", expr=[0] * 30 + [1] * 10),
            labelled(store, "va", va=np.repeat([[0.91, 0.0], [0.0, 0.91]], [30, 10], axis=0)),
            labelled(store, "3", "validation", va=0),
        ],
        store,
    )
    dataset = data.datasets["train"]
    # 30 frames of one kind and 10 of another: 40 / (2 * 30) and 40 / (2 * 10)
    expected = [2 / 3] * 3 + [2]
    np.testing.assert_allclose(task_weights(dataset, TASKS["expr"]), expected + [0] * 4)
    np.testing.assert_allclose(task_weights(dataset, TASKS["va"]), [0] * 4 + expected)
    assert not task_weights(dataset, TASKS["au"]).any()


def test_no_frame_counts_more_than_the_clip_allows_and_padding_not_at_all(store):
    expr = np.zeros(1005, np.int64)
    expr[1000:] = 3
    data = module(
        [labelled(store, "1", expr=expr, frames=1005), labelled(store, "3", "validation", va=0)],
        store,
        window=5,
        stride=5,
    )
    weights = task_weights(data.datasets["train"], TASKS["expr"])
    assert weights.max() == weights[-1] == pytest.approx(MOST)
    np.testing.assert_allclose(weights[:-1], 1005 / 2 / 1000)


def test_balanced_draws_follow_the_weights_and_unlabelled_windows_count_as_average(store):
    data = module(
        [
            labelled(store, "e", expr=[0] * 30 + [1] * 10),
            labelled(store, "none"),
            labelled(store, "3", "validation", va=0),
        ],
        store,
        sampling="balanced",
    )
    sampler = data.train_dataloader().sampler
    counts = np.zeros(8)
    for epoch in range(400):
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert len(order) == 8
        counts += np.bincount(order, minlength=8)
    weights = np.array([2 / 3] * 3 + [2] + [1] * 4)
    np.testing.assert_allclose(counts / counts.sum(), weights / weights.sum(), atol=0.03)


def test_a_batch_whose_labels_are_all_masked_is_drawn_and_has_no_label(store):
    clips = [labelled(store, "1"), labelled(store, "3", "validation", va=0)]
    data = module(clips, store, sampling="balanced")
    [batch] = data.train_dataloader()
    assert not batch.targets["va"].mask.any()
    assert not batch.targets["expr"].mask.any()
    assert "train: no labels of VA, EXPR, AU" in "\n".join(data.lines())
