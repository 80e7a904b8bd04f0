"""Statistics of valid training frames, and what becomes of the others."""

import numpy as np
import torch

from fusion.streams.normalization import Normaliser, fit


def test_the_deviation_keeps_its_digits_beside_a_large_mean_and_over_blocks():
    rng = np.random.default_rng(1)
    values = (1e4 + rng.normal(0, 0.1, (10000, 2))).astype(np.float32)
    normaliser = fit(
        [(values[:7000], np.ones(7000, bool)), (values[7000:], np.ones(3000, bool))], 2
    )
    np.testing.assert_allclose(normaliser.std, values.astype(np.float64).std(0), rtol=1e-6)


def test_constant_dimensions_and_unseen_streams_are_left_unscaled():
    values = np.column_stack([np.full(90, 0.1), np.zeros(90), np.arange(90)]).astype(np.float32)
    normaliser = fit([(values, np.ones(90, bool))], 3)
    assert normaliser.std[:2].tolist() == [1, 1]
    assert normaliser.std[2] > 20
    nothing = fit([(values, np.zeros(90, bool))], 3)
    assert nothing.mean.tolist() == [0, 0, 0]
    assert nothing.std.tolist() == [1, 1, 1]


def test_a_normaliser_survives_a_checkpoint_that_holds_weights_only(tmp_path):
    normaliser = Normaliser(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    torch.save({"face": normaliser.state()}, tmp_path / "x.ckpt")
    state = torch.load(tmp_path / "x.ckpt", weights_only=True)
    again = Normaliser.from_state(state["face"])
    rows, valid = torch.randn(5, 2), torch.tensor([True, True, False, True, False])
    assert torch.equal(again.apply(rows, valid), normaliser.apply(rows, valid))
