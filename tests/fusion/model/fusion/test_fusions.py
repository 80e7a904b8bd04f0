from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from features.errors import UserError
from fusion.model.affect import AffectModel
from fusion.model.blocks.attention import LocalCrossAttention
from fusion.model.fusion.cross_attention import CrossAttentionFusion
from fusion.model.fusion.gated import GatedFusion
from fusion.model.fusion.leader_follower import ATTENDED, LeaderFollowerFusion
from tests.fusion.batches import SMALL, STREAMS, batch, joined

FUSIONS = ["concat", "gated", "cross-attention", "leader-follower"]
CHANNELS, DIM = 6, 8


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def encoded(windows=2, frames=10, streams=3):
    """Encodings and validity with a frame where one stream is missing and one where all are."""
    valid = torch.ones(windows, frames, streams, dtype=torch.bool)
    valid[0, 3, 1] = False
    valid[1, 5] = False
    return torch.randn(windows, frames, streams, CHANNELS), valid


def cross_attention(streams, before, after):
    """A local attention with a bias that is not zero."""
    attention = LocalCrossAttention(
        CHANNELS, streams=streams, dim=DIM, heads=2, before=before, after=after
    )
    torch.nn.init.normal_(attention.bias)
    return attention


def attended_one_by_one(attention, query, x, valid):
    """What `LocalCrossAttention` says, one query, one head and one key at a time."""
    windows, frames, streams, _ = x.shape
    heads, width = attention.heads, DIM // attention.heads
    asked = attention.query(query).unflatten(-1, (heads, width))
    key, value = attention.key_value(x).unflatten(-1, (2, heads, width)).unbind(3)
    said = torch.zeros(windows, frames, heads, width)
    for b in range(windows):
        for t in range(frames):
            near = range(max(0, t - attention.before), min(frames, t + attention.after + 1))
            seen = [(u, s) for u in near for s in range(streams) if valid[b, u, s]]
            seen = seen or [(t, s) for s in range(streams)]
            for h in range(heads):
                products = [
                    asked[b, t, h] @ key[b, u, s, h] / width**0.5
                    + attention.bias[h, s, u - t + attention.before]
                    for u, s in seen
                ]
                weights = torch.stack(products).softmax(dim=0)
                values = torch.stack([value[b, u, s, h] for u, s in seen])
                said[b, t, h] = weights @ values
    return attention.out(said.flatten(2))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_gives_frames_of_the_models_width(fusion):
    chosen = replace(SMALL, fusion=fusion)
    fused = chosen.fusion_block.build(chosen.fusion_shape(["a", "b"]))
    static = 1 if fusion == "cross-attention" else 0
    x = torch.randn(3, 7, 2 + static, chosen.stream_dim)
    valid = torch.ones(3, 7, 2 + static, dtype=torch.bool)
    assert fused(x, valid).shape == (3, 7, chosen.dim)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_model_of_one_stream_may_have_any_fusion(fusion):
    model = AffectModel(replace(SMALL, fusion=fusion), {"visual": 6}).eval()
    assert joined(model(batch())).isfinite().all()


def test_gates_leave_a_missing_stream_out_and_sum_to_one():
    x, valid = encoded()
    gates = GatedFusion(3, CHANNELS, DIM).weights(x, valid)
    assert gates[0, 3, 1] == 0
    assert (gates[valid] > 0).all()
    assert gates[1, 5].isfinite().all()
    torch.testing.assert_close(gates.sum(dim=-1), torch.ones(2, 10))


def test_gates_depend_on_what_the_streams_say():
    x, valid = encoded()
    gates = GatedFusion(3, CHANNELS, DIM).weights(x, valid)
    assert gates[valid.all(dim=-1)].std(dim=0).min() > 0.01


def test_gated_frame_is_the_weighted_mean_of_its_streams():
    x, valid = encoded()
    fusion = GatedFusion(3, CHANNELS, DIM)
    gates = fusion.weights(x, valid)[0, 0]
    by_hand = sum(gates[s] * fusion.values[s](x[0, 0, s]).tanh() for s in range(3))
    torch.testing.assert_close(fusion(x, valid)[0, 0], by_hand)


@settings(max_examples=20, deadline=None)
@given(
    frames=st.integers(1, 11),
    before=st.integers(0, 4),
    after=st.integers(0, 4),
    streams=st.integers(1, 3),
    share=st.sampled_from([0.0, 0.2, 0.7, 1.0]),
)
def test_blockwise_attention_is_attention_to_the_frames_around(
    frames, before, after, streams, share
):
    torch.manual_seed(0)
    attention = cross_attention(streams, before, after)
    query, x = torch.randn(2, frames, DIM), torch.randn(2, frames, streams, CHANNELS)
    valid = torch.rand(2, frames, streams) < share
    with torch.no_grad():
        by_hand = attended_one_by_one(attention, query, x, valid)
        torch.testing.assert_close(attention(query, x, valid), by_hand, rtol=1e-4, atol=1e-5)


def test_cross_attention_needs_memory_linear_in_frames():
    class Largest(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            made = func(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor):
                self.elements = max(self.elements, made.numel())
            return made

    def largest(frames):
        attention = cross_attention(2, 15, 15)
        x, valid = torch.randn(1, frames, 2, CHANNELS), torch.ones(1, frames, 2, dtype=torch.bool)
        with Largest() as seen:
            attention(torch.randn(1, frames, DIM), x, valid)
        return seen.elements

    assert largest(1240) <= 4 * largest(310)


@pytest.mark.parametrize(
    ("leader", "leading", "other"),
    [("", "visual", "audio"), ("visual", "visual", "audio"), ("audio", "audio", "visual")],
)
def test_the_query_is_the_leaders_present_frame_alone(leader, leading, other):
    chosen = replace(SMALL, fusion={"name": "cross-attention", "leader": leader})
    model = AffectModel(chosen, STREAMS).eval()
    torch.nn.init.zeros_(model.fusion.attention.out.weight)  # nothing but the query passes
    seen = {}
    model.fusion.register_forward_hook(lambda _, __, fused: seen.update(fused=fused))
    made = batch()
    for rows in made.streams.values():
        rows.requires_grad_()
    model(made)
    seen["fused"][0, 7].sum().backward()
    assert (made.streams[leading].grad[0].abs().sum(dim=-1) > 0).nonzero().tolist() == [[7]]
    assert not made.streams[other].grad.any()


def test_the_query_moves_what_is_gathered():
    x, valid = torch.randn(1, 9, 3, CHANNELS), torch.ones(1, 9, 3, dtype=torch.bool)
    fusion = CrossAttentionFusion(2, CHANNELS, DIM, heads=2, before=3, after=3, dropout=0.0).eval()
    gathered = {}
    fusion.attention.register_forward_hook(lambda _, __, out: gathered.update(out=out))
    fusion(x, valid)
    before = gathered["out"]
    x[0, 4, -1] += 3.0
    fusion(x, valid)
    changed = (gathered["out"] - before).abs().amax(dim=-1)[0] > 1e-6
    assert changed.nonzero().ravel().tolist() == [4]


@pytest.mark.parametrize(("leader", "index"), [("", 0), ("visual", 0), ("audio", 1)])
def test_the_leader_stands_beside_what_was_attended(leader, index):
    chosen = replace(SMALL, fusion={"name": "leader-follower", "leader": leader})
    fusion = chosen.fusion_block.build(chosen.fusion_shape(list(STREAMS)))
    with torch.no_grad():
        fusion.linear.weight[:, : 2 * ATTENDED] = 0
    x = torch.randn(1, 4, 2, chosen.stream_dim, requires_grad=True)
    fusion(x, torch.ones(1, 4, 2, dtype=torch.bool)).sum().backward()
    assert x.grad[:, :, index].any()
    assert not x.grad[:, :, 1 - index].any()


def test_a_missing_follower_is_not_attended_to():
    x, valid = encoded()
    x.requires_grad_()
    fusion = LeaderFollowerFusion(3, CHANNELS, DIM, leader=0)
    with torch.no_grad():
        fusion.linear.weight[:, ATTENDED:] = 0  # what the leader gathers, and nothing else
    fusion(x, valid)[0, 3].sum().backward()
    assert not x.grad[0, 3, 1].any()
    assert x.grad[0, 3, 2].any()
    assert not x.grad[0, 4].any(), "frames do not see one another"


def test_leader_follower_attention_is_that_of_torch():
    x, valid = encoded()
    fusion = LeaderFollowerFusion(3, CHANNELS, DIM, leader=2)
    parts = torch.stack([p(x[:, :, s]) for s, p in enumerate(fusion.projections)], dim=2)
    query, key, value = parts.unflatten(-1, (3, 2, ATTENDED // 2)).permute(3, 0, 1, 4, 2, 5)
    keys = (valid | ~valid.any(dim=-1, keepdim=True))[:, :, None, None, :]
    seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=keys)
    followed = fusion.norm(seen.transpose(2, 3).flatten(3)).flatten(2)
    by_hand = fusion.linear(torch.cat([followed, x[:, :, 2]], dim=-1))
    torch.testing.assert_close(fusion(x, valid), by_hand)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("sum", "model.fusion sum must be one of concat, cross-attention, gated, "),
        (
            {"name": "concat", "leader": "visual"},
            "unknown setting 'model.fusion.leader' of concat; concat has none",
        ),
        (
            {"name": "cross-attention", "raech": 3},
            "unknown setting 'model.fusion.raech' of cross-attention; did you mean"
            " 'model.fusion.reach'?",
        ),
        (
            {"name": "leader-follower", "leader": "face"},
            "model.fusion.leader face must be one of visual, audio",
        ),
        ({"name": "cross-attention", "reach": 0}, "model.fusion.reach 0 must be at least 1"),
        ({"name": "cross-attention", "heads": 3}, "model.fusion.heads 3 must be a divisor of"),
        ({"reach": 3}, "model.fusion needs a name"),
    ],
)
def test_fusions_that_make_no_sense_are_refused(change, complaint):
    with pytest.raises(UserError) as caught:
        AffectModel(replace(SMALL, fusion=change), STREAMS)
    assert str(caught.value).startswith(complaint)
    assert "\n" not in str(caught.value)
