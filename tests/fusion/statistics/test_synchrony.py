"""Synchrony: against plain correlation, with a known lag, and by chance."""

import numpy as np
import pytest

from fusion.events.event_list import PersonEvents
from fusion.statistics.participants import Participant
from fusion.statistics.people import Person
from fusion.statistics.settings import SynchronySettings
from fusion.statistics.synchrony import peaks, pooled, synchronies, windows_of
from tests.fusion.measured import table

RNG = np.random.default_rng(11)
SETTINGS = SynchronySettings(window=4, step=2, lag=1, rate=10)


def smooth(frames: int) -> np.ndarray:
    noise = RNG.normal(size=frames + 20)
    moved = np.convolve(noise, np.ones(10) / 10, "same")[10:-10]
    return 0.5 + 0.15 * moved / moved.std()


def person(video: str, who: str, values: np.ndarray, times: np.ndarray | None = None) -> Person:
    clock = np.arange(len(values)) / 20 if times is None else times
    made = table(clock, {"AU12_p": np.clip(values, 0, 1)}, id=f"{video}_{who}", video=video)
    return Person(PersonEvents(made, (), {}, {}), Participant(f"{video}_{who}", {}))


def dyad(video: str, lag: float, share: float = 0.95) -> list[Person]:
    common = smooth(1300)
    late = common[: 1300 - round(lag * 20)]
    first = common[round(lag * 20) :]
    other = smooth(len(late))
    return [person(video, "a", first), person(video, "b", share * late + (1 - share) * other)]


def test_peaks_are_those_of_plain_correlation() -> None:
    first, second = RNG.normal(size=(6, 30)), RNG.normal(size=(6, 30 + 2 * 5))
    r, lags, at_once = peaks(first, second)
    for w in range(6):
        all_r = [np.corrcoef(first[w], second[w, k : k + 30])[0, 1] for k in range(11)]
        assert r[w] == pytest.approx(max(all_r))
        assert lags[w] == int(np.argmax(all_r)) - 5
        assert at_once[w] == pytest.approx(all_r[5])


def test_one_who_follows_the_other_has_that_lag_and_is_above_chance() -> None:
    everybody = [each for d in range(6) for each in dyad(f"v{d}", 0.5)]
    rows = synchronies(everybody, ["AU12_p"], SETTINGS, 0)
    assert [row["video"] for row in rows] == [f"v{d}" for d in range(6)]
    for row in rows:
        assert row["lag"] == pytest.approx(0.5)
        assert row["null"] == "pairs"
        assert row["surrogates"] == 12 * 10
        assert row["p"] < 0.02
        assert row["correlation"] > 0.8 > row["chance"] + 0.2


def test_people_who_do_not_meet_are_as_chance_has_it() -> None:
    everybody = [person(f"v{d}", who, smooth(1300)) for d in range(12) for who in "ab"]
    p = np.array([row["p"] for row in synchronies(everybody, ["AU12_p"], SETTINGS, 0)])
    assert 0.2 < p.mean() < 0.8
    assert (p < 0.05).sum() <= 3


def test_with_one_video_other_windows_stand_in_for_other_pairs() -> None:
    (row,) = synchronies(dyad("v", 0.5), ["AU12_p"], SETTINGS, 0)
    assert (row["null"], row["p"] < 0.1) == ("windows", True)
    assert row["surrogates"] == row["windows"] - 1


def test_who_is_one_participant_is_no_stranger() -> None:
    everybody = [each for d in range(6) for each in dyad(f"v{d}", 0)]
    one = [Person(each.found, Participant("me", {})) for each in everybody]
    assert {row["null"] for row in synchronies(one, ["AU12_p"], SETTINGS, 0)} == {"windows"}


def test_windows_of_which_little_is_known_do_not_count() -> None:
    values = smooth(400)
    values[100:200] = np.nan
    found = windows_of(person("v", "a", values).table, "AU12_p", SETTINGS)
    starts = 1 + 2 * np.arange(len(found.known))
    unknown = [np.clip(min(start + 4, 10) - max(start, 5), 0, None) / 4 > 0.2 for start in starts]
    np.testing.assert_array_equal(found.known, ~np.array(unknown))
    still = windows_of(person("v", "a", np.full(400, 0.5)).table, "AU12_p", SETTINGS)
    assert not still.known.any()


def test_a_rate_that_varies_changes_nothing() -> None:
    def signal(times: np.ndarray) -> np.ndarray:
        return 0.5 + 0.2 * np.sin(times * 1.7) + 0.2 * np.sin(times * 0.6)

    steady = np.arange(1200) / 20
    wild = np.cumsum(RNG.choice([0.02, 0.05, 0.08], 1200))
    a = windows_of(person("v", "a", signal(steady), steady).table, "AU12_p", SETTINGS)
    b = windows_of(person("v", "b", signal(wild), wild).table, "AU12_p", SETTINGS)
    many = min(len(a.inner), len(b.inner))
    np.testing.assert_allclose(a.inner[:many], b.inner[:many], atol=0.01)


def test_nothing_in_common_says_why() -> None:
    none = np.full(400, np.nan)
    (row,) = synchronies(
        [person("v", "a", none), person("v", "b", smooth(400))], ["AU12_p"], SETTINGS, 0
    )
    assert row["why_blank"] == "no window in which both are known and move"
    assert row["null"] == ""
    assert np.isnan(row["correlation"])


def test_mean_correlation_is_by_fishers_z() -> None:
    assert pooled(np.array([0.5, 0.5])) == pytest.approx(0.5)
    assert pooled(np.array([0.9, 0.1])) == pytest.approx(np.tanh(np.arctanh([0.9, 0.1]).mean()))
