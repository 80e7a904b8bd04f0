"""The feature pyramid: top-down over levels (streams) and over scales of time, heads at scales."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import UserError
from fusion.model.affect import AffectModel
from fusion.model.fusion.top_down import TopDownFusion
from fusion.model.heads import ParallelHeads, ScaleHeads, make_heads
from fusion.model.settings import ModelSettings, scales_of
from fusion.model.temporal.pyramid import TemporalPyramid
from fusion.tasks.registry import make_tasks
from tests.fusion.batches import SMALL, batch, joined

STREAMS = {"pyramid.1": 5, "audio": 4, "pyramid.2": 6, "pyramid.3": 7}
LEVELS = ("pyramid.1", "pyramid.2", "pyramid.3")
AT = [0, 2, 3]
"""Of the levels among the streams."""
FPN = replace(
    SMALL,
    fusion={"name": "top-down", "levels": LEVELS},
    temporal="pyramid",
    head="scales",
    kernel=3,
)
CHANNELS, DIM, SCALES = 6, 8, 3


def every(stride, scales=SCALES):
    """A pyramid's settings."""
    return {"name": "pyramid", "scales": scales, "stride": stride}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def top_down(streams=4, levels=AT):
    return TopDownFusion(streams, CHANNELS, DIM, levels=levels)


def encoded(streams=4):
    return torch.randn(2, 5, streams, CHANNELS), torch.ones(2, 5, streams, dtype=torch.bool)


def pyramid(scales=SCALES, stride=2):
    made = TemporalPyramid(DIM, scales=scales, kernel=3, stride=stride, dropout=0.0)
    return made.eval()


def changes(before, after):
    """Which of several maps differ."""
    return [not torch.equal(one, other) for one, other in zip(before, after, strict=True)]


def gradients(module, output):
    """Whether the output moves each parameter."""
    module.zero_grad()
    output.square().sum().backward()
    return {name: bool(p.grad.any()) for name, p in module.named_parameters()}


@pytest.mark.parametrize("level", [0, 1, 2])
def test_zeroing_a_level_changes_it_and_the_finer_ones_alone(level):
    fusion, (x, valid) = top_down(), encoded()
    before = fusion.levels(x, valid)
    x[:, :, AT[level]] = 0
    assert changes(before, fusion.levels(x, valid)) == [k <= level for k in range(3)]


def test_each_place_of_the_finest_level_hears_the_coarsest():
    fusion, (x, valid) = top_down(), encoded()
    x.requires_grad_()
    fusion.levels(x, valid)[0][1, 3].sum().backward()
    assert x.grad[1, 3].abs().min() > 0
    x.grad[1, 3] = 0
    assert not x.grad.any(), "frames do not see one another"


def test_levels_go_by_their_order_in_the_settings_not_among_the_streams():
    fusion, (x, valid) = top_down(levels=[3, 0, 2]), encoded()
    before = fusion.levels(x, valid)
    x[:, :, 0] = 0
    assert changes(before, fusion.levels(x, valid)) == [True, True, False]


def test_other_streams_enter_at_the_coarsest_level():
    fusion, (x, valid) = top_down(), encoded()
    before = fusion.levels(x, valid)
    x[:, :, 1] = 0
    assert changes(before, fusion.levels(x, valid)) == [True, True, True]
    torch.nn.init.zeros_(fusion.others.weight)
    before = fusion.levels(x, valid)
    x[:, :, 1] = 1
    assert changes(before, fusion.levels(x, valid)) == [False, False, False]


def test_what_comes_from_above_is_added_to_the_lateral_and_smoothed():
    fusion, (x, valid) = top_down(streams=2, levels=[0, 1]), encoded(streams=2)
    fine, coarse = fusion.levels(x, valid)
    torch.testing.assert_close(coarse, fusion.laterals[1](x[:, :, 1]))
    merged = fusion.laterals[0](x[:, :, 0]) + coarse
    torch.testing.assert_close(fine, merged + fusion.smooths[0](merged))
    torch.testing.assert_close(fusion(x, valid), fusion.linear(torch.cat([fine, coarse], -1)))


def test_the_path_says_what_a_concatenation_cannot():
    fusion, (x, valid) = top_down(), encoded()
    fine, coarse = torch.zeros_like(x), torch.zeros_like(x)
    fine[:, :, 0], coarse[:, :, 3] = x[:, :, 0], x[:, :, 3]
    none = torch.zeros_like(x)
    apart = fusion(fine, valid) + fusion(coarse, valid) - fusion(none, valid)
    assert (fusion(fine + coarse, valid) - apart).abs().max() > 1e-3


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_missing_level_adds_nothing_where_another_is_there(level):
    fusion, (x, valid) = top_down(), encoded()
    x.requires_grad_()
    valid[0, 2, AT[level]] = False
    maps = fusion.levels(x, valid)
    sum(one[0].square().sum() for one in maps).backward()
    assert not x.grad[0, 2, AT[level]].any()
    assert x.grad[0, 1, AT[level]].any()
    if level == 0:
        smooth = fusion.smooths[0](maps[1])
        torch.testing.assert_close(maps[0][0, 2], (maps[1] + smooth)[0, 2])


def test_where_every_level_is_missing_their_own_vectors_speak():
    fusion, (x, valid) = top_down(), encoded()
    there = fusion(x, valid)
    valid[0, 2, AT] = False
    torch.testing.assert_close(fusion(x, valid), there, rtol=0, atol=0)
    valid[0, 1, 1] = False  # a stream beside the levels always speaks, by its vector if missing
    torch.testing.assert_close(fusion(x, valid), there, rtol=0, atol=0)


@pytest.mark.parametrize("streams", [3, 4])
def test_every_parameter_of_the_path_over_levels_learns(streams):
    fusion = top_down(streams, levels=[0, 1, 2])
    assert all(gradients(fusion, fusion(*encoded(streams))).values())


def test_a_causal_model_with_levels_sees_no_later_frame():
    chosen = replace(FPN, temporal="causal-tcn", head="parallel")
    model, made = AffectModel(chosen, STREAMS).eval(), batch(streams=STREAMS)
    for rows in made.streams.values():
        rows.requires_grad_()
    joined(model(made))[0, 12].square().sum().backward()
    for rows in made.streams.values():
        felt = rows.grad[0].abs().sum(dim=-1) > 0
        assert felt[12]
        assert not felt[13:].any()


@pytest.mark.parametrize("scale", range(SCALES))
def test_a_scale_depends_on_the_laterals_of_itself_and_the_slower_ones_alone(scale):
    part, x = pyramid(), torch.randn(2, 21, DIM)
    frames = torch.ones(2, 21, dtype=torch.bool)
    before = part(x, frames).unbind(2)
    with torch.no_grad():
        part.laterals[scale].weight.mul_(1.5)
    assert changes(before, part(x, frames).unbind(2)) == [k <= scale for k in range(SCALES)]


@pytest.mark.parametrize("scale", range(SCALES))
def test_a_scale_moves_its_own_smoothing_and_that_of_the_slower_ones(scale):
    part, x = pyramid(), torch.randn(2, 21, DIM)
    moved = gradients(part, part(x, torch.ones(2, 21, dtype=torch.bool))[:, :, scale])
    for k in range(SCALES - 1):
        assert moved[f"smooths.{k}.convolution.weight"] == (k >= scale)


@pytest.mark.parametrize(("stride", "scales"), [(1, 4), (2, 3), (3, 2)])
def test_a_scale_has_half_the_steps_of_the_one_before(stride, scales):
    part, frames = pyramid(scales, stride), 47
    with torch.no_grad():
        part.norm.weight.fill_(1)
        x = torch.zeros(1, frames, DIM)
        x[0, :, 0] = torch.randn(frames)
        kept = torch.ones(1, frames, dtype=torch.bool)
        maps, masks = part._bottom_up(x, kept)
        merged = part._top_down(maps, masks)
        said = part(x, kept)
    for scale, steps in enumerate(merged):
        length = stride * 2**scale
        assert steps.shape == (1, -(-frames // length), DIM)
        frame = torch.arange(frames)
        expected = part.norm(x[0] + steps[0, frame // length])
        torch.testing.assert_close(said[0, :, scale], expected)


def test_a_slow_step_is_the_mean_of_its_real_frames():
    part = pyramid(stride=2)
    part.blocks = torch.nn.ModuleList(_Same() for _ in range(SCALES))
    x = torch.arange(12.0).reshape(1, 12, 1).expand(1, 12, DIM)
    frames = torch.arange(12)[None] < 9
    maps, kept = part._bottom_up(x, frames)
    assert maps[2][0, :, 0].tolist() == [3.5, 8.0]
    assert [mask.sum().item() for mask in kept] == [5, 3, 2]


class _Same(torch.nn.Module):
    def forward(self, x, keep):
        return x


def test_a_slower_scale_looks_further_and_the_fastest_as_far_by_the_path_down():
    frames, reach = 121, []
    for cut in (False, True):
        part = pyramid()
        if cut:
            for lateral in part.laterals[1:]:
                torch.nn.init.zeros_(lateral.weight)
        x = torch.randn(1, frames, DIM, requires_grad=True)
        part(x, torch.ones(1, frames, dtype=torch.bool))[0, 60, 0].square().sum().backward()
        felt = (x.grad[0].abs().sum(dim=-1) > 0).nonzero().ravel()
        assert felt.min() < 60 < felt.max()
        reach.append(int(felt.max() - felt.min()))
    whole, without = reach
    assert whole > 2 * without


@settings(max_examples=30, deadline=None)
@given(
    real=st.integers(1, 37),
    padding=st.integers(0, 19),
    stride=st.integers(1, 3),
    scales=st.integers(1, 5),
)
def test_neither_values_nor_length_of_padding_change_a_real_frame(real, padding, stride, scales):
    part = pyramid(scales, stride)
    x = torch.randn(2, real + padding, DIM)
    x[:, real:] *= 1e3
    frames = (torch.arange(real + padding) < real).expand(2, -1)
    said = part(x, frames)
    assert said.shape == (2, real + padding, scales, DIM)
    assert said.isfinite().all()
    torch.testing.assert_close(said[:, :real], part(x[:, :real], frames[:, :real]))


def test_windows_of_one_batch_do_not_see_one_another():
    part, x = pyramid(), torch.randn(3, 11, DIM)
    frames = torch.arange(11) < torch.tensor([11, 4, 0])[:, None]
    said = part(x, frames)
    torch.testing.assert_close(part(x[1:2, :4], frames[1:2, :4])[0], said[1, :4])
    assert said.isfinite().all(), "of a window without a frame too"


@pytest.mark.parametrize("frames", [1, 21])
def test_every_parameter_of_the_temporal_pyramid_has_a_gradient(frames):
    part = pyramid().train()
    x = torch.randn(3, frames, DIM)
    part(x, torch.ones(3, frames, dtype=torch.bool)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in part.parameters())


def test_cost_is_linear_in_frames():
    def elements(frames):
        part, steps = pyramid(), []
        hooks = [block.register_forward_hook(_count(steps)) for block in part.blocks]
        part(torch.randn(1, frames, DIM), torch.ones(1, frames, dtype=torch.bool))
        for hook in hooks:
            hook.remove()
        return sum(steps)

    assert elements(1600) == 10 * elements(160)
    assert elements(1600) < 2 * 800 * DIM, "all scales together have fewer than two of the first"


def tasks_with(bins, compound):
    """The three tasks, with bins of values, and compound expressions."""
    return make_tasks(
        {"va": {"bins": bins}, "expr": {}, "au": {}} | ({"compound": {}} if compound else {})
    )


def _count(steps):
    return lambda _, __, out: steps.append(out.numel())


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 1, 0)])
@pytest.mark.parametrize("bins", [0, 4])
def test_each_task_reads_its_own_scale_and_compounds_that_of_expr(order, bins):
    scales = dict(zip(("au", "expr", "va"), order, strict=True))
    of_compound = {**scales, "compound": scales["expr"]}
    tasks = tasks_with(bins, compound=True)
    chosen = replace(FPN, scales=scales)
    assert scales_of(chosen, tasks) == of_compound
    heads = ScaleHeads(ParallelHeads(DIM, tasks), scales_of(chosen, tasks))
    x = torch.randn(2, 5, SCALES, DIM, requires_grad=True)
    scores = heads(x)
    for task, scale in of_compound.items():
        (grad,) = torch.autograd.grad(scores[task].sum(), x, retain_graph=True)
        assert [bool(grad[:, :, k].any()) for k in range(SCALES)] == [
            k == scale for k in range(SCALES)
        ]
    assert torch.equal(
        heads.head_of("compound")(heads.frames_of("compound", x)), scores["compound"]
    )


@pytest.mark.parametrize("bins", [0, 4])
@pytest.mark.parametrize("compound", [False, True])
def test_heads_at_scales_are_the_parallel_ones(bins, compound):
    tasks = tasks_with(bins, compound)
    heads = ScaleHeads(ParallelHeads(DIM, tasks), dict.fromkeys(tasks, 0))
    x = torch.randn(2, 5, 1, DIM)
    ours, theirs = heads(x), heads.heads(x[:, :, 0])
    assert ours.keys() == theirs.keys() == tasks.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in tasks)
    assert ours["va"].shape[-1] == 2 + 2 * bins
    assert ours["va"][..., :2].abs().max() <= 1


def test_settings_reach_the_parts():
    tasks = tasks_with(5, compound=True)
    model = AffectModel(replace(FPN, temporal=every(3)), STREAMS, tasks=tasks).eval()
    assert isinstance(model.fusion, TopDownFusion)
    assert (model.fusion.at, model.fusion.beside) == ([0, 2, 3], [1])
    assert isinstance(model.temporal, TemporalPyramid)
    assert (model.temporal.stride, len(model.temporal.blocks)) == (3, 3)
    assert isinstance(model.heads, ScaleHeads)
    assert model.heads.scales == {"au": 0, "expr": 1, "va": 2, "compound": 1}
    scores = model(batch(streams=STREAMS))
    assert scores["va"].shape == (3, 20, 2 + 2 * 5)
    assert scores["compound"].shape == (3, 20, 6)
    part = FPN.temporal_block.build(FPN.temporal_shape)
    assert part(torch.randn(2, 7, 16), torch.ones(2, 7).bool()).shape == (2, 7, 3, 16)
    assert isinstance(make_heads(FPN, tasks), ScaleHeads)


@pytest.mark.parametrize(
    ("task", "moved"),
    [("au", [True, True]), ("expr", [False, True]), ("va", [False, False])],
)
def test_a_loss_reaches_the_scales_at_and_above_its_own(task, moved):
    model, made = AffectModel(FPN, STREAMS).eval(), batch(streams=STREAMS)
    model(made)[task].square().sum().backward()
    smooths = [bool(s.convolution.weight.grad.any()) for s in model.temporal.smooths]
    assert smooths == moved
    assert all(bool(lateral.weight.grad.any()) for lateral in model.fusion.laterals)


def test_every_parameter_of_the_recipes_model_learns():
    model, made = AffectModel(FPN, STREAMS).train(), batch(streams=STREAMS)
    for rows in made.valid.values():
        rows[0, 4:9] = False
    for _ in range(10):  # stream dropout hides some now and then
        joined(model(made)).square().sum().backward()
    assert not [name for name, p in model.named_parameters() if not p.grad.any()]


@settings(max_examples=20, deadline=None)
@given(frames=st.integers(1, 33), real=st.integers(0, 33), stride=st.integers(1, 4))
def test_a_pyramid_model_takes_any_window_and_ignores_its_padding(frames, real, stride):
    real = min(real, frames)
    model, made = (
        AffectModel(replace(FPN, temporal=every(stride)), STREAMS).eval(),
        batch(windows=2, frames=frames, streams=STREAMS),
    )
    made.frames[1, real:] = False
    made.valid["audio"][0, ::3] = False
    with torch.no_grad():
        before = joined(model(made))
        for rows in made.streams.values():
            rows[1, real:] = torch.nan
        after = joined(model(made))
    assert before.isfinite().all()
    torch.testing.assert_close(after, before, rtol=0, atol=0)


def test_nothing_to_see_gives_finite_scores_and_gradients():
    model, made = AffectModel(FPN, STREAMS).train(), batch(streams=STREAMS)
    made.streams, made.valid = {}, {}
    made.frames[1] = False
    scores = joined(model(made))
    scores.square().sum().backward()
    assert scores.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_half_precision_gives_about_the_same_scores():
    model, made = AffectModel(FPN, STREAMS).eval(), batch(streams=STREAMS)
    exact = joined(model(made))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = joined(model(made))
    assert (rough.float() - exact).abs().max() < 0.15


def test_a_pyramid_is_never_causal():
    assert not FPN.temporal_block.causal
    part, x = pyramid(), torch.randn(1, 13, DIM, requires_grad=True)
    part(x, torch.ones(1, 13, dtype=torch.bool))[0, 4].square().sum().backward()
    assert x.grad[0, 8].any()


PARALLEL = {"temporal": "transformer", "head": "parallel"}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"head": "parallel"}, "model.head parallel must be scales with model.temporal pyramid"),
        ({"head": "streaming"}, "model.head streaming must be scales with model.temporal pyramid"),
        ({"temporal": "tcn"}, "model.temporal tcn must be pyramid with model.head scales"),
        ({"temporal": every(2, 0)}, "model.temporal.scales 0 must be at least 1"),
        (
            {"temporal": every(2, 2)},
            "model.scales {'au': 0, 'expr': 1, 'va': 2} must be from 0 to 1, with",
        ),
        ({"scales": {"au": 0, "expr": 1, "va": -1}}, "model.scales {'au': 0, 'expr': 1, 'va': -1}"),
        ({"scales": {"au": 0, "va": 1}}, "model.scales {'au': 0, 'va': 1} must be a scale each"),
        ({"scales": {"au": 0, "expr": 1, "va": 1, "ce": 1}}, "model.scales "),
        ({"fusion": "top-down"}, "model.fusion.levels [] must be at least two streams, fine to"),
        (
            {"fusion": {"name": "top-down", "levels": "audio"}},
            "model.fusion.levels ['audio'] must be at least two streams",
        ),
        (
            {"fusion": {"name": "top-down", "levels": "audio,audio"}},
            "model.fusion.levels ['audio', 'audio'] must be different streams",
        ),
    ],
)
def test_pyramids_that_make_no_sense_are_refused(change, complaint):
    with pytest.raises(UserError) as caught:
        AffectModel(replace(FPN, **change), STREAMS)
    assert str(caught.value).startswith(complaint)
    assert "\n" not in str(caught.value)


def test_what_learns_from_features_has_no_streaming_head():
    chosen = replace(FPN, temporal="gru", head="streaming", fusion="concat", levels=())
    complaint = "model.head streaming must be parallel or scales with tasks.compound"
    with pytest.raises(UserError, match=complaint):
        AffectModel(chosen, STREAMS, tasks=tasks_with(0, compound=True))
    AffectModel(chosen, STREAMS, tasks=tasks_with(20, compound=False))


def test_streams_without_the_levels_are_refused_with_the_remedy():
    with pytest.raises(UserError) as caught:
        AffectModel(FPN, {"pyramid.2": 6, "audio": 4})
    assert str(caught.value) == (
        "model.fusion.levels: no pyramid.1, pyramid.3 among the streams;"
        " extract with --encoders pyramid,... and name all levels under data.streams"
    )


def test_scales_matter_to_heads_at_scales_alone():
    none = replace(ModelSettings(), scales={"au": 9}, dim=16, stream_dim=8)
    AffectModel(none, STREAMS)
