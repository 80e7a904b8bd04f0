"""Measures in the timeline: lines or a heat map by their columns, gaps where nothing is told."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes

from fusion.reporting.film.drawing import shown
from fusion.reporting.page.lanes import lanes_of
from fusion.reporting.timeline import timeline
from fusion.reporting.timelines.measure_lanes import drawn_measures
from fusion.tasks.labels import FrameLabels
from fusion.tasks.registry import make_tasks
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


def test_what_only_a_voice_tells_is_a_gap_where_nobody_speaks() -> None:
    speech = np.zeros((50, 1))
    speech[:20] = 1
    tasks = make_tasks({"values": {"names": ["vocal_arousal"], "low": 0, "high": 1}})
    made = replace(person(speech=speech), tasks=tasks, values={"values": np.ones((50, 1), "f4")})
    (line,) = [
        one
        for one in labels(timeline(made))["vocal_arousal"].get_lines()
        if one.get_label() == "predicted"
    ]
    assert np.ma.getmaskarray(line.get_ydata()).sum() == 30
    (drawn,) = shown([made])
    assert drawn.lines[0] == "vocal_arousal +1.00"
    assert drawn.lines[30] == ""
    (lane,) = [one for one in lanes_of(made, FrameLabels(50)) if one.key == "values"]
    assert np.isnan(lane.series[0].values).sum() == 30
