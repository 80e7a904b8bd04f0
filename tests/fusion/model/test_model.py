from dataclasses import replace
from hashlib import sha256

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import UserError
from fusion.model.affect import AffectModel
from fusion.model.settings import ModelSettings
from fusion.model.streams import drop_streams
from tests.fusion.batches import SMALL, STREAMS, batch, joined

PARTS = {
    "default": {},
    "gated": {"fusion": "gated"},
    "cross-attention": {"fusion": "cross-attention", "reach": 5},
    "leader-follower": {"fusion": "leader-follower", "leader": "audio"},
    "sinusoidal": {"positions": "sinusoidal"},
    "relative": {"positions": "relative"},
    "gru": {"temporal": "gru", "layers": 2},
    "lstm": {"temporal": "lstm"},
    "tcn": {"temporal": "tcn"},
    "causal-tcn": {"temporal": "causal-tcn"},
    "causal-cross": {"temporal": "causal-tcn", "fusion": "cross-attention", "reach": 5},
    "none": {"temporal": "none"},
}
"""Each fusion and each temporal part in an otherwise small model."""


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def model():
    return AffectModel(SMALL, STREAMS).eval()


@pytest.fixture(params=PARTS.values(), ids=PARTS)
def any_model(request):
    return AffectModel(replace(SMALL, **request.param), STREAMS).eval()


def with_holes(frames=20):
    """A batch whose last window is padded from frame 13 and whose streams have gaps."""
    made = batch(frames=frames)
    made.frames[2, 13:] = False
    made.valid["visual"][0, 4:9] = False
    made.valid["audio"][1] = False
    return made


def says(model, made):
    with torch.no_grad():
        return joined(model(made))


def test_the_default_is_the_baseline_that_checkpoints_and_results_were_made_with():
    state = AffectModel(ModelSettings(), {"visual": 256, "audio": 192}).state_dict()
    assert sum(value.numel() for value in state.values()) == 584_406
    shapes = "".join(f"{name} {tuple(value.shape)}\n" for name, value in state.items())
    assert sha256(shapes.encode()).hexdigest()[:12] == "a376b7823d01"
    torch.manual_seed(0)
    model = AffectModel(SMALL, STREAMS).eval()
    torch.manual_seed(1)
    scores = says(model, batch(windows=2, frames=7))
    assert float(scores.double().sum()) == pytest.approx(28.82338, abs=1e-3)
    assert scores[0, 3, :4].tolist() == pytest.approx(
        [0.23447, 0.31496, 0.24490, 0.21380], abs=1e-4
    )


def test_scores_have_a_row_for_every_frame(model):
    scores = model(batch(windows=3, frames=20))
    assert {name: rows.shape for name, rows in scores.items()} == {
        "va": (3, 20, 2),
        "expr": (3, 20, 8),
        "au": (3, 20, 12),
    }
    assert scores["va"].abs().max() <= 1


@settings(max_examples=15, deadline=None)
@given(frames=st.integers(1, 33), stride=st.integers(1, 4), positions=st.booleans())
def test_any_number_of_frames_will_do(frames, stride, positions):
    known = "sinusoidal" if positions else "none"
    chosen = replace(SMALL, temporal=SMALL.temporal | {"stride": stride, "positions": known})
    scores = says(AffectModel(chosen, STREAMS).eval(), batch(windows=2, frames=frames))
    assert scores.shape == (2, frames, 22)
    assert scores.isfinite().all()


@pytest.mark.parametrize("junk", [0.0, 1e4, float("nan"), float("inf")])
def test_what_lies_in_padding_and_invalid_rows_changes_nothing(any_model, junk):
    made = with_holes()
    before = says(any_model, made)
    for name, rows in made.streams.items():
        rows[~made.valid[name] | ~made.frames] = junk
    after = says(any_model, made)
    torch.testing.assert_close(after, before, rtol=0, atol=0)


@pytest.mark.parametrize("real", [1, 12, 13])
def test_padding_changes_nothing_about_the_real_frames(any_model, real):
    made = batch(windows=2, frames=20)
    made.frames[:, real:] = False
    short = batch(windows=2, frames=real)
    short.streams = {name: rows[:, :real] for name, rows in made.streams.items()}
    torch.testing.assert_close(says(any_model, made)[:, :real], says(any_model, short))


def test_masked_elements_get_no_gradient_at_all(any_model):
    made = with_holes()
    for rows in made.streams.values():
        rows.requires_grad_()
    joined(any_model.train()(made)).square().sum().backward()
    for name, rows in made.streams.items():
        seen = made.valid[name] & made.frames
        assert (rows.grad[~seen] == 0).all()
    assert (made.streams["visual"].grad[1] != 0).any()


def test_a_valid_frame_is_felt_in_time_and_a_gap_is_noticed(model):
    made = batch()
    before = says(model, made)
    made.streams["visual"][0, 10] += 3.0
    changed = (says(model, made) - before).abs().amax(dim=-1) > 1e-6
    assert changed[0].all(), "the transformer sees the whole window"
    assert not changed[1:].any(), "windows do not see one another"
    made.streams["visual"][0, 10] = 0.0
    zero = says(model, made)
    made.valid["visual"][0, 10] = False
    assert not torch.allclose(says(model, made)[0], zero[0]), "missing is not the same as zero"


def test_order_of_windows_does_not_matter(any_model):
    made = with_holes()
    before = says(any_model, made)
    order = torch.tensor([2, 0, 1])
    made.streams = {name: rows[order] for name, rows in made.streams.items()}
    made.valid = {name: rows[order] for name, rows in made.valid.items()}
    made.frames = made.frames[order]
    torch.testing.assert_close(says(any_model, made), before[order])


@pytest.mark.parametrize("lack", ["invalid", "absent", "padded"])
@pytest.mark.parametrize("frames", [1, 20])
def test_nothing_to_see_gives_finite_scores_and_gradients(any_model, lack, frames):
    made = batch(frames=frames)
    if lack == "invalid":
        made.valid = {name: torch.zeros_like(mask) for name, mask in made.valid.items()}
    if lack == "absent":
        made.streams, made.valid = {}, {}
    if lack == "padded":
        made.frames[1] = False
    scores = joined(any_model.train()(made))
    assert scores.isfinite().all()
    scores.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in any_model.parameters())


def test_every_parameter_learns(any_model):
    made = with_holes()
    made.valid["audio"][0, 3] = False
    for _ in range(10):  # stream dropout hides some now and then
        joined(any_model.train()(made)).square().sum().backward()
    still = [name for name, p in any_model.named_parameters() if not p.grad.any()]
    assert not still


def test_half_precision_gives_about_the_same_scores(any_model):
    made = with_holes()
    exact = says(any_model, made)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = joined(any_model(made))
        rough.float().square().sum().backward()
    assert (rough.float() - exact)[made.frames].abs().max() < 0.15
    assert all(p.grad.isfinite().all() for p in any_model.parameters())


def test_an_absent_stream_is_the_same_as_one_that_is_never_valid(any_model):
    made = batch()
    made.valid["audio"][:] = False
    never = says(any_model, made)
    del made.streams["audio"], made.valid["audio"]
    torch.testing.assert_close(says(any_model, made), never, rtol=0, atol=0)


def test_streams_go_by_name_not_by_order(model):
    made = with_holes()
    before = says(model, made)
    made.streams = dict(reversed(made.streams.items()))
    made.streams["unknown"] = torch.randn(3, 20, 5)
    torch.testing.assert_close(says(model, made), before, rtol=0, atol=0)


def test_evaluation_is_deterministic_and_training_is_not(model):
    made = batch()
    assert torch.equal(says(model, made), says(model, made))
    model.train()
    assert not torch.equal(says(model, made), says(model, made))


def test_stream_dropout_hides_streams_in_training_only():
    chosen = replace(SMALL, dropout=0.0, stream_dropout=0.9)
    model, made = AffectModel(chosen, STREAMS), batch(windows=8)
    assert not torch.equal(says(model, made), says(model, made))
    model = AffectModel(replace(chosen, stream_dropout=0.0), STREAMS)
    assert torch.equal(says(model, made), says(model, made))


@settings(max_examples=25, deadline=None)
@given(
    streams=st.integers(1, 4),
    probability=st.sampled_from([0.0, 0.3, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_stream_dropout_takes_whole_streams_but_never_the_last(streams, probability, seed):
    torch.manual_seed(seed)
    valid = torch.rand(16, 10, streams) < 0.3
    valid[:5, :, 0] = False
    kept = drop_streams(valid, probability)
    survives = kept.any(dim=1)
    assert torch.equal(kept, valid & survives.unsqueeze(1)), "a stream stays whole or goes whole"
    assert torch.equal(kept.any(dim=(1, 2)), valid.any(dim=(1, 2)))
    if probability == 0.0:
        assert torch.equal(kept, valid)
    if probability == 1.0:
        assert (survives.sum(dim=1) <= 1).all()


def test_stream_dropout_has_the_probability_it_says():
    torch.manual_seed(0)
    kept = drop_streams(torch.ones(20_000, 1, 2, dtype=torch.bool), 0.3)[:, 0]
    # Both are drawn with .09; then one of them, either, is saved.
    assert float(kept.float().mean()) == pytest.approx(1 - 0.3 + 0.09 / 2, abs=0.01)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"dim": 17}, r"model.temporal.heads 2 must be a divisor of model.dim \(17\)"),
        ({"kernel": 4}, "model.kernel 4"),
        ({"temporal": {"name": "transformer", "stride": 0}}, "model.temporal.stride 0"),
        ({"dropout": 1.5}, "model.dropout 1.5"),
        ({"stream_dropout": -0.1}, "model.stream_dropout -0.1"),
        ({"temporal": {"name": "transformer", "layers": -1}}, "model.temporal.layers -1"),
    ],
)
def test_settings_that_make_no_model_are_named(change, named):
    with pytest.raises(UserError, match=named) as caught:
        AffectModel(replace(SMALL, **change), STREAMS)
    assert "\n" not in str(caught.value)


def test_a_model_without_streams_is_refused():
    with pytest.raises(UserError, match=r"data\.streams"):
        AffectModel(SMALL, {})


def test_a_stream_of_another_size_is_named(model):
    with pytest.raises(UserError, match="'audio' has 5 features, the model takes 4"):
        model(batch(streams={"visual": 6, "audio": 5}))
