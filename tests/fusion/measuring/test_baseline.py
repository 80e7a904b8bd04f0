from dataclasses import replace

import numpy as np
import pytest

from features.errors import UserError
from fusion.measuring.baseline import between, with_baseline
from tests.fusion.measuring.made import person

RNG = np.random.default_rng(0)
UNITS = RNG.random((50, 16))


def corrected(predictions, name: str) -> np.ndarray:
    measure = predictions.measures["baseline"]
    return measure.values[:, measure.names.index(name)]


def test_the_median_is_taken_off_and_the_raw_column_stays() -> None:
    made = person(units=UNITS)
    done = with_baseline(made, "auto")
    np.testing.assert_array_equal(done.measures["units"].values, made.measures["units"].values)
    expected = UNITS[:, 7] - np.median(UNITS[:, 7])
    np.testing.assert_allclose(corrected(done, "AU12_p_bc"), expected, atol=1e-6)
    assert "Happiness_bc" in done.measures["baseline"].names


def test_frames_that_cannot_be_trusted_do_not_count() -> None:
    validity = np.ones((50, 1))
    validity[:30] = 0.2
    done = with_baseline(person(units=UNITS, quality=validity), "auto")
    expected = UNITS[:, 0] - np.median(UNITS[30:, 0])
    np.testing.assert_allclose(corrected(done, "AU1_p_bc"), expected, atol=1e-6)
    unseen = replace(person(units=UNITS), face=np.arange(50) >= 40)
    expected = UNITS[:, 0] - np.median(UNITS[40:, 0])
    np.testing.assert_allclose(
        corrected(with_baseline(unseen, "auto"), "AU1_p_bc"), expected, atol=1e-6
    )


def test_seconds_may_be_named() -> None:
    made = person(units=UNITS)  # 25 frames a second
    done = with_baseline(made, "0.4-1.0")
    expected = UNITS[:, 3] - np.median(UNITS[10:26, 3])
    np.testing.assert_allclose(corrected(done, "AU5_p_bc"), expected, atol=1e-6)
    assert "between 0.4 and 1 s" in done.measures["baseline"].columns[-1].meaning


def test_a_frame_without_a_value_has_none_afterwards() -> None:
    units = UNITS.copy()
    units[5] = np.nan
    done = with_baseline(person(units=units), "auto")
    assert np.isnan(corrected(done, "AU12_p_bc")[5])
    assert not np.isnan(corrected(done, "AU12_p_bc")[6])


def test_without_enough_frames_or_by_wish_there_is_none() -> None:
    made = person(units=UNITS)
    assert with_baseline(made, "none") is made
    unseen = replace(made, face=np.zeros(50, bool))
    assert "baseline" not in with_baseline(unseen, "auto").measures


@pytest.mark.parametrize("word", ["always", "5-2", "-1-3", "3", "a-b"])
def test_other_words_are_refused(word: str) -> None:
    with pytest.raises(UserError, match="must be auto, none, or seconds"):
        between(word)


def test_seconds_in_which_nobody_is_seen_are_refused() -> None:
    with pytest.raises(UserError, match=r"talk: nothing to see between 7 and 9 s"):
        with_baseline(person(units=UNITS), "7-9")
