"""The curriculum of compound expressions: what is drawn, mixed and learnt."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fusion.model.heads import task_head
from fusion.tasks.compound import BASIC_EXPRESSIONS, COMPOUND_PAIRS, COMPOUNDS, CompoundSettings
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.learning.mixtures import (
    BASIC,
    FIRST,
    blend,
    compound_batch,
    compound_loss,
    compound_targets,
    draw_compounds,
    mixup,
    share_at,
)
from tests.fusion.batches import targets

LEGAL = [tuple(BASIC_EXPRESSIONS.index(name) for name in two) for two in COMPOUNDS.values()]
classes = st.lists(st.integers(0, 5), min_size=1, max_size=40)


def labelled(names: list[str], mask: list[bool] | None = None):
    """Targets of one window whose frames have these expressions."""
    made = targets(1, len(names))["expr"]
    made.values[0] = torch.tensor([EXPRESSIONS.index(name) for name in names])
    if mask is not None:
        made.mask[0] = torch.tensor(mask)
    return made


def identity_rows(basic: torch.Tensor) -> torch.Tensor:
    """(N, N) rows that tell which frames they are made of, and in what parts."""
    return torch.eye(len(basic))


def test_the_share_rises_in_stages_and_the_last_holds_for_the_rest() -> None:
    shares = [share_at(epoch, CompoundSettings().share) for epoch in range(20)]
    assert shares == [0.0] * 5 + [0.2] * 5 + [0.4] * 3 + [1.0] * 7
    assert share_at(3, [(0, 1.0), (2, 0.5), (2, 0.25)]) == 0.25
    assert share_at(0, [(0, 1.0), (2, 0.5)]) == 0.5


def test_the_six_are_all_but_neutral_and_other_in_their_order() -> None:
    assert tuple(e for e in EXPRESSIONS if e not in ("Neutral", "Other")) == BASIC_EXPRESSIONS
    assert len(BASIC_EXPRESSIONS) == BASIC
    assert EXPRESSIONS[FIRST : FIRST + BASIC] == BASIC_EXPRESSIONS


@settings(max_examples=30, deadline=None)
@given(classes, st.integers(0, 60), st.integers(0, 99))
def test_only_pairs_that_form_their_compound_are_drawn(
    present: list[int], count: int, seed: int
) -> None:
    torch.manual_seed(seed)
    basic = torch.tensor(present)
    compounds, pairs = draw_compounds(basic, count)
    possible = [i for i, two in enumerate(LEGAL) if set(two) <= set(present)]
    assert len(compounds) == len(pairs) == (count if possible else 0)
    assert set(compounds.tolist()) <= set(possible)
    for compound, pair in zip(compounds.tolist(), basic[pairs].tolist(), strict=True):
        assert tuple(pair) == LEGAL[compound]


def test_compounds_are_drawn_evenly_however_rare_their_expressions() -> None:
    torch.manual_seed(0)
    basic = torch.tensor([5] * 500 + [0, 1, 2, 3, 4] * 2)
    compounds, pairs = draw_compounds(basic, 7000)
    counts = torch.bincount(compounds, minlength=7)
    assert ((counts - 1000).abs() < 150).all()
    surprised = pairs[compounds == list(COMPOUNDS).index("Happily_Surprised")]
    assert len(surprised[:, 1].unique()) > 400  # any frame of Surprise
    assert len(surprised[:, 0].unique()) == 2


@settings(max_examples=30, deadline=None)
@given(classes, st.floats(0, 1), st.integers(0, 99))
def test_the_share_of_mixtures_is_as_asked_and_the_rest_are_frames_as_they_are(
    present: list[int], share: float, seed: int
) -> None:
    torch.manual_seed(seed)
    basic = torch.tensor(present)
    rows, wanted = compound_batch(identity_rows(basic), basic, share)
    legal = any(set(two) <= set(present) for two in LEGAL)
    mixtures = round(share * len(basic)) if legal else 0
    assert len(rows) == len(wanted) == len(basic)
    assert (wanted.sum(1) == 2).tolist() == [i < mixtures for i in range(len(basic))]
    assert ((rows > 0).sum(1) == wanted.sum(1)).all()
    assert len({int(row.argmax()) for row in rows[mixtures:]}) == len(basic) - mixtures
    on = torch.nn.functional.one_hot(basic, 6).float()
    assert torch.equal(((rows @ on) > 0).float(), wanted)


def test_targets_are_one_for_both_of_a_compound_whatever_the_parts() -> None:
    wanted = compound_targets(torch.arange(7))
    for row, two in zip(wanted, COMPOUNDS.values(), strict=True):
        assert {BASIC_EXPRESSIONS[i] for i in row.nonzero()[:, 0]} == set(two)
    assert wanted.sum(1).tolist() == [2] * 7


def test_a_blend_is_the_first_at_1_the_second_at_0_and_between_them_otherwise() -> None:
    first, second = torch.rand(3, 2, 4), torch.rand(3, 2, 4)
    mixed = blend(first, second, torch.tensor([1.0, 0.0, 0.25]))
    assert torch.equal(mixed[0], first[0])
    assert torch.equal(mixed[1], second[1])
    torch.testing.assert_close(mixed[2], 0.25 * first[2] + 0.75 * second[2])


def test_parts_are_drawn_pair_by_pair_and_most_leave_a_fifth_of_each() -> None:
    torch.manual_seed(0)
    parts = mixup(torch.ones(4000, 2), torch.zeros(4000, 2))
    assert torch.equal(parts[:, 0], parts[:, 1])
    assert parts[:, 0].mean() == pytest.approx(0.5, abs=0.01)
    within = ((parts[:, 0] > 0.2) & (parts[:, 0] < 0.8)).float().mean()
    assert within == pytest.approx(0.933, abs=0.015)  # of Beta(4, 4)
    assert mixup(torch.ones(0, 2), torch.zeros(0, 2)).shape == (0, 2)


def test_the_loss_by_hand() -> None:
    frames = torch.zeros(1, 3, 6)
    frames[0, 0, 0] = 2.0  # Anger, said to be Anger
    truth = labelled(["Anger", "Neutral", "Other"])
    loss = compound_loss(nn.Identity(), frames, truth, 0.0)
    expected = (torch.log1p(torch.exp(torch.tensor(-2.0))) + 5 * torch.log(torch.tensor(2.0))) / 6
    torch.testing.assert_close(loss, expected)


def test_at_a_share_of_1_the_loss_is_of_mixtures_with_both_targets() -> None:
    frames = torch.zeros(1, 2, 6)
    frames[:] = torch.tensor([3.0, -3, -3, -3, 3, -3])  # both, so any mixture of them too
    truth = labelled(["Sadness", "Anger"])
    both = compound_loss(nn.Identity(), frames, truth, 1.0)
    torch.testing.assert_close(both, torch.log1p(torch.exp(torch.tensor(-3.0))))
    assert compound_loss(nn.Identity(), frames, truth, 0.0) > both


def test_frames_without_a_basic_expression_get_no_gradient_at_all() -> None:
    torch.manual_seed(0)
    names = ["Anger", "Sadness", "Neutral", "Other", "Surprise", "Fear", "Happiness"]
    truth = labelled(names, [True, True, True, True, False, True, True])
    frames = torch.randn(1, 7, 8)
    frames[0, 4] = float("nan")
    frames.requires_grad_()
    head = task_head(8, BASIC)
    compound_loss(head, frames, truth, 0.4).backward()
    assert (frames.grad[0, [2, 3, 4]] == 0).all()
    assert (frames.grad[0, [0, 1, 5, 6]] != 0).any()
    assert all((p.grad != 0).any() and p.grad.isfinite().all() for p in head.parameters())


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_batch_without_basic_expressions_has_loss_0_and_gradient_0(share: float) -> None:
    frames = torch.randn(1, 3, 8, requires_grad=True)
    head = task_head(8, BASIC)
    truth = labelled(["Neutral", "Other", "Fear"], [True, True, False])
    loss = compound_loss(head, frames, truth, share)
    loss.backward()
    assert loss == 0
    assert (frames.grad == 0).all()
    assert all((p.grad == 0).all() for p in head.parameters())


def test_without_a_legal_pair_single_frames_are_learnt() -> None:
    frames = torch.randn(1, 3, 6)
    truth = labelled(["Happiness", "Anger", "Disgust"])
    alone = [compound_loss(nn.Identity(), frames, truth, share) for share in (0.0, 1.0)]
    assert alone[0] > 0
    torch.testing.assert_close(*alone)


def test_frames_of_different_windows_are_mixed_and_a_seed_repeats_it() -> None:
    truth = targets(2, 4)["expr"]
    truth.values[0], truth.values[1] = EXPRESSIONS.index("Fear"), EXPRESSIONS.index("Surprise")
    frames = torch.randn(2, 4, 6, requires_grad=True)
    said = []
    for _ in range(2):
        torch.manual_seed(3)
        said.append(compound_loss(nn.Identity(), frames, truth, 1.0))
    assert said[0] == said[1]
    said[0].backward()
    assert all((window != 0).any() for window in frames.grad)


def test_it_learns_to_tell_both_of_a_mixture() -> None:
    torch.manual_seed(0)
    centres = torch.randn(6, 16) * 2
    truth = targets(4, 60)["expr"]
    truth.values[:] = torch.randint(FIRST, FIRST + BASIC, (4, 60))
    frames = centres[truth.values - FIRST] + 0.3 * torch.randn(4, 60, 16)
    head = task_head(16, BASIC)
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    for step in range(120):
        loss = compound_loss(head, frames, truth, share_at(step // 8, [(5, 0.0), (5, 0.4), (1, 1)]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pairs = torch.from_numpy(COMPOUND_PAIRS)
    scores = torch.sigmoid(head(centres[pairs].mean(1)))
    assert scores[:, pairs].sum(2).argmax(1).tolist() == list(range(7))
