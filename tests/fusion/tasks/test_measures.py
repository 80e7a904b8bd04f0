from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fusion.data.prediction_files import Format, metadata_of, read_predictions, save_predictions
from fusion.data.predictions import FramePredictions
from fusion.tasks.measuring.measures import Column, Measure
from fusion.tasks.registry import make_tasks

POSE = (
    Column("yaw", "Turn of the head, the person's left positive.", "degrees"),
    Column("pitch", "Nod of the head, up positive.", "degrees"),
)


def predictions(frames: int, **measures: Measure) -> FramePredictions:
    return FramePredictions(
        "talk",
        "talk",
        np.arange(frames) / 25,
        np.ones(frames, bool),
        make_tasks({"va": None}),
        {"va": np.zeros((frames, 2), np.float32)},
        measures=measures,
    )


@pytest.mark.parametrize("format", ["parquet", "csv"])
@settings(max_examples=25, deadline=None)
@given(
    values=arrays.arrays(
        np.float32,
        st.tuples(st.integers(0, 5), st.just(2)),
        elements=st.floats(-180, 180, width=32) | st.just(float("nan")),
    )
)
def test_files_keep_measures(
    format: Format, values: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("measures") / f"talk.{format}"
    save_predictions(predictions(len(values), pose=Measure("Head pose", POSE, values)), path)
    read = read_predictions(path).measures
    assert list(read) == ["pose"]
    assert read["pose"].columns == POSE
    assert read["pose"].heading == "Head pose"
    np.testing.assert_array_equal(read["pose"].values, values)


def test_first_frames_are_cut_from_measures_too() -> None:
    values = np.arange(10, dtype=np.float32).reshape(5, 2)
    made = predictions(5, pose=Measure("Head pose", POSE, values))
    np.testing.assert_array_equal(made.first(3).measures["pose"].values, values[:3])


def test_a_measure_must_fit_the_frames_and_its_range() -> None:
    with pytest.raises(ValueError, match="pose: 4 rows, but 5 frames"):
        predictions(5, pose=Measure("Head pose", POSE, np.zeros((4, 2), np.float32)))
    share = (Column("speech", "Whether somebody speaks.", low=0, high=1),)
    with pytest.raises(ValueError, match=r"speech must be in \[0, 1\]"):
        Measure("Speech", share, np.array([[1.5]], np.float32))
    with pytest.raises(ValueError, match="float32"):
        Measure("Speech", share, np.array([[0.5]]))
    with pytest.raises(ValueError, match="origin 'guessed'"):
        Measure("Speech", (replace(share[0], origin="guessed"),), np.ones((1, 1), np.float32))  # type: ignore[arg-type]


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    valence = Measure("Derived", (Column("valence", "Again."),), np.zeros((5, 1), np.float32))
    with pytest.raises(ValueError, match="two columns are called valence"):
        save_predictions(predictions(5, derived=valence), tmp_path / "talk.csv")


def test_a_column_of_a_later_version_is_read_without_what_is_not_known() -> None:
    told = metadata_of(predictions(0, pose=Measure("Pose", POSE, np.zeros((0, 2), np.float32))))
    one = told["measures"]["pose"]
    one["columns"][0]["colour"] = "red"
    assert Measure.of(one, np.zeros((0, 2), np.float32)).columns == POSE
