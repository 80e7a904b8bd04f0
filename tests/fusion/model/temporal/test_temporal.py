from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from features.errors import UserError
from fusion.model.affect import AffectModel
from fusion.model.blocks.attention import RelativeBias
from fusion.model.blocks.steps import pool, spread
from fusion.model.blocks.tcn import MaskedTCN
from fusion.model.temporal.recurrent import TemporalRecurrent, reversal
from fusion.model.temporal.transformer import TemporalTransformer, sinusoidal_positions
from tests.fusion.batches import SMALL, STREAMS, batch, joined
from tests.fusion.model.fusion.test_fusions import FUSIONS


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def lengths_mask(lengths, frames):
    return torch.arange(frames) < torch.tensor(lengths)[:, None]


def test_tcn_reaches_as_far_as_it_says_and_no_further():
    tcn = MaskedTCN(4, levels=2, kernel=5, dropout=0.0).eval()
    reach = (5 - 1) * (2**2 - 1)
    x = torch.randn(1, 61, 4, requires_grad=True)
    tcn(x, torch.ones(1, 61, dtype=torch.bool))[0, 30].sum().backward()
    seen = (x.grad[0].abs().sum(dim=-1) > 0).nonzero().ravel()
    assert (int(seen.min()), int(seen.max())) == (30 - reach, 30 + reach)


def test_causal_tcn_does_not_see_the_future():
    tcn = MaskedTCN(4, levels=2, kernel=5, dropout=0.0, causal=True).eval()
    x = torch.randn(1, 61, 4, requires_grad=True)
    tcn(x, torch.ones(1, 61, dtype=torch.bool))[0, 30].sum().backward()
    seen = (x.grad[0].abs().sum(dim=-1) > 0).nonzero().ravel()
    assert (int(seen.min()), int(seen.max())) == (30 - 24, 30)


def test_pooling_leaves_padding_out():
    x = torch.tensor([1.0, 3.0, 5.0, 99.0, 99.0]).reshape(1, 5, 1)
    frames = torch.tensor([[True, True, True, False, False]])
    mean, keys = pool(x, frames, 2)
    assert mean.ravel().tolist() == [2.0, 5.0, 0.0]
    assert keys.tolist() == [[True, True, False]]


def test_transformer_tells_frames_apart_by_place_only_with_positions():
    def outcome(positions):
        torch.manual_seed(0)
        temporal = TemporalTransformer(
            8, layers=1, heads=2, stride=1, dropout=0.0, positions=positions
        )
        same = torch.randn(1, 1, 8).expand(1, 6, 8)
        return temporal(same, torch.ones(1, 6, dtype=torch.bool))[0]

    torch.testing.assert_close(outcome("none"), outcome("none")[:1].expand(6, 8))
    assert (outcome("sinusoidal")[0] - outcome("sinusoidal")[5]).abs().max() > 0.01


def test_positions_are_those_of_the_paper():
    table = sinusoidal_positions(50, 6)
    assert float(table[7, 2]) == pytest.approx(float(torch.tensor(7 / 10_000 ** (2 / 6)).sin()))
    assert float(table[7, 3]) == pytest.approx(float(torch.tensor(7 / 10_000 ** (2 / 6)).cos()))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_recurrence_is_torchs_own_over_packed_sequences(cell):
    ours = TemporalRecurrent(cell, 8, layers=2, stride=1, dropout=0.0)
    theirs = {"gru": nn.GRU, "lstm": nn.LSTM}[cell](
        8, 4, num_layers=2, bidirectional=True, batch_first=True
    )
    state = {}
    for way, suffix in ((ours.forth, ""), (ours.back, "_reverse")):
        for layer, unit in enumerate(way):
            for name, value in unit.state_dict().items():
                state[name.replace("l0", f"l{layer}") + suffix] = value
    theirs.load_state_dict(state)
    x, lengths = torch.randn(3, 9, 8), [9, 1, 5]
    frames = lengths_mask(lengths, 9)
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected = ours.norm(x + pad_packed_sequence(theirs(packed)[0], batch_first=True)[0])
    torch.testing.assert_close(ours(x, frames)[frames], expected[frames])


@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=4))
def test_reversal_turns_the_real_steps_around_and_undoes_itself(lengths):
    order = reversal(lengths_mask(lengths, 9))
    for row, length in zip(order.tolist(), lengths, strict=True):
        assert row[:length] == list(range(length))[::-1]
    torch.testing.assert_close(order.gather(1, order), torch.arange(9).expand_as(order))


@settings(max_examples=30, deadline=None)
@given(
    fusion=st.sampled_from(FUSIONS),
    stride=st.integers(1, 4),
    frames=st.integers(2, 17),
    data=st.data(),
)
def test_a_causal_model_depends_on_no_later_frame(fusion, stride, frames, data):
    torch.manual_seed(0)
    chosen = replace(SMALL, temporal={"name": "causal-tcn", "stride": stride}, fusion=fusion)
    if fusion == "cross-attention":
        chosen = replace(chosen, fusion={"name": fusion, "reach": 5})
    model = AffectModel(chosen, STREAMS).eval()
    made = batch(windows=2, frames=frames)
    made.valid["audio"] = torch.rand(2, frames) < 0.5
    made.valid["visual"] = torch.rand(2, frames) < 0.8
    at = data.draw(st.integers(1, frames - 1))
    made.valid["visual"][0, at] = True  # so that there is something to be changed
    with torch.no_grad():
        before = joined(model(made))
        for name, rows in made.streams.items():
            rows[:, at:] += 5.0
            made.valid[name][:, at:] ^= torch.rand(2, frames - at) < 0.5
        made.frames[1, at:] = False
        after = joined(model(made))
    torch.testing.assert_close(after[:, :at], before[:, :at], rtol=0, atol=1e-6)
    assert not torch.equal(after[0, at:], before[0, at:])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_causal_model_sees_the_past_and_the_present(fusion):
    chosen = replace(SMALL, temporal="causal-tcn", fusion=fusion)
    made = batch()
    for rows in made.streams.values():
        rows.requires_grad_()
    joined(AffectModel(chosen, STREAMS).eval()(made))[0, 12].square().sum().backward()
    for rows in made.streams.values():
        felt = rows.grad[0].abs().sum(dim=-1) > 0
        assert felt[8:13].all()
        assert not felt[13:].any()


@pytest.mark.parametrize("temporal", ["transformer", "gru", "lstm", "tcn"])
def test_the_other_temporal_parts_look_both_ways(temporal):
    part = replace(SMALL, temporal=temporal).temporal_block.build(SMALL.temporal_shape).eval()
    x = torch.randn(1, 13, 16, requires_grad=True)
    part(x, torch.ones(1, 13, dtype=torch.bool))[0, 6].square().sum().backward()
    felt = x.grad[0].abs().sum(dim=-1) > 0
    assert felt[3]
    assert felt[9]


def test_without_context_every_frame_stands_alone():
    chosen = replace(SMALL, temporal="none", tcn_levels=0)
    made = batch()
    made.streams["visual"].requires_grad_()
    joined(AffectModel(chosen, STREAMS).eval()(made))[0, 12].square().sum().backward()
    felt = made.streams["visual"].grad[0].abs().sum(dim=-1) > 0
    assert felt.nonzero().ravel().tolist() == [12]


def test_a_causal_frame_gets_the_last_step_that_has_ended():
    steps = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1)
    assert spread(steps, 8, 3).ravel().tolist() == [1, 1, 1, 2, 2, 2, 3, 3]
    assert spread(steps, 8, 3, causal=True).ravel().tolist() == [0, 0, 1, 1, 1, 2, 2, 2]


def test_relative_positions_start_as_none():
    x, frames = torch.randn(3, 11, 16), lengths_mask([11, 4, 0], 11)

    def outcome(positions):
        torch.manual_seed(0)
        chosen = replace(SMALL, temporal=SMALL.temporal | {"positions": positions})
        return chosen.temporal_block.build(chosen.temporal_shape).eval()(x, frames)[:2]

    torch.testing.assert_close(outcome("relative"), outcome("none"))


def test_relative_bias_is_one_number_a_head_and_distance_up_to_the_furthest():
    bias = RelativeBias(heads=2, furthest=2)
    nn.init.normal_(bias.table)
    said = bias(6)
    assert said.shape == (2, 6, 6)
    torch.testing.assert_close(said[:, 1:, 1:], said[:, :-1, :-1])
    torch.testing.assert_close(said[:, 0, 2:], bias.table[:, 4:].expand(2, 4))
    torch.testing.assert_close(said[:, 2:, 0], bias.table[:, :1].expand(2, 4))
    assert said[0, 2].unique().numel() == 5, "before and after are told apart"


def test_relative_positions_tell_near_from_far_wherever_the_window_begins():
    part = TemporalTransformer(
        8, layers=1, heads=2, stride=1, dropout=0.0, positions="relative"
    ).eval()
    with torch.no_grad():
        part.bias.table[:, part.bias.furthest + 1 :] = -torch.inf  # the past alone
    x = torch.randn(1, 6, 8)
    frames = torch.ones(1, 6, dtype=torch.bool)
    said = part(x, frames)
    torch.testing.assert_close(part(x[:, :4], frames[:, :4]), said[:, :4])
    assert not torch.allclose(part(x[:, 1:], frames[:, 1:])[:, 0], said[:, 1])


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"temporal": "rnn"}, "model.temporal rnn must be one of none, pyramid, gru, lstm, tcn, "),
        (
            {"temporal": {"name": "transformer", "positions": "learned"}},
            'Parser key "model.temporal.positions": ',
        ),
        (
            {"temporal": {"name": "gru", "positions": "relative"}},
            "unknown setting 'model.temporal.positions' of gru; gru has layers, stride",
        ),
        (
            {"temporal": {"name": "transformer", "positions": "relative", "layers": 0}},
            "model.temporal.positions relative must be none with model.temporal.layers 0",
        ),
        (
            {"temporal": {"name": "lstm", "layers": 0}},
            "model.temporal.layers 0 must be at least 1",
        ),
        ({"temporal": "gru", "dim": 17}, "model.dim 17 must be even with model.temporal gru"),
    ],
)
def test_temporal_parts_that_make_no_sense_are_refused(change, complaint):
    with pytest.raises(UserError) as caught:
        AffectModel(replace(SMALL, **change), STREAMS)
    assert str(caught.value).startswith(complaint)
    assert "\n" not in str(caught.value)
