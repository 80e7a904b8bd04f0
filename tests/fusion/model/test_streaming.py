from dataclasses import replace
from itertools import combinations, permutations

import pytest
import torch

from features.errors import UserError
from fusion.model.affect import AffectModel
from fusion.model.heads import ParallelHeads, make_heads
from fusion.model.settings import ModelSettings
from fusion.model.streaming import StreamingHeads
from tests.fusion.batches import SMALL, STREAMS, batch, joined
from tests.fusion.classic import TASKS

DIM = 10
ORDERS = list(permutations(("au", "expr", "va")))
OWN = {
    "au": "tasks.au.vectors.weight",
    "expr": "features.expr.0.weight",
    "va": "features.va.0.weight",
}
"""What each task makes of a frame by itself."""


def streaming(dim, **changes):
    return StreamingHeads(dim, TASKS, **changes)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def reaches(heads, task, name):
    """Whether the task's scores move a parameter."""
    heads.zero_grad()
    heads(torch.randn(2, 5, DIM))[task].square().sum().backward()
    grad = heads.get_parameter(name).grad
    return grad is not None and bool((grad != 0).any())


def names(order):
    return "-".join(order)


@pytest.mark.parametrize("task", ["expr", "va"])
@pytest.mark.parametrize("part", ["vectors.weight", "stream.weight"])
def test_expression_and_valence_arousal_train_the_stream_of_units(task, part):
    assert reaches(streaming(DIM), task, f"tasks.au.{part}")


def test_parallel_heads_have_no_such_path():
    heads = ParallelHeads(DIM, TASKS)
    assert not reaches(heads, "expr", "au.0.weight")


@pytest.mark.parametrize("order", ORDERS, ids=names)
def test_a_task_trains_those_before_it_and_none_after_it(order):
    heads = streaming(DIM, order=order)
    for before, after in combinations(order, 2):
        assert reaches(heads, after, OWN[before])
        assert not reaches(heads, before, OWN[after])


@pytest.mark.parametrize("order", ORDERS, ids=names)
@pytest.mark.parametrize("mutual", [False, True])
def test_every_parameter_takes_part(order, mutual):
    heads = streaming(DIM, order=order, mutual=mutual)
    joined(heads(torch.randn(2, 5, DIM))).square().sum().backward()
    assert all(p.grad is not None and (p.grad != 0).any() for p in heads.parameters())


def test_widths_are_those_of_the_released_code():
    tasks = streaming(512).tasks
    assert tuple(tasks.au.vectors.weight.shape) == (12 * 16, 512)
    assert tuple(tasks.au.stream.weight.shape) == (64, 192)
    assert tuple(tasks.au.relations.weight.shape) == (12, 12)
    assert tuple(tasks.expr.out.weight.shape) == (8, 128)
    assert tuple(tasks.expr.stream.weight.shape) == (64, 128)
    assert tuple(tasks.va.out.weight.shape) == (2, 128)
    assert tasks.va.stream is None


def test_a_unit_has_its_own_logit_from_its_own_vector():
    head = streaming(DIM).tasks["au"]
    with torch.no_grad():
        head.relations.weight.copy_(torch.eye(12))
        head.relations.bias.zero_()
        x = torch.randn(DIM)
        logits, _ = head(x)
        rows = head.vectors(x).reshape(12, 16)
        alone = [rows[k] @ head.weight[k] + head.bias[k] for k in range(12)]
    torch.testing.assert_close(logits, torch.stack(alone))


def test_the_relation_layer_mixes_units():
    head = streaming(DIM).tasks["au"]
    x = torch.randn(1, 1, DIM)
    with torch.no_grad():
        before, _ = head(x)
        head.bias[3] += 2.0
        after, _ = head(x)
    torch.testing.assert_close((after - before)[0, 0], 2 * head.relations.weight[:, 3].detach())


@pytest.mark.parametrize("order", ORDERS, ids=names)
@pytest.mark.parametrize("task", ["expr", "va"])
def test_mutual_features_correct_the_units(order, task):
    chosen = streaming(DIM, order=order, mutual=True)
    assert reaches(chosen, "au", OWN[task])
    x = torch.randn(1, 3, DIM)
    with torch.no_grad():
        before = chosen(x)["au"]
        chosen.features[task][0].bias += 3.0
        change = chosen(x)["au"] - before
        assert (change.abs() > 1e-4).all()


def test_mutual_valence_arousal_enters_expression():
    assert reaches(streaming(DIM, mutual=True), "expr", OWN["va"])
    assert not reaches(streaming(DIM, mutual=False), "expr", OWN["va"])


@pytest.mark.parametrize("mutual", [False, True])
def test_a_frame_is_judged_by_itself_in_training_as_in_use(mutual):
    heads = streaming(DIM, mutual=mutual)
    x = torch.randn(3, 7, DIM)
    alone = joined(heads(x[1:2, 4:5]))[0, 0]
    torch.testing.assert_close(joined(heads.train()(x))[1, 4], alone)
    torch.testing.assert_close(joined(heads.eval()(x))[1, 4], alone)


def test_streaming_model_gives_every_score_and_ignores_padding():
    chosen = replace(SMALL, head="streaming", order=("va", "au", "expr"), mutual=True)
    model = AffectModel(chosen, STREAMS).eval()
    made = batch(windows=2, frames=20)
    made.frames[:, 13:] = False
    scores = model(made)
    assert scores["va"].shape == (2, 20, 2)
    assert scores["expr"].shape == (2, 20, 8)
    assert scores["au"].shape == (2, 20, 12)
    assert scores["va"].abs().max() <= 1
    for rows in made.streams.values():
        rows[:, 13:] = float("nan")
    torch.testing.assert_close(joined(model(made))[:, :13], joined(scores)[:, :13])


def test_heads_are_parallel_unless_asked_for():
    assert isinstance(make_heads(ModelSettings(), TASKS), ParallelHeads)
    assert isinstance(make_heads(ModelSettings(head="streaming"), TASKS), StreamingHeads)


def test_settings_reach_the_heads():
    heads = make_heads(ModelSettings(dim=DIM, head="streaming", order=("va", "au", "expr")), TASKS)
    assert (heads.order, len(heads.correction)) == (("va", "au", "expr"), 0)
    heads = make_heads(ModelSettings(dim=DIM, head="streaming", mutual=True), TASKS)
    assert reaches(heads, "au", OWN["expr"])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"order": ("au", "expr")}, r"model\.order \['au', 'expr'\]"),
        ({"order": ("au", "expr", "expr")}, r"model\.order"),
        ({"order": ("au", "expr", "va", "va")}, r"model\.order"),
        ({"order": ("au", "expr", "ce")}, r"model\.order"),
        ({"head": "river"}, r"model\.head river must be one of parallel, streaming"),
    ],
)
def test_settings_that_make_no_stream_are_named(change, named):
    with pytest.raises(UserError, match=named) as caught:
        AffectModel(replace(SMALL, **change), STREAMS)
    assert "\n" not in str(caught.value)
