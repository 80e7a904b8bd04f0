"""The finder against plain counting, on clocks of varying rates with holes."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.events.finder import Timing, find
from fusion.events.formulas.evaluating import moved
from fusion.tables.weighting import durations

NAN = np.nan


def spans(
    holds: list[float], times: list[float] | None = None, ends: list[float] | None = None, **timing
) -> list[tuple[int, int]]:
    clock = np.arange(len(holds)) * 0.1 if times is None else np.array(times)
    until = None if ends is None else np.array(ends, float)
    return find(np.array(holds, float), until, clock, durations(clock), Timing(**timing))


@pytest.mark.parametrize(
    ("holds", "timing", "expected"),
    [
        ([], {}, []),
        ([1], {}, [(0, 1)]),
        ([0, 1, 1, 0, 1], {}, [(1, 3), (4, 5)]),
        ([0, 1, 1, 0, 1], {"shortest": 0.2}, [(1, 3)]),
        ([1, 1, 1, 0, 0], {"shortest": 0.3}, [(0, 3)]),  # three tenths are not less than .3
        ([1, 0, 1], {"gap": 0.1}, [(0, 1), (2, 3)]),  # no less apart
        ([1, 0, 1], {"gap": 0.11}, [(0, 3)]),
        ([1, NAN, NAN, 1], {"bridge": 0.2}, [(0, 4)]),
        ([1, NAN, NAN, 1], {"bridge": 0.1}, [(0, 1), (3, 4)]),
        ([1, NAN, NAN, 0], {"bridge": 0.2}, [(0, 1)]),
        ([NAN, 1, NAN], {"bridge": 0.2}, [(1, 2)]),
        ([1, NAN, NAN, 1], {"bridge": 0.1, "gap": 1.0}, [(0, 1), (3, 4)]),
        ([1, 0, NAN, NAN, 1], {"bridge": 0.2, "gap": 1.0}, [(0, 5)]),
        ([NAN, NAN], {}, []),
    ],
)
def test_spans_by_hand(holds: list[float], timing: dict, expected: list) -> None:
    assert spans(holds, **timing) == expected


def test_an_event_that_has_begun_goes_on_until_it_ends() -> None:
    level = np.array([0.1, 0.6, 0.4, 0.35, 0.6, 0.2, 0.4, NAN, 0.6, NAN, 0.4])
    known = ~np.isnan(level)
    holds, ends = np.where(known, level > 0.5, NAN), np.where(known, level < 0.3, NAN)
    assert spans(holds.tolist(), ends=ends.tolist()) == [(1, 5), (8, 11)]
    assert spans(holds.tolist(), ends=ends.tolist(), bridge=0.05) == [(1, 5), (8, 9)]


def test_a_pause_of_the_clock_ends_an_event() -> None:
    times = [0, 0.1, 0.2, 5.0, 5.1, 5.2]
    assert spans([1] * 6, times) == [(0, 3), (3, 6)]
    assert spans([1] * 6, times, bridge=5) == [(0, 6)]
    assert spans([1, 0, 0, 0, 0, 0], times, ends=[0] * 6) == [(0, 3)], (
        "nobody knows whether it went on"
    )


def test_a_slow_clock_has_no_pauses() -> None:
    assert spans([1, 1, 0, 1], [0, 2, 4, 6], shortest=4) == [(0, 2)]


clocks = st.lists(st.sampled_from([0.02, 0.04, 0.1, 0.25, 3.0]), min_size=1, max_size=60)
states = st.sampled_from([1.0, 0.0, NAN])


@given(clocks, st.data())
def test_what_holds_of_every_event(steps: list[float], data: st.DataObject) -> None:
    times = np.cumsum(steps)
    holds = np.array(data.draw(st.lists(states, min_size=len(steps), max_size=len(steps))))
    timing = Timing(*data.draw(st.tuples(*[st.sampled_from([0, 0.05, 0.2, 0.5])] * 3)))
    lasting = durations(times)
    ends = times + lasting
    found = find(holds, None, times, lasting, timing)
    assert found == sorted(found)
    for first, stop in found:
        assert holds[first] == holds[stop - 1] == 1
        assert ends[stop - 1] - times[first] >= timing.shortest - 1e-6
        known = [i for i in range(first, stop) if not np.isnan(holds[i])]
        holes = [times[b] - ends[a] for a, b in pairwise(known)]
        assert max(holes, default=0) <= timing.bridge + 1e-6
    for (_, stop), (first, _) in pairwise(found):
        assert stop <= first
    if timing == Timing(0, 0, 0):
        inside = {i for first, stop in found for i in range(first, stop)}
        assert inside == set(np.flatnonzero(holds == 1))


rows_of = st.tuples(st.sampled_from([0.02, 0.1, 0.3]), st.floats(0, 1) | st.just(NAN))


@given(
    st.lists(rows_of, min_size=1, max_size=40),
    st.sampled_from([0.1, 0.35, 1.0]),
    st.floats(0.05, 0.9),
)
def test_what_has_risen_is_what_plain_search_says(rows: list, within: float, by: float) -> None:
    steps, values = np.array(rows).T
    times = np.cumsum(steps)
    expected = []
    for now, value in enumerate(values):
        before = [
            values[then]
            for then in range(now)
            if times[then] >= times[now] - within - 1e-9 and not np.isnan(values[then])
        ]
        unknown = np.isnan(value) or not before
        expected.append(NAN if unknown else float(value - min(before) >= by))
    np.testing.assert_array_equal(moved(values, times, within, by), expected)


@given(clocks)
def test_frames_last_until_the_next_one_except_before_a_pause(steps: list[float]) -> None:
    times = np.cumsum(steps)
    lasting = durations(times)
    assert (lasting > 0).all()
    assert len(lasting) == len(times)
    assert (times[:-1] + lasting[:-1] <= times[1:] + 1e-9).all()
    usual = np.median(np.diff(times)) if len(times) > 1 else 1 / 25
    close = np.diff(times) <= max(1.0, 3 * usual)
    np.testing.assert_allclose(lasting[:-1][close], np.diff(times)[close])
    np.testing.assert_allclose(lasting[:-1][~close], usual)
