import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.tasks.learning.bins import bin_of, bin_values, centres, expectation

CERTAIN = 1e4
"""A logit beside which those of 0 have no share."""


def decoded(values, bins):
    """What is said of values by who is certain of their bins."""
    return expectation(CERTAIN * torch.nn.functional.one_hot(bin_of(values, bins), bins).float())


def test_centres_by_hand():
    assert centres(4).tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert centres(1).tolist() == [0.0]


def test_bins_by_hand():
    values = torch.tensor([-1.0, -0.51, -0.5, -0.01, 0.0, 0.49, 0.5, 0.99, 1.0])
    assert bin_of(values, 4).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 3]


def test_values_beyond_the_range_lie_in_the_end_bins():
    assert bin_of(torch.tensor([-1.2, 1.2]), 20).tolist() == [0, 19]


@settings(max_examples=30, deadline=None)
@given(bins=st.integers(1, 60), value=st.floats(-1, 1, width=32))
def test_no_value_is_further_than_half_a_bin_from_its_centre(bins, value):
    near = centres(bins)[bin_of(torch.tensor(value), bins)]
    assert abs(float(near) - value) <= 1 / bins + 1e-6


@settings(max_examples=30, deadline=None)
@given(bins=st.integers(1, 60))
def test_a_centre_lies_in_its_own_bin(bins):
    assert bin_of(centres(bins), bins).tolist() == list(range(bins))


@pytest.mark.parametrize("bins", [2, 5, 20])
@pytest.mark.parametrize("end", [-1, 1])
def test_expectation_is_unbiased_at_the_ends(bins, end):
    width, drawn = 2 / bins, torch.Generator().manual_seed(0)
    values = end * (1 - width * torch.rand(20_000, generator=drawn))
    error = float((decoded(values, bins) - values).mean())
    assert abs(error) < 0.02 * width, "centres that start at -1 and end at 1 would say .5 widths"


def test_expectation_by_hand():
    logits = torch.log(torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 1.0, 4.0]]))
    expected = [0.0, (-0.75 - 2 * 0.25 + 0.25 + 4 * 0.75) / 8]
    assert expectation(logits).tolist() == pytest.approx(expected, abs=1e-7)


def test_expectation_never_leaves_the_outermost_centres():
    logits = 50 * torch.randn(100, 20, generator=torch.Generator().manual_seed(0))
    assert expectation(logits).abs().max() <= 0.95 + 1e-6


def test_expectation_is_exact_under_mixed_precision():
    logits = torch.randn(200, 20, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = expectation(logits)
    torch.testing.assert_close(low, expectation(logits.float()), rtol=0, atol=1e-6)


def test_the_ends_of_the_released_code_can_say_one_but_are_biased():
    assert bin_values("ends", 5).tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    sure = 1e4 * torch.nn.functional.one_hot(torch.tensor([0, 19]), 20).float()
    assert expectation(sure, "ends").tolist() == [-1.0, 1.0]
    assert expectation(sure).tolist() == pytest.approx([-0.95, 0.95])
