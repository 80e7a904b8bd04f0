"""Measures in the timeline: lines or a heat map by their columns, gaps where nothing is told."""

import numpy as np
import pytest
from matplotlib.axes import Axes

from fusion.reporting.timeline import timeline
from fusion.reporting.timelines.measure_lanes import drawn_measures
from tests.fusion.measuring.made import box, person


def labels(figure: object) -> dict[str, Axes]:
    return {axes.get_ylabel(): axes for axes in figure.axes if axes.get_ylabel()}  # type: ignore[attr-defined]


def test_many_shares_are_a_heat_map_and_others_lines_with_gaps() -> None:
    pose = np.tile([5.0, -3.0, 1.0], (50, 1))
    pose[20:30] = np.nan
    made = person(units=np.random.default_rng(0).random((50, 16)), pose=pose, box=box(50, 60))
    assert [m.heading for m in drawn_measures(made)] == ["Action units", "Head pose"]
    lanes = labels(timeline(made))
    heat = [tick.get_text() for tick in lanes["action units"].get_yticklabels()]
    assert heat[:3] == ["AU1", "AU2", "AU4"]
    (yaw, *_) = lanes["head pose"].get_lines()
    assert np.ma.getmaskarray(yaw.get_ydata()).sum() == 10
    low, high = lanes["head pose"].get_ylim()
    assert (low, high) == pytest.approx((-3, 5), abs=0.3)


def test_without_measures_the_picture_is_the_one_of_before() -> None:
    assert "action units" not in labels(timeline(person()))
