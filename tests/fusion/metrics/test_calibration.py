import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.data.predictions import FramePredictions
from fusion.metrics.calibration import Calibration
from fusion.reporting.figures import draw_calibration
from fusion.tasks.au import UNITS
from fusion.tasks.labels import FrameLabels
from fusion.tasks.scoring.reliability import BINS, Reliability
from tests.fusion.classic import classic_labels, classic_predictions, empty_labels


def make(frames: int, seed: int) -> tuple[FrameLabels, FramePredictions]:
    rng = np.random.default_rng(seed)
    labels = classic_labels(
        va=rng.uniform(-1, 1, (frames, 2)).astype(np.float32),
        va_mask=rng.random(frames) < 0.7,
        expr=rng.integers(0, 8, frames),
        expr_mask=rng.random(frames) < 0.7,
        au=(rng.random((frames, 12)) < 0.4).astype(np.float32),
        au_mask=rng.random((frames, 12)) < 0.7,
    )
    predictions = classic_predictions(
        id="1",
        video="1",
        times=np.arange(frames) / 30,
        face=np.ones(frames, bool),
        va=rng.uniform(-1, 1, (frames, 2)).astype(np.float32),
        expr=rng.dirichlet(np.full(8, 0.5), frames).astype(np.float32),
        au=rng.choice([0.0, 0.2, 0.55, 1.0], (frames, 12)).astype(np.float32),
        thresholds=np.full(12, 0.5, np.float32),
    )
    return labels, predictions


def plain_ece(probability: np.ndarray, outcome: np.ndarray) -> float:
    """Expected calibration error, bin by bin."""
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    gaps = [
        (place == m).mean() * abs(outcome[place == m].mean() - probability[place == m].mean())
        for m in range(BINS)
        if (place == m).any()
    ]
    return sum(gaps)


@settings(max_examples=20, deadline=None)
@given(frames=st.integers(15, 80), seed=st.integers(0, 1000), cut=st.integers(0, 80))
def test_errors_are_those_of_the_formula_whole_or_in_pieces(
    frames: int, seed: int, cut: int
) -> None:
    labels, p = make(frames, seed)
    calibration = Calibration()
    for part in (slice(0, cut), slice(cut, None)):
        values = {name: rows[part] for name, rows in p.values.items()}
        piece = replace(p, times=p.times[part], face=p.face[part], values=values)
        calibration.add(labels.at(part), piece)
    expr, known = labels["expr"].values, labels["expr"].mask
    confidence = p.values["expr"].max(1).astype(np.float64)[known]
    wanted = plain_ece(confidence, (p.values["expr"].argmax(1) == expr)[known])
    assert calibration.errors()["EXPR"] == pytest.approx(wanted, abs=1e-12)
    au, said = (rows.astype(np.float64) for rows in (labels["au"].values, p.values["au"]))
    units = {
        unit: plain_ece(said[mask, i], au[mask, i])
        for i, (unit, mask) in enumerate(zip(UNITS, labels["au"].mask.T, strict=True))
        if mask.any()
    }
    errors = zip(UNITS, calibration.kept["au"].errors().tolist(), strict=True)
    found = {unit: e for unit, e in errors if not math.isnan(e)}
    assert found == pytest.approx(units, abs=1e-12)
    assert calibration.errors()["AU"] == pytest.approx(np.mean(list(units.values())), abs=1e-12)


def test_sure_and_right_is_perfect_and_sure_and_wrong_is_worst() -> None:
    for right, error in ((1.0, 0.0), (0.0, 1.0)):
        reliability = Reliability.empty(1)
        one = np.ones((10, 1))
        reliability.add(one, right * one, one.astype(bool))
        assert reliability.errors()[0] == error


def test_overconfidence_by_a_tenth_is_an_error_of_a_tenth() -> None:
    reliability = Reliability.empty(1)
    observed = (np.arange(100) < 60)[:, None]
    reliability.add(np.full((100, 1), 0.7), observed, np.ones((100, 1), bool))
    assert reliability.errors()[0] == pytest.approx(0.1)
    predicted, seen, frames = reliability.curves()
    assert frames.sum() == 100
    at = int(np.flatnonzero(frames[0])[0])
    assert (predicted[0, at], seen[0, at]) == pytest.approx((0.7, 0.6))


def test_both_ends_of_the_range_have_a_bin() -> None:
    reliability = Reliability.empty(1, -1.0, 1.0)
    values = np.array([[-1.0], [1.0]])
    reliability.add(values, values, np.ones((2, 1), bool))
    frames = reliability.counts[0, :, 0]
    assert (frames[0], frames[-1], frames.sum()) == (1, 1, 2)


def test_without_labels_there_is_no_error() -> None:
    calibration = Calibration()
    _, predictions = make(5, 0)
    calibration.add(FrameLabels(5), predictions)
    assert list(calibration.errors()) == ["EXPR", "AU"]
    assert all(map(math.isnan, calibration.errors().values()))
    assert np.isnan(calibration.kept["au"].errors()).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("tasks", [(), ("va",), ("expr",), ("au",), ("va", "au")])
def test_panels_without_labels_leave_room_for_the_others(tasks: tuple[str, ...]) -> None:
    calibration, labels = Calibration(), empty_labels(10)
    for task in tasks:
        labels[task].mask[:] = True
    _, said = make(10, 0)
    calibration.add(labels, said)
    assert draw_calibration(calibration).startswith(b"\x89PNG")
