import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from features.errors import UserError
from fusion.losses.config import check_loss
from fusion.losses.multitask import LossSettings, MultiTaskLoss, fit_losses
from fusion.metrics.official import ccc
from fusion.tasks.learning.binary import on_weights
from fusion.tasks.learning.classes import class_weights
from fusion.tasks.learning.concordance import bins_loss, ccc_loss, smooth_l1_loss, value_loss
from fusion.tasks.learning.multilabel import bce_loss, zlpr_loss
from tests.fusion.batches import targets
from tests.fusion.classic import classic_scores, classic_tasks, empty_labels

TASKS = ("va", "expr", "au")
KINDS = [
    {},
    {"va_kind": "smooth_l1+ccc", "au_kind": "zlpr+bce"},
    {"va_kind": "smooth_l1+ccc", "au_kind": "zlpr+bce", "weighting": "uncertainty"},
    {"va_kind": "bins+ccc"},
]
every_kind = pytest.mark.parametrize("kinds", KINDS, ids=["plain", "pasn", "uncertainty", "bins"])


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def scores(windows=3, frames=20):
    return classic_scores(
        va=(torch.rand(windows, frames, 2) * 2 - 1).requires_grad_(),
        expr=torch.randn(windows, frames, 8, requires_grad=True),
        au=torch.randn(windows, frames, 12, requires_grad=True),
        va_bins=torch.randn(windows, frames, 2, 5, requires_grad=True),
    )


OF_ALL = {"weighting", "teaching", "truth", "temperature"}


def loss_with(weights=None, positive=None, **changes):
    """The loss of the three tasks; a head over bins where the loss is over them."""
    own = {name: value for name, value in changes.items() if name not in OF_ALL}
    if own.get("va_kind") == "bins+ccc":
        own = {"va_bins": 5} | own
    fitted = {
        "expr": {"weights": torch.ones(8) if weights is None else weights},
        "au": {"pos_weights": torch.ones(12) if positive is None else positive},
    }
    shared = LossSettings(**{name: changes[name] for name in OF_ALL & changes.keys()})
    return MultiTaskLoss(shared, classic_tasks(**own), fitted)


def plain_loss(**changes):
    return loss_with(**{"label_smoothing": 0.0} | changes)


def va_loss(kind, guess, truth, bins=None, weights=None):
    """Mean over valence and arousal."""
    own = [None, None] if bins is None else bins.unbind(1)
    pairs = zip(guess.unbind(1), truth.unbind(1), own, strict=True)
    return torch.stack([value_loss(kind, *pair, weights) for pair in pairs]).mean()


def half_masked(windows=3, frames=20):
    truth = targets(windows, frames)
    for task in TASKS:
        mask = getattr(truth, f"{task}_mask")
        mask[:] = torch.rand(mask.shape) < 0.5
    return truth


@settings(max_examples=20, deadline=None)
@given(size=st.integers(2, 400), seed=st.integers(0, 2**31), shift=st.floats(-0.5, 0.5))
def test_va_loss_is_one_minus_the_official_ccc(size, seed, shift):
    made = torch.Generator().manual_seed(seed)
    truth = torch.rand(size, generator=made) * 2 - 1
    guess = 0.5 * truth + shift + 0.3 * torch.rand(size, generator=made)
    official = 1 - ccc(truth.double().numpy(), guess.double().numpy())
    assert float(ccc_loss(guess, truth)) == pytest.approx(official, abs=2e-6)


@pytest.mark.parametrize("size", [1, 2, 300])
def test_a_perfect_prediction_has_no_loss_at_all(size):
    truth = torch.rand(size) * 2 - 1
    assert float(ccc_loss(truth.clone(), truth)) == 0.0


def test_even_a_faint_spread_is_not_biased():
    truth = torch.linspace(-0.003, 0.003, 500)
    expected = 1 - ccc(truth.double().numpy(), (0.5 * truth).double().numpy())
    assert float(ccc_loss(0.5 * truth, truth)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("guess", [0.2, 0.3, "varies"])
def test_a_constant_target_is_safe(guess):
    truth = torch.full((50,), 0.2)
    predicted = torch.rand(50) if guess == "varies" else torch.full((50,), guess)
    predicted.requires_grad_()
    loss = ccc_loss(predicted, truth)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0.0 if guess == 0.2 else 1.0, abs=1e-5)
    assert predicted.grad.isfinite().all()
    assert predicted.grad.abs().max() < 1


def test_va_is_scored_over_the_batch_not_window_by_window():
    said, truth = scores(), half_masked()
    mask = truth.va_mask
    expected = [ccc_loss(said.va[..., d][mask], truth.va[..., d][mask]) for d in range(2)]
    got = plain_loss()(said, truth)["va"]
    torch.testing.assert_close(got, torch.stack(expected).mean())
    each = [ccc_loss(said.va[i, mask[i], 0], truth.va[i, mask[i], 0]) for i in range(3)]
    assert (torch.stack(each).mean() - expected[0]).abs() > 1e-3


def test_expression_loss_is_weighted_cross_entropy_of_the_valid_frames():
    said, truth = scores(), half_masked()
    weights = torch.rand(8) + 0.5
    loss = loss_with(weights, label_smoothing=0.2)
    log = functional.log_softmax(said.expr[truth.expr_mask], dim=-1)
    hot = functional.one_hot(truth.expr[truth.expr_mask], 8) * 0.8 + 0.2 / 8
    expected = -(hot * weights * log).sum() / weights[truth.expr[truth.expr_mask]].sum()
    torch.testing.assert_close(loss(said, truth)["expr"], expected)


def test_unit_loss_weights_what_is_on_and_masks_each_element():
    said, truth = scores(), half_masked()
    positive = torch.rand(12) * 5
    loss = loss_with(positive=positive)
    p = said.au.sigmoid()
    each = -(positive * truth.au * p.log() + (1 - truth.au) * (1 - p).log())
    torch.testing.assert_close(loss(said, truth)["au"], each[truth.au_mask].mean())


@every_kind
@pytest.mark.parametrize("junk", [-5.0, 1e9, float("nan")])
def test_masked_labels_have_no_influence_and_no_gradient(junk, kinds):
    said, truth = scores(), half_masked()
    loss = plain_loss(**kinds)
    before = loss(said, truth)["total"]
    truth.va[~truth.va_mask] = junk
    truth.au[~truth.au_mask] = junk
    truth.expr[~truth.expr_mask] = -1
    after = loss(said, truth)["total"]
    assert torch.equal(before, after)
    after.backward()
    for task in TASKS:
        grad, mask = getattr(said, task).grad, getattr(truth, f"{task}_mask")
        assert (grad[~mask] == 0).all()
        assert (grad[mask] != 0).any()


@every_kind
@pytest.mark.parametrize("task", TASKS)
def test_a_task_without_labels_adds_nothing_and_breaks_nothing(task, kinds):
    said, truth = scores(), targets(3, 20)
    getattr(truth, f"{task}_mask")[:] = False
    losses = plain_loss(**kinds)(said, truth)
    assert float(losses[task].detach()) == 0.0
    losses["total"].backward()
    assert (getattr(said, task).grad == 0).all()
    for other in set(TASKS) - {task}:
        assert (getattr(said, other).grad != 0).any()


@every_kind
def test_a_batch_without_any_label_has_no_loss(kinds):
    said, truth = scores(), targets(3, 20)
    for task in TASKS:
        getattr(truth, f"{task}_mask")[:] = False
    loss = plain_loss(**kinds)
    total = loss(said, truth)["total"]
    total.backward()
    assert float(total.detach()) == 0.0
    assert all((getattr(said, task).grad == 0).all() for task in TASKS)
    assert all((learnt.grad == 0).all() for learnt in loss.parameters())


def test_task_weights_act_on_the_gradient():
    said, truth = scores(), targets(3, 20)
    weighted = said.each(lambda part: part.detach().clone().requires_grad_())
    plain_loss()(said, truth)["total"].backward()
    plain_loss(va=0.0, expr=2.5, au=1.0)(weighted, truth)["total"].backward()
    for task, factor in {"va": 0.0, "expr": 2.5, "au": 1.0}.items():
        expected = factor * getattr(said, task).grad
        torch.testing.assert_close(getattr(weighted, task).grad, expected)


def test_losses_are_in_float32_under_mixed_precision():
    said, truth = scores(), targets(3, 20)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = said.each(lambda part: part.bfloat16())
        losses = plain_loss(va_kind="bins+ccc")(low, truth, low)
    assert {loss.dtype for loss in losses.values()} == {torch.float32}


def on_both(values):
    """The same numbers for valence and arousal."""
    return torch.tensor(values)[:, None].repeat(1, 2)


@pytest.mark.parametrize(
    ("guess", "truth", "smooth", "one_minus_ccc"),
    [
        ([0.0, 0.5], [0.0, 1.0], 0.125 / 2, 1 - 2 * 0.125 / (0.0625 + 0.25 + 0.0625)),
        ([1.0, 1.0], [-1.0, 1.0], 1.5 / 2, 1.0),
        ([-0.3, 0.4, 0.9], [-0.3, 0.4, 0.9], 0.0, 0.0),
    ],
)
def test_va_losses_by_hand(guess, truth, smooth, one_minus_ccc):
    guess, truth = on_both(guess), on_both(truth)
    assert float(smooth_l1_loss(guess[:, 0], truth[:, 0])) == pytest.approx(smooth, abs=1e-6)
    assert float(va_loss("ccc", guess, truth)) == pytest.approx(one_minus_ccc, abs=1e-6)
    both = float(va_loss("smooth_l1+ccc", guess, truth))
    assert both == pytest.approx(smooth + one_minus_ccc, abs=1e-6)


def test_a_perfect_prediction_has_no_va_loss_of_either_kind():
    truth = torch.rand(50, 2) * 2 - 1
    for kind in ("ccc", "smooth_l1+ccc"):
        assert float(va_loss(kind, truth.clone(), truth)) == 0.0


def test_zlpr_by_hand():
    logits = torch.tensor([[[math.log(3), math.log(2), 0.0]]])
    on = torch.tensor([[[1.0, 0.0, 0.0]]])
    every = torch.ones(1, 1, 3, dtype=torch.bool)
    expected = math.log(1 + 2 + 1) + math.log(1 + 1 / 3)
    assert float(zlpr_loss(logits, on, every)) == pytest.approx(expected)
    assert float(zlpr_loss(logits, 0 * on, every)) == pytest.approx(math.log(1 + 3 + 2 + 1))
    assert float(zlpr_loss(torch.zeros(1, 1, 3), on, every)) == pytest.approx(math.log(6))


@pytest.mark.parametrize("unit", [0, 5, 11])
def test_zlpr_with_a_masked_unit_is_zlpr_without_that_unit(unit):
    said, truth = scores(), targets(3, 20)
    rest = torch.arange(12) != unit
    mask = truth.au_mask & rest
    without = zlpr_loss(said.au[..., rest], truth.au[..., rest], truth.au_mask[..., rest])
    torch.testing.assert_close(zlpr_loss(said.au, truth.au, mask), without, rtol=1e-6, atol=0)


def test_frames_without_a_valid_unit_do_not_dilute_zlpr():
    said, truth = scores(), targets(3, 20)
    truth.au_mask[:, 7:] = False
    short = zlpr_loss(said.au[:, :7], truth.au[:, :7], truth.au_mask[:, :7])
    torch.testing.assert_close(zlpr_loss(said.au, truth.au, truth.au_mask), short)


def test_zlpr_puts_the_threshold_at_zero_and_is_stable():
    truth = torch.tensor([[[1.0, 0.0, 1.0, 0.0]]])
    every = torch.ones(1, 1, 4, dtype=torch.bool)
    right = torch.tensor([[[1e4, -1e4, 1e4, -1e4]]], requires_grad=True)
    assert float(zlpr_loss(right, truth, every).detach()) == 0.0
    wrong = (-right).detach().requires_grad_()
    loss = zlpr_loss(wrong, truth, every)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(2e4 + 2 * math.log(2), rel=1e-6)
    assert wrong.grad.isfinite().all()
    at_zero = torch.zeros(1, 1, 4, requires_grad=True)
    zlpr_loss(at_zero, truth, every).backward()
    assert ((at_zero.grad < 0) == (truth > 0)).all()


def test_units_have_both_losses_where_asked():
    said, truth = scores(), half_masked()
    positive = torch.rand(12) * 5
    loss = loss_with(positive=positive, au_kind="zlpr+bce")
    expected = zlpr_loss(said.au, truth.au, truth.au_mask)
    expected = expected + bce_loss(said.au, truth.au, truth.au_mask, positive)
    torch.testing.assert_close(loss(said, truth)["au"], expected)


def test_uncertainty_weighting_by_hand():
    said, truth = scores(), targets(3, 20)
    loss = plain_loss(weighting="uncertainty", va=2.0, au=0.0)
    with torch.no_grad():
        loss.log_variance["va"].fill_(math.log(4))
    losses = loss(said, truth)
    va, expr = float(losses["va"].detach()), float(losses["expr"].detach())
    expected = 2 * (va / 8 + math.log(4) / 2) + expr / 2
    assert float(losses["total"].detach()) == pytest.approx(expected, rel=1e-6)
    losses["total"].backward()
    grads = {task: float(loss.log_variance[task].grad) for task in TASKS}
    assert grads["va"] == pytest.approx(2 * (0.5 - va / 8), rel=1e-5)
    assert grads["expr"] == pytest.approx(0.5 - expr / 2, rel=1e-5)
    assert grads["au"] == 0.0
    assert (said.au.grad == 0).all()


def test_fixed_weights_are_not_learnt():
    assert not list(plain_loss().parameters())


def test_bins_loss_by_hand():
    logits = torch.log(torch.tensor([[1.0, 2.0, 1.0, 4.0], [1.0, 1.0, 1.0, 1.0]]))
    values = torch.tensor([1.0, -0.1])  # in the last bin and in the second
    expected = (math.log(8 / 4) + math.log(4)) / 2
    assert float(bins_loss(logits, values)) == pytest.approx(expected)


def test_bins_are_learnt_beside_the_ccc_of_their_expectation():
    said, truth = scores(), half_masked()
    mask = truth.va_mask
    loss = plain_loss(va_kind="bins+ccc", expr=0.0, au=0.0)(said, truth)
    ccc_part = va_loss("ccc", said.va[mask], truth.va[mask])
    log = said.va_bins.log_softmax(dim=-1)
    hot = functional.one_hot(((truth.va + 1) * 2.5).long().clamp(max=4), 5)
    cross_entropy = -(log * hot).sum(dim=-1)[mask].mean()
    torch.testing.assert_close(loss["va"], ccc_part + cross_entropy)
    loss["total"].backward()
    assert (said.va_bins.grad[~mask] == 0).all()
    assert (said.va_bins.grad[mask] != 0).any()


def test_bins_without_a_label_get_a_gradient_of_zero():
    said, truth = scores(), targets(3, 20)
    truth.va_mask[:] = False
    losses = plain_loss(va_kind="bins+ccc")(said, truth)
    losses["total"].backward()
    assert float(losses["va"].detach()) == 0.0
    assert (said.va_bins.grad == 0).all()


@pytest.mark.parametrize("bins", [0, 1])
def test_a_loss_over_bins_needs_a_head_with_bins(bins):
    with pytest.raises(UserError, match=rf"^tasks.va.bins {bins} must be .*at least 2"):
        plain_loss(va_kind="bins+ccc", va_bins=bins)
    plain_loss(va_kind="bins+ccc", va_bins=2)
    plain_loss(va_bins=2)


def test_something_must_be_learnt():
    with pytest.raises(UserError, match=r"^tasks.va.weight, tasks.expr.weight, .* are all 0"):
        check_loss(LossSettings(), classic_tasks(va=0.0, expr=0.0, au=0.0))
    check_loss(LossSettings(), classic_tasks(va=0.0, expr=0.0))


def test_weights_of_frames_count_as_repeats_do():
    guess, truth = torch.rand(40, 2) * 4 - 2, torch.rand(40, 2) * 2 - 1
    times = torch.randint(1, 4, (40,))
    repeated = (x.repeat_interleave(times, dim=0) for x in (guess, truth))
    weighted = va_loss("smooth_l1+ccc", guess, truth, weights=0.3 * times)
    torch.testing.assert_close(weighted, va_loss("smooth_l1+ccc", *repeated))


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("truth", 1.2, "from 0 to 1"),
        ("truth", float("nan"), "from 0 to 1"),
        ("temperature", 0.0, "above 0"),
        ("temperature", float("inf"), "above 0"),
    ],
)
def test_a_number_out_of_range_is_named(name, value, rule):
    with pytest.raises(UserError, match=rf"^loss\.{name} .* must be {rule}") as caught:
        plain_loss(**{name: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("truth", [0.0, 1.0])
def test_the_ends_of_the_range_are_fine(truth):
    plain_loss(truth=truth, temperature=0.1)


def test_squared_error_by_hand():
    said = torch.tensor([[0.5, 0.0], [0.0, -1.0]])
    truth = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    assert float(va_loss("mse", said, truth)) == pytest.approx((0.25 + 1 + 0 + 4) / 4)
    assert float(va_loss("mse", said, said)) == 0
    assert float(va_loss("mse", said[:0], truth[:0])) == 0


@pytest.mark.parametrize(
    ("name", "now"),
    [
        ("va_kind", r"tasks\.va.*loss.*mae"),
        ("au_kind", r"tasks\.au.*loss.*mae"),
        ("weighting", r"loss\.weighting mae must be \w+ or "),
        ("teaching", r"loss\.teaching mae must be \w+ or "),
    ],
)
def test_an_unknown_kind_is_named(name, now):
    with pytest.raises(UserError, match=now) as caught:
        plain_loss(**{name: "mae"})
    assert "\n" not in str(caught.value)


def frame_labels(frames=40, seed=0):
    made, rng = empty_labels(frames), np.random.default_rng(seed)
    made.expr[:] = rng.integers(8, size=frames)
    made.expr_mask[:] = rng.random(frames) < 0.6
    made.au[:] = rng.integers(2, size=(frames, 12))
    made.au_mask[:] = rng.random((frames, 12)) < 0.6
    return made


def test_weights_are_of_valid_labels_over_all_clips():
    clips = [frame_labels(seed=seed) for seed in range(3)] + [empty_labels(0)]
    fitted = fit_losses(classic_tasks(balance=1.0), clips)
    counts = np.array([sum(((k.expr == c) & k.expr_mask).sum() for k in clips) for c in range(8)])
    assert torch.equal(fitted["expr"]["weights"], class_weights(counts, 1.0))
    for u in range(12):
        valid = np.concatenate([k.au[k.au_mask[:, u], u] for k in clips])
        ratio = (valid == 0).sum() / (valid == 1).sum()
        assert float(fitted["au"]["pos_weights"][u]) == pytest.approx(ratio)


# Frames of each expression in the training split of ABAW's 6th edition.
ABAW6 = (177198, 16573, 10771, 9080, 95463, 78751, 31615, 165866)


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_expression_weights_soften_inverse_frequency(balance):
    weights = class_weights(np.array(ABAW6), balance).double().numpy()
    share = np.array(ABAW6) / sum(ABAW6)
    assert (weights * share).sum() == pytest.approx(1.0, abs=1e-5)
    assert weights[3] / weights[0] == pytest.approx((ABAW6[0] / ABAW6[3]) ** balance, rel=1e-5)


@pytest.mark.parametrize("expr", [(0,) * 8, (0, 5, 0, 5, 0, 0, 0, 90)])
def test_expressions_never_seen_in_training_are_harmless(expr):
    weights = class_weights(np.array(expr), 1.0)
    assert weights.isfinite().all()
    assert (weights[torch.tensor(expr) == 0] == 1).all()


def test_positive_weights_soften_the_ratio_of_off_to_on():
    on, off = (10, 0, 10, *(50,) * 9), (90, 100, 0, *(50,) * 9)
    weights = on_weights(np.array(on), np.array(off), 0.5)
    assert weights.tolist() == [3.0] + [1.0] * 11
    assert weights.dtype == torch.float32


@pytest.mark.parametrize(
    ("share", "balance", "weight"), [(0.001, 1.0, 50), (0.1, 1.0, 9), (0.001, 0.5, 999**0.5)]
)
def test_no_unit_weighs_more_than_the_cap(share, balance, weight):
    on = np.full(12, round(100_000 * share))
    weights = on_weights(on, 100_000 - on, balance)
    assert weights.tolist() == pytest.approx([weight] * 12, rel=1e-6)
