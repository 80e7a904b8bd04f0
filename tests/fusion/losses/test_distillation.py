import math

import pytest
import torch
from torch.nn import functional

from fusion.losses import distillation
from fusion.losses.multitask import LossSettings, MultiTaskLoss
from fusion.model.heads import ParallelHeads
from fusion.tasks.learning.teaching import divergence, on_off
from tests.fusion.batches import targets
from tests.fusion.classic import ClassicTargets, classic_scores, classic_tasks, parts_of
from tests.fusion.losses.test_losses import OF_ALL, va_loss

TASKS = ("va", "expr", "au")
NAN = float("nan")
BINS = 5
VA_KINDS = ("ccc", "smooth_l1+ccc", "bins+ccc")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def said(windows=3, frames=20, bins=BINS):
    """Random scores, each a leaf of the graph."""
    return classic_scores(
        va=(torch.rand(windows, frames, 2) * 2 - 1).requires_grad_(),
        expr=torch.randn(windows, frames, 8, requires_grad=True),
        au=torch.randn(windows, frames, 12, requires_grad=True),
        va_bins=torch.randn(windows, frames, 2, bins, requires_grad=True) if bins else None,
    )


def detached(scores):
    return scores.each(lambda part: part.detach().clone())


def settings_of(**changes):
    """Settings of all tasks, and the tasks; bins as the scores have them."""
    own = {"label_smoothing": 0.0, "va_kind": "bins+ccc", "va_bins": BINS}
    own |= {name: value for name, value in changes.items() if name not in OF_ALL}
    shared = LossSettings(**{name: changes[name] for name in OF_ALL & changes.keys()})
    return shared, classic_tasks(**own)


def soft_loss(student, teacher, truth, frames, settings):
    """The teacher's part for each task."""
    shared, tasks = settings
    losses = {}
    for name, task in tasks.items():
        taught = distillation.taught_by(task, teacher[name], frames)
        mask = truth[name].mask
        losses[name] = distillation.soft_loss(
            task, student[name], teacher[name], mask, taught, shared
        )
    return losses


def label_targets(truth, teacher, frames):
    """The labels of each task, and the teacher's decisions."""
    _, tasks = settings_of(va_bins=0, va_kind="ccc")
    return ClassicTargets(
        {
            name: distillation.label_targets(task, truth[name], teacher[name], frames)
            for name, task in tasks.items()
        }
    )


def unlabelled(windows=3, frames=20):
    truth = targets(windows, frames)
    for task in TASKS:
        getattr(truth, f"{task}_mask")[:] = False
    return truth


def half_labelled(windows=3, frames=20):
    truth = targets(windows, frames)
    for task in TASKS:
        mask = getattr(truth, f"{task}_mask")
        mask[:] = torch.rand(mask.shape) < 0.5
    return truth


def every(windows=3, frames=20):
    return torch.ones(windows, frames, dtype=torch.bool)


def loss_of(**changes):
    settings, tasks = settings_of(**changes)
    fitted = {"expr": {"weights": torch.ones(8)}, "au": {"pos_weights": torch.ones(12)}}
    return MultiTaskLoss(settings, tasks, fitted)


def gradients(scores):
    return [x.grad for x in scores.parts().values() if x.grad is not None]


def va_gradients(scores):
    leaves = [x for x in (scores.va, scores.va_bins) if x is not None]
    return [x.grad for x in leaves if x.grad is not None]


def kd_by_hand(ours, theirs, heat):
    """T^2 KL(theirs / T || ours / T), in plain sums of probabilities."""
    p, q = (theirs / heat).softmax(dim=-1), (ours / heat).softmax(dim=-1)
    return heat**2 * (p * (p / q).log()).sum(dim=-1)


def test_divergence_by_hand_has_the_teacher_as_reference():
    ours = torch.log(torch.tensor([1.0, 1.0]))
    theirs = torch.log(torch.tensor([9.0, 1.0]))
    forward = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    backward = 0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1)
    assert float(divergence(ours, theirs, 1.0)) == pytest.approx(forward, abs=1e-6)
    assert abs(forward - backward) > 0.1
    cooled = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert float(divergence(ours, theirs, 2.0)) == pytest.approx(cooled, abs=1e-6)


def test_divergence_is_what_the_arguments_of_kl_div_make_it():
    ours, theirs, heat = torch.randn(30, 8), torch.randn(30, 8), 1.5
    usual = functional.kl_div(
        (ours / heat).log_softmax(-1), (theirs / heat).softmax(-1), reduction="none"
    )
    torch.testing.assert_close(divergence(ours, theirs, heat), heat**2 * usual.sum(dim=-1))


def test_a_unit_is_a_distribution_over_on_and_off():
    ours, theirs, heat = torch.tensor(math.log(3.0)), torch.tensor(0.0), 1.0
    expected = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    assert float(divergence(on_off(ours), on_off(theirs), heat)) == pytest.approx(expected)
    far = divergence(on_off(torch.tensor(500.0)), on_off(torch.tensor(-500.0)), heat)
    assert float(far) == pytest.approx(500.0)


@pytest.mark.parametrize("heat", [1.5, 4.0, 30.0])
def test_soft_loss_is_temperature_squared_times_that_of_cooled_logits(heat):
    student, teacher = said(), detached(said())
    names = ("expr", "au", "va_bins")
    cool, cool_teacher = (
        classic_scores(va=one.va, **{name: getattr(one, name) / heat for name in names})
        for one in (student, teacher)
    )
    hot = soft_loss(student, teacher, unlabelled(), every(), settings_of(temperature=heat))
    plain = soft_loss(cool, cool_teacher, unlabelled(), every(), settings_of(temperature=1.0))
    for task in TASKS:
        torch.testing.assert_close(hot[task], heat**2 * plain[task])


@pytest.mark.parametrize("name", ["expr", "au", "va_bins"])
def test_the_gradient_keeps_its_size_as_the_temperature_grows(name):
    def size(heat):
        torch.manual_seed(1)
        student, teacher = said(), detached(said())
        settings = settings_of(temperature=heat)
        losses = soft_loss(student, teacher, unlabelled(), every(), settings)
        torch.stack([*losses.values()]).sum().backward()
        return float(getattr(student, name).grad.norm())

    assert size(200.0) / size(20.0) == pytest.approx(1.0, abs=0.05), "1/100 without T^2"


def test_soft_losses_by_hand():
    student, teacher, heat = said(), detached(said()), 1.5
    losses = soft_loss(student, teacher, unlabelled(), every(), settings_of())
    torch.testing.assert_close(losses["expr"], kd_by_hand(student.expr, teacher.expr, heat).mean())
    torch.testing.assert_close(
        losses["va"], kd_by_hand(student.va_bins, teacher.va_bins, heat).mean()
    )
    p, q = (teacher.au / heat).sigmoid(), (student.au / heat).sigmoid()
    binary = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()
    torch.testing.assert_close(losses["au"], heat**2 * binary.mean())


@pytest.mark.parametrize("bins", [0, BINS])
@pytest.mark.parametrize("va_kind", ["ccc", "smooth_l1+ccc"])
def test_a_student_like_its_teacher_has_no_loss_and_no_gradient(bins, va_kind):
    student = said(bins=bins)
    settings = settings_of(va_kind=va_kind, va_bins=bins)
    losses = soft_loss(student, detached(student), unlabelled(), every(), settings)
    torch.stack([*losses.values()]).sum().backward()
    assert [float(losses[task].detach()) for task in TASKS] == [0.0] * 3
    assert all(grad.abs().max() < 1e-7 for grad in gradients(student))


@pytest.mark.parametrize(("ours", "theirs"), [(0, 0), (0, BINS), (BINS, 0), (BINS, 2 * BINS)])
@pytest.mark.parametrize("va_kind", VA_KINDS)
def test_without_the_same_bins_va_is_taught_by_value(ours, theirs, va_kind):
    student, teacher = said(bins=ours), detached(said(bins=theirs))
    kind = "ccc" if va_kind == "bins+ccc" and not ours else va_kind
    settings = settings_of(va_kind=kind, va_bins=ours, temperature=7.0)
    got = soft_loss(student, teacher, unlabelled(), every(), settings)["va"]
    kind = "smooth_l1+ccc" if va_kind == "smooth_l1+ccc" else "ccc"
    expected = va_loss(kind, student.va.flatten(0, 1), teacher.va.flatten(0, 1))
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("bins", [0, BINS])
def test_a_labelled_batch_is_taught_by_both_in_shares(bins):
    student, teacher, truth = said(bins=bins), detached(said(bins=bins)), targets(3, 20)
    loss = loss_of(va_kind="bins+ccc" if bins else "smooth_l1+ccc", va_bins=bins)
    plain = loss(student, truth)
    soft = soft_loss(student, teacher, unlabelled(), every(), (loss.settings, loss.tasks))
    both = loss(student, truth, teacher, every())
    for task in TASKS:
        torch.testing.assert_close(both[task], 0.6 * plain[task] + 0.4 * soft[task])
    torch.testing.assert_close(both["total"], sum(both[task] for task in TASKS))


@pytest.mark.parametrize("bins", [0, BINS])
def test_an_unlabelled_batch_is_taught_by_the_teacher_alone(bins):
    student, teacher = said(bins=bins), detached(said(bins=bins))
    loss = loss_of(va_kind="bins+ccc" if bins else "ccc", va_bins=bins)
    got = loss(student, unlabelled(), teacher, every())
    soft = soft_loss(student, teacher, unlabelled(), every(), (loss.settings, loss.tasks))
    for task in TASKS:
        torch.testing.assert_close(got[task], soft[task])
        assert float(got[task].detach()) > 0


def test_frames_with_and_without_labels_have_their_own_shares():
    student, teacher, truth = said(), detached(said()), half_labelled()
    loss = loss_of()
    plain, both = loss(student, truth), loss(student, truth, teacher, every())
    kd = {
        "va": kd_by_hand(student.va_bins, teacher.va_bins, 1.5).mean(dim=-1),
        "expr": kd_by_hand(student.expr, teacher.expr, 1.5),
        "au": kd_by_hand(on_off(student.au), on_off(teacher.au), 1.5),
    }
    for task in TASKS:
        mask = getattr(truth, f"{task}_mask")
        soft = (0.4 * kd[task][mask].sum() + kd[task][~mask].sum()) / mask.numel()
        torch.testing.assert_close(both[task], 0.6 * plain[task] + soft)


def test_values_are_taught_with_the_weights_of_their_frames():
    student, teacher, truth = said(bins=0), detached(said(bins=0)), half_labelled()
    settings = settings_of(va_kind="smooth_l1+ccc", va_bins=0)
    got = soft_loss(student, teacher, truth, every(), settings)["va"]
    times = torch.where(truth.va_mask, 2, 5).flatten()  # .4 and 1
    repeated = (x.va.flatten(0, 1).repeat_interleave(times, dim=0) for x in (student, teacher))
    expected = va_loss("smooth_l1+ccc", *repeated) * times.float().mean() / 5
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("bins", [0, BINS])
def test_with_all_the_share_the_truth_is_all_there_is_where_it_is(bins):
    student, teacher, truth = said(bins=bins), detached(said(bins=bins)), half_labelled()
    settings = settings_of(truth=1.0, va_bins=bins, va_kind="ccc")
    torch.stack([*soft_loss(student, teacher, truth, every(), settings).values()]).sum().backward()
    va = student.va if bins == 0 else student.va_bins
    for x, task in [(va, "va"), (student.expr, "expr"), (student.au, "au")]:
        mask = getattr(truth, f"{task}_mask")
        assert (x.grad[mask] == 0).all()
        assert (x.grad[~mask] != 0).any()


@pytest.mark.parametrize("teaching", ["soft", "labels"])
def test_with_truth_masked_out_labels_have_no_influence(teaching):
    student, teacher, truth = said(), detached(said()), unlabelled()
    loss = loss_of(teaching=teaching)
    before = loss(student, truth, teacher, every())["total"]
    truth.va[:], truth.au[:], truth.expr[:] = NAN, NAN, -1
    after = loss(student, truth, teacher, every())["total"]
    assert torch.equal(before, after)
    after.backward()
    assert all(grad.isfinite().all() for grad in gradients(student))


def test_a_student_learns_from_its_teacher_alone():
    x, truth, loss = torch.randn(2, 20, 32), unlabelled(2), loss_of(va_bins=4)
    teacher = detached(parts_of(ParallelHeads(32, loss.tasks)(5 * x)))
    student = ParallelHeads(32, loss.tasks)
    optimizer = torch.optim.Adam(student.parameters(), lr=0.02)
    totals = []
    for _ in range(120):
        made = parts_of(student(x))
        total = loss(made, truth, teacher, every(2))["total"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    assert totals[-1] < 0.02 * totals[0]
    pairs = [
        (made.expr.softmax(-1), teacher.expr.softmax(-1)),
        (made.au.sigmoid(), teacher.au.sigmoid()),
        (made.va, teacher.va),
    ]
    assert all((ours - theirs).abs().mean() < 0.02 for ours, theirs in pairs)


@pytest.mark.parametrize("teaching", ["soft", "labels"])
@pytest.mark.parametrize(("va_kind", "bins"), [("smooth_l1+ccc", 0), ("ccc", 5), ("bins+ccc", 5)])
def test_padding_and_silent_elements_get_a_gradient_of_exactly_zero(teaching, va_kind, bins):
    student, teacher, frames = said(bins=bins), detached(said()), every()
    frames[1, 13:] = False
    teacher.va[0, :5], teacher.va_bins[0, :5] = NAN, NAN
    teacher.va_bins[0, 5, 1, 2] = NAN
    teacher.expr[0, 3, 4] = NAN
    teacher.au[0, :, 2] = float("inf")
    losses = loss_of(teaching=teaching, va_kind=va_kind, va_bins=bins)(
        student, unlabelled(), teacher, frames
    )
    losses["total"].backward()
    assert losses["total"].isfinite()
    va = sum(grad.abs().flatten(2).sum(dim=-1) for grad in va_gradients(student))
    assert (va[1, 13:] == 0).all()
    assert (va[0, :6] == 0).all()
    assert (va[0, 6:] != 0).all()
    assert (student.expr.grad[1, 13:] == 0).all()
    assert (student.expr.grad[0, 3] == 0).all()
    assert (student.expr.grad[0, 4] != 0).any()
    assert (student.au.grad[1, 13:] == 0).all()
    assert (student.au.grad[0, :, 2] == 0).all()
    assert (student.au.grad[0, :, 3] != 0).any()


def test_padding_does_not_dilute_what_is_taught():
    student, teacher, frames = said(), detached(said()), every()
    frames[:, 7:] = False
    padded = soft_loss(student, teacher, unlabelled(), frames, settings_of())
    cut = [s.each(lambda x: x[:, :7]) for s in (student, teacher)]
    short = soft_loss(*cut, unlabelled(3, 7), every(3, 7), settings_of())
    for task in TASKS:
        torch.testing.assert_close(padded[task], short[task])


def silent(task):
    """A teacher that does not teach a task."""
    teacher = detached(said())
    getattr(teacher, task)[:] = NAN
    if task == "va":
        teacher.va_bins[:] = NAN
    return teacher


@pytest.mark.parametrize("teaching", ["soft", "labels"])
@pytest.mark.parametrize("task", TASKS)
def test_a_task_that_is_not_taught_is_learnt_from_the_truth_in_full(task, teaching):
    student, truth, loss = said(), half_labelled(), loss_of(teaching=teaching)
    alone, taught = loss(student, truth), loss(student, truth, silent(task), every())
    torch.testing.assert_close(taught[task], alone[task], rtol=0, atol=0)
    for other in set(TASKS) - {task}:
        assert float(taught[other].detach()) != pytest.approx(float(alone[other].detach()))
    taught["total"].backward()
    assert all(grad.isfinite().all() for grad in gradients(student))


@pytest.mark.parametrize("teaching", ["soft", "labels"])
@pytest.mark.parametrize("task", TASKS)
def test_a_task_with_neither_truth_nor_teacher_adds_nothing(task, teaching):
    student, loss = said(), loss_of(teaching=teaching, weighting="uncertainty")
    losses = loss(student, unlabelled(), silent(task), every())
    losses["total"].backward()
    assert float(losses[task].detach()) == 0.0
    assert float(loss.log_variance[task].grad) == 0.0
    others = set(TASKS) - {task}
    assert all(float(loss.log_variance[other].grad) != 0 for other in others)
    own = va_gradients(student) if task == "va" else [getattr(student, task).grad]
    assert own
    assert all((grad == 0).all() for grad in own)


def test_the_truth_gives_up_its_share_only_where_the_teacher_speaks():
    student, teacher, truth = said(1, 20), detached(said(1, 20)), targets(1, 20)
    teacher.expr[:, 5:] = NAN
    loss = loss_of()
    got = loss(student, truth, teacher, every(1))["expr"]
    kd = kd_by_hand(student.expr, teacher.expr, 1.5)[:, :5].mean()
    plain = loss(student, truth)["expr"]
    torch.testing.assert_close(got, (0.25 * 0.6 + 0.75) * plain + 0.4 * kd)


@pytest.mark.parametrize("bins", [0, BINS])
@pytest.mark.parametrize("teaching", ["soft", "labels"])
def test_the_teacher_gets_no_gradient(teaching, bins):
    student, teacher = said(), said(bins=bins)
    loss = loss_of(teaching=teaching)
    loss(student, half_labelled(), teacher, every())["total"].backward()
    assert gradients(teacher) == []


@pytest.mark.parametrize("teaching", ["soft", "labels"])
@pytest.mark.parametrize("va_kind", VA_KINDS)
def test_a_clip_of_one_frame_is_learnt(teaching, va_kind):
    for truth in (targets(1, 1), unlabelled(1, 1)):
        student, teacher = said(1, 1), detached(said(1, 1))
        loss = loss_of(teaching=teaching, va_kind=va_kind)
        total = loss(student, truth, teacher, every(1, 1))["total"]
        total.backward()
        assert total.isfinite()
        assert all(grad.isfinite().all() for grad in gradients(student))


@pytest.mark.parametrize("teaching", ["soft", "labels"])
def test_a_batch_of_nothing_has_no_loss(teaching):
    student, loss = said(), loss_of(teaching=teaching)
    teacher = said().each(lambda x: torch.full_like(x, NAN))
    for teacher_said, frames in [(teacher, every()), (detached(said()), ~every())]:
        losses = loss(student, unlabelled(), teacher_said, frames)
        losses["total"].backward()
        assert [float(loss.detach()) for loss in losses.values()] == [0.0] * 4
        assert all((grad == 0).all() for grad in gradients(student))


def test_all_frames_are_real_unless_told():
    student, teacher, truth, loss = said(), detached(said()), half_labelled(), loss_of()
    told, untold = loss(student, truth, teacher, every()), loss(student, truth, teacher)
    assert torch.equal(told["total"], untold["total"])


def test_decisions_by_hand():
    truth = targets(1, 3)
    truth.va[:], truth.expr[:], truth.au[:] = 0.5, 7, 1.0
    truth.va_mask[:] = torch.tensor([[True, False, False]])
    truth.expr_mask[:] = torch.tensor([[False, True, False]])
    truth.au_mask[:], truth.au_mask[0, 0, 0] = False, True
    teacher = classic_scores(
        torch.full((1, 3, 2), -0.25), torch.zeros(1, 3, 8), torch.full((1, 3, 12), -1.0)
    )
    teacher.expr[..., 2] = 1.0
    teacher.au[..., 5] = 0.0
    frames = torch.tensor([[True, True, False]])
    full = label_targets(truth, teacher, frames)
    assert full.va[0, :2].tolist() == [[0.5, 0.5], [-0.25, -0.25]]
    assert full.expr[0, :2].tolist() == [2, 7]
    assert full.au[0, :2].tolist() == [
        [1.0, *(0.0,) * 4, 1.0, *(0.0,) * 6],
        [*(0.0,) * 5, 1.0, *(0.0,) * 6],
    ]
    for task in TASKS:
        mask = getattr(full, f"{task}_mask")
        assert mask[0, :2].all()
        assert not mask[0, 2].any(), "padding"
    assert (full.va.dtype, full.expr.dtype, full.au.dtype) == (
        torch.float32,
        torch.int64,
        torch.float32,
    )
    assert truth.va_mask.sum() == 1, "the truth itself stays as it is"


def test_decisions_are_labels_like_any_other():
    student, truth, teacher = said(), half_labelled(), detached(said())
    loss = loss_of(teaching="labels", weighting="uncertainty")
    full = label_targets(truth, teacher, every())
    got, expected = loss(student, truth, teacher, every()), loss(student, full)
    assert all(torch.equal(got[name], expected[name]) for name in got)


def test_truth_on_every_element_leaves_decisions_nothing_to_say():
    student, truth, loss = said(), targets(3, 20), loss_of(teaching="labels")
    taught = loss(student, truth, detached(said()), every())
    assert torch.equal(taught["total"], loss(student, truth)["total"])


def test_what_is_not_finite_teaches_nothing():
    teacher = detached(said(1, 4))
    teacher.va[0, 0, 1] = NAN
    teacher.va_bins[0, 1, 0, 3] = NAN
    teacher.expr[0, 2, 0] = float("-inf")
    teacher.au[0, 3, 4] = NAN
    _, tasks = settings_of()
    taught = {
        name: distillation.taught_by(task, teacher[name], every(1, 4))
        for name, task in tasks.items()
    }
    assert taught["va"].tolist() == [[False, False, True, True]]
    assert taught["expr"].tolist() == [[True, True, False, True]]
    assert taught["au"].sum() == 47
    assert not taught["au"][0, 3, 4]
