import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import UserError
from fusion.data.prediction_files import (
    Format,
    list_predictions,
    read_predictions,
    write_predictions,
)
from fusion.data.predictions import FramePredictions
from fusion.tasks.au import UNITS
from fusion.tasks.expr import EXPRESSIONS
from fusion.tasks.registry import make_tasks
from tests.fusion.classic import classic_predictions

FORMATS: tuple[Format, ...] = ("parquet", "csv")


def make_predictions(frames: int = 20, seed: int = 0, name: str = "12_left") -> FramePredictions:
    rng = np.random.default_rng(seed)
    expr = rng.dirichlet(np.full(len(EXPRESSIONS), 0.3), frames)
    return classic_predictions(
        id=name,
        video="12",
        times=np.cumsum(rng.uniform(0.02, 0.05, frames)),
        face=rng.random(frames) < 0.8,
        va=rng.uniform(-1, 1, (frames, 2)).astype(np.float32),
        expr=expr.astype(np.float32),
        au=rng.random((frames, len(UNITS)), dtype=np.float32),
        thresholds=rng.random(len(UNITS), dtype=np.float32),
        provenance={"checkpoint": "0123abcd", "stream prosody": "ffee"},
    )


def assert_same(a: FramePredictions, b: FramePredictions) -> None:
    assert (a.id, a.video, a.provenance) == (b.id, b.video, b.provenance)
    assert list(a.tasks.items()) == list(b.tasks.items())
    arrays = [{"times": p.times, "face": p.face, **p.values} for p in (a, b)]
    for ours, theirs in (arrays, (a.thresholds, b.thresholds)):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert value.dtype == theirs[name].dtype, name
            np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def with_arrays(p: FramePredictions, **arrays: np.ndarray) -> FramePredictions:
    """The predictions with other times, faces or values of a task."""
    values = {name: arrays.get(name, rows) for name, rows in p.values.items()}
    rest = {name: each for name, each in arrays.items() if name not in values}
    return replace(p, values=values, **rest)


@settings(max_examples=15, deadline=None)
@given(
    frames=st.integers(0, 40),
    seed=st.integers(0, 2**32 - 1),
    name=st.sampled_from(("12", "12_left", "24-30-1920x1080-1.5", "ünïcode, with comma")),
    format=st.sampled_from(FORMATS),
)
def test_what_is_written_is_read_back_bit_by_bit(
    tmp_path_factory: pytest.TempPathFactory, frames: int, seed: int, name: str, format: Format
) -> None:
    predictions = make_predictions(frames, seed, name)
    path = write_predictions(predictions, tmp_path_factory.mktemp("pred"), format)
    assert path.name == f"{name}.{format}"
    assert_same(predictions, read_predictions(path))


@pytest.mark.parametrize("format", FORMATS)
def test_columns_say_what_another_program_needs(tmp_path: Path, format: Format) -> None:
    predictions = make_predictions()
    path = write_predictions(predictions, tmp_path, format)
    table = pd.read_parquet(path) if format == "parquet" else pd.read_csv(path)
    assert list(table) == [
        *("frame", "time", "face", "valence", "arousal", *EXPRESSIONS, "expression"),
        *UNITS,
        *(f"{unit}_on" for unit in UNITS),
    ]
    assert table["frame"].tolist() == list(range(1, 21))
    assert table["face"].dtype == table["AU1_on"].dtype == bool
    np.testing.assert_allclose(table[list(UNITS)], predictions.values["au"], rtol=1e-6)
    most_probable = table[list(EXPRESSIONS)].idxmax(axis=1)
    assert table["expression"].tolist() == most_probable.tolist()
    np.testing.assert_array_equal(
        table["AU26_on"], table["AU26"] >= predictions.thresholds["au"][11]
    )


def test_parquet_carries_thresholds_and_provenance_in_its_metadata(tmp_path: Path) -> None:
    predictions = make_predictions()
    schema = pyarrow.parquet.read_schema(write_predictions(predictions, tmp_path))
    content = json.loads(schema.metadata[b"affuse"])
    assert content["id"] == "12_left"
    assert content["video"] == "12"
    assert content["provenance"] == predictions.provenance
    assert np.float32(content["thresholds"]["AU26"]) == predictions.thresholds["au"][11]


def test_a_unit_is_on_from_its_threshold_upwards() -> None:
    p = make_predictions()
    edge = np.broadcast_to(p.thresholds["au"], p.values["au"].shape)
    at = with_arrays(p, au=np.ascontiguousarray(edge))
    below = with_arrays(p, au=np.nextafter(edge, np.float32(-1)).clip(0))
    assert at.decided("au").all()
    assert not below.decided("au").any()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("va", np.full((20, 2), 1.01, np.float32)),
        ("va", np.zeros((19, 2), np.float32)),
        ("va", np.full((20, 2), np.nan, np.float32)),
        ("au", np.full((20, 12), -0.1, np.float32)),
        ("expr", np.full((20, 8), 0.2, np.float32)),
        ("times", np.zeros(20)),
        ("face", np.ones(20, np.float32)),
    ],
)
def test_scores_that_cannot_be_are_refused(name: str, value: np.ndarray) -> None:
    with pytest.raises(ValueError, match=f"{name}"):
        with_arrays(make_predictions(), **{name: value})


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, format: Format, keep: float) -> None:
    path = write_predictions(make_predictions(), tmp_path, format)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(UserError, match=rf"{path.name}.*fusion\.predict") as caught:
        read_predictions(path)
    assert "\n" not in str(caught.value)


def test_a_csv_cut_between_two_lines_is_refused(tmp_path: Path) -> None:
    path = write_predictions(make_predictions(), tmp_path, "csv")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match="frames 1 to 20"):
        read_predictions(path)


def test_a_flipped_byte_in_parquet_is_noticed(tmp_path: Path) -> None:
    path = write_predictions(make_predictions(200), tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UserError, match=path.name):
        read_predictions(path)


@pytest.mark.parametrize("format", FORMATS)
def test_somebody_elses_table_is_refused_by_name(tmp_path: Path, format: Format) -> None:
    path = tmp_path / f"prices.{format}"
    table = pd.DataFrame({"price": [1.0, 2.0]})
    if format == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path)
    with pytest.raises(UserError, match=r"prices\..*fusion\.predict"):
        read_predictions(path)


def test_an_absent_file_or_sidecar_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"12\.parquet: no such file"):
        read_predictions(tmp_path / "12.parquet")
    path = write_predictions(make_predictions(), tmp_path, "csv")
    path.with_name("12_left.csv.json").unlink()
    with pytest.raises(UserError, match=r"12_left\.csv\.json: no such file"):
        read_predictions(path)


def test_a_file_under_another_name_is_refused(tmp_path: Path) -> None:
    path = write_predictions(make_predictions(), tmp_path)
    with pytest.raises(UserError, match=r"13\.parquet.*those of '12_left'"):
        read_predictions(path.rename(tmp_path / "13.parquet"))


def test_listing_gives_ids_in_order_and_nothing_else(tmp_path: Path) -> None:
    for name in ("9", "12_left", "12", "clip.1"):
        write_predictions(make_predictions(3, name=name), tmp_path)
    write_predictions(make_predictions(3, name="a"), tmp_path, "csv")
    (tmp_path / ".12.parquet.x.partial").touch()
    (tmp_path / ".hidden.parquet").touch()
    (tmp_path / "report").mkdir()
    listed = list_predictions(tmp_path)
    assert list(listed) == ["12", "12_left", "9", "a", "clip.1"]
    assert all(read_predictions(path).id == name for name, path in listed.items())


def test_one_id_in_two_formats_is_refused(tmp_path: Path) -> None:
    for format in FORMATS:
        write_predictions(make_predictions(), tmp_path, format)
    with pytest.raises(UserError, match=r"12_left\.csv and 12_left\.parquet"):
        list_predictions(tmp_path)


def test_a_missing_folder_and_an_id_that_leaves_it_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        list_predictions(tmp_path / "absent")
    with pytest.raises(UserError, match=r"\.\./12"):
        write_predictions(make_predictions(name="../12"), tmp_path)


def with_compound(frames: int = 20) -> FramePredictions:
    rng = np.random.default_rng(5)
    six = rng.random((frames, 6), dtype=np.float32)
    return with_six(make_predictions(frames), six)


def with_six(p: FramePredictions, six: np.ndarray) -> FramePredictions:
    tasks = {**p.tasks, **make_tasks({"compound": None})}
    return replace(p, tasks=tasks, values={**p.values, "compound": six})


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("frames", [0, 20])
def test_sigmoids_of_basic_expressions_are_six_more_columns(
    tmp_path: Path, format: Format, frames: int
) -> None:
    predictions = with_compound(frames)
    path = write_predictions(predictions, tmp_path, format)
    assert_same(predictions, read_predictions(path))
    table = pd.read_parquet(path) if format == "parquet" else pd.read_csv(path)
    assert list(table)[-7:] == ["AU26_on", *(f"compound_{name}" for name in EXPRESSIONS[1:7])]


@pytest.mark.parametrize("format", FORMATS)
def test_predictions_without_sigmoids_are_read_as_without(tmp_path: Path, format: Format) -> None:
    path = write_predictions(make_predictions(), tmp_path, format)
    assert "compound" not in read_predictions(path).tasks


def test_a_file_that_lacks_one_of_the_six_is_refused(tmp_path: Path) -> None:
    path = write_predictions(with_compound(), tmp_path)
    table = pyarrow.parquet.read_table(path).drop_columns(["compound_Anger"])
    pyarrow.parquet.write_table(table, path)
    with pytest.raises(UserError, match=r"12_left\.parquet.*compound_Anger"):
        read_predictions(path)


@pytest.mark.parametrize(
    "value", [np.zeros((20, 5), np.float32), np.zeros((20, 6)), np.full((20, 6), 1.1, np.float32)]
)
def test_sigmoids_that_cannot_be_are_refused(value: np.ndarray) -> None:
    with pytest.raises(ValueError, match="compound must be"):
        with_six(make_predictions(), value)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("made", [make_predictions, with_compound])
def test_files_from_before_tasks_had_names_are_read(tmp_path, format, made) -> None:
    predictions = made(20)
    path = write_predictions(predictions, tmp_path, format)
    if format == "csv":
        sidecar = path.with_name(path.name + ".json")
        said = json.loads(sidecar.read_text())
        del said["tasks"]
        sidecar.write_text(json.dumps(said))
    else:
        table = pyarrow.parquet.read_table(path)
        said = json.loads(table.schema.metadata[b"affuse"])
        del said["tasks"]
        older = table.replace_schema_metadata({b"affuse": json.dumps(said).encode()})
        pyarrow.parquet.write_table(older, path)
    assert_same(predictions, read_predictions(path))


def test_predictions_of_any_tasks_are_read_back(tmp_path: Path) -> None:
    tasks = make_tasks(
        {
            "emotions": {"classes": ["calm", "happy"]},
            "values": {"names": ["pain"], "low": 0, "high": 15},
        }
    )
    values = {
        "emotions": np.array([[0.25, 0.75], [1, 0]], np.float32),
        "values": np.array([[15], [0.5]], np.float32),
    }
    face = np.ones(2, bool)
    made = FramePredictions("a", "a", np.array([0.0, 0.04]), face, tasks, values)
    path = write_predictions(made, tmp_path)
    assert_same(made, read_predictions(path))
    table = pd.read_parquet(path)
    assert table["emotion"].tolist() == ["happy", "calm"]
    assert list(table)[3:] == ["emotion_calm", "emotion_happy", "emotion", "pain"]
