"""Tracks on disk: whole or absent, and damaged ones are noticed."""

import errno
import json
import os
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open
from safetensors.numpy import save

from features.errors import UserError
from features.store.feature_track import (
    DamagedTrack,
    FeatureTrack,
    TrackInfo,
    read_checksum,
    read_info,
    read_track,
    write_track,
)
from features.store.track_store import Status, TrackStore

INFO = TrackInfo("12", "main", "expression", "expression", "rev", "set", "src", frames=5)


def make_track(frames: int = 5, dim: int = 3, info: TrackInfo = INFO) -> FeatureTrack:
    values = np.arange(frames * dim, dtype=np.float32).reshape(frames, dim)
    return FeatureTrack(values, np.arange(frames) / 30, np.ones(frames, bool), info)


@settings(max_examples=30, deadline=None)
@given(
    values=hnp.arrays(
        st.sampled_from([np.float16, np.float32]),
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=7),
        elements=st.floats(-100, 100, width=16),
    ),
    notes=st.text(max_size=20),
)
def test_a_track_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray, notes: str
) -> None:
    path = tmp_path_factory.mktemp("track") / "a.safetensors"
    info = TrackInfo("v", "left", "s", "e", "r", "h", "x", notes=notes)
    track = FeatureTrack(values, np.arange(len(values)) * 0.1, np.ones(len(values), bool), info)
    write_track(track, path)
    back = read_track(path)
    assert back.info == info
    assert back.values.dtype == values.dtype
    np.testing.assert_array_equal(back.values, values)
    np.testing.assert_array_equal(back.times, track.times)


@pytest.mark.parametrize(
    ("values", "times", "valid"),
    [
        (np.zeros((2, 3)), np.arange(2.0), np.ones(2, bool)),  # float64
        (np.zeros(2, np.float32), np.arange(2.0), np.ones(2, bool)),  # one axis
        (np.zeros((2, 3), np.float32), np.arange(3.0), np.ones(2, bool)),  # lengths differ
        (np.zeros((2, 3), np.float32), np.array([1.0, 1.0]), np.ones(2, bool)),  # time stands still
        (np.full((2, 3), np.nan, np.float32), np.arange(2.0), np.ones(2, bool)),  # valid but NaN
    ],
)
def test_a_track_that_breaks_the_contract_is_refused(
    values: np.ndarray, times: np.ndarray, valid: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="must be"):
        FeatureTrack(values, times, valid, INFO)


@pytest.mark.parametrize("keep", [0, 4, 60, -1])
def test_a_cut_file_is_damaged_at_every_length(tmp_path: Path, keep: int) -> None:
    store = TrackStore(tmp_path)
    path = store.write(make_track())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DamagedTrack, match=path.name):
        store.read("expression", "12")
    assert store.status("expression", "12", INFO.key) is Status.DAMAGED


@pytest.mark.parametrize("spans", [False, True])
@pytest.mark.parametrize("frames", [0, 2])
def test_no_flipped_bit_of_a_file_is_read_over(tmp_path: Path, frames: int, spans: bool) -> None:
    path = tmp_path / "a.safetensors"
    track = make_track(
        frames, info=replace(INFO, video="é", notes="naïve", columns=("x", "y", "z"))
    )
    write_track(replace(track, spans=np.ones((frames, 2))) if spans else track, path)
    whole = path.read_bytes()
    for place, bit in product(range(len(whole)), (0, 5)):  # 5: a letter's case
        changed = bytearray(whole)
        changed[place] ^= 1 << bit
        path.write_bytes(changed)
        with pytest.raises(DamagedTrack):
            read_track(path)


def test_values_of_another_track_under_a_header_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_track(make_track(), path)
    cut = path.read_bytes()
    other = make_track()
    other.values[2, 1] = 99
    write_track(other, path)
    start = 8 + int.from_bytes(cut[:8], "little")
    path.write_bytes(cut[:start] + path.read_bytes()[start:])
    with pytest.raises(DamagedTrack, match=r"a\.safetensors: .*wrong checksum"):
        read_track(path)


def test_a_track_without_a_checksum_stays_readable(tmp_path: Path) -> None:
    path, track = tmp_path / "a.safetensors", make_track()
    tensors = {"values": track.values, "times": track.times, "valid": track.valid}
    path.write_bytes(save(tensors, metadata={"track": json.dumps(asdict(track.info))}))
    assert read_checksum(path) is None
    assert read_track(path).info == read_info(path) == track.info
    write_track(track, path)
    assert read_checksum(path) is not None


def test_names_of_columns_and_spans_come_back(tmp_path: Path) -> None:
    spans = np.array([[0, 0.5], [0.5, 2]])
    info = replace(INFO, columns=("a", "b", "c"))
    track = replace(make_track(2, info=info), spans=spans)
    path = TrackStore(tmp_path).write(track)
    back = read_track(path)
    assert back.columns == ["a", "b", "c"]
    np.testing.assert_array_equal(back.spans, spans)
    table = back.to_pandas()
    assert table.loc[(0.0, 0.0, 0.5), "b"] == 1
    with safe_open(path, framework="numpy") as file:
        named = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        assert path.read_bytes() == save(named, metadata=file.metadata())


def test_a_track_that_names_no_columns_has_numbered_ones_and_nan_where_it_is_not_valid(
    tmp_path: Path,
) -> None:
    track = make_track(3)
    fields = asdict(track.info)
    del fields["columns"]
    tensors = {"values": track.values, "times": track.times}
    tensors["valid"] = np.array([True, False, True])
    path = tmp_path / "old.safetensors"
    path.write_bytes(save(tensors, metadata={"track": json.dumps(fields)}))
    table = read_track(path).to_pandas()
    assert list(table.columns) == ["expression.0", "expression.1", "expression.2"]
    assert table.isna().all(axis=1).tolist() == [False, True, False]
    assert table.index.tolist() == track.times.tolist()


@pytest.mark.parametrize(
    "wrong",
    [{"spans": np.zeros((3, 2))}, {"info": replace(INFO, columns=("a",))}],
    ids=["spans", "columns"],
)
def test_spans_and_names_that_do_not_fit_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"spans must be|1 names for 3"):
        replace(make_track(2), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("header", ["3", "[1]", "{}", "null", '"text"', "{", '{"video": "a"}'])
def test_a_header_that_is_no_track_info_is_damage(tmp_path: Path, header: str) -> None:
    path, track = tmp_path / "a.safetensors", make_track()
    tensors = {"values": track.values, "times": track.times, "valid": track.valid}
    path.write_bytes(save(tensors, metadata={"track": header}))
    with pytest.raises(DamagedTrack):
        read_track(path)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("frames", [0, 1, 7])
def test_a_file_is_what_the_library_writes(tmp_path: Path, frames: int, dtype: type) -> None:
    track = replace(make_track(frames), values=np.ones((frames, 3), dtype))
    path = tmp_path / "ü.safetensors"
    write_track(replace(track, info=replace(INFO, video='ü "quoted" \\')), path)
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    arrays = {name: getattr(track, name) for name in ("values", "times", "valid")}
    assert path.read_bytes() == save(arrays, metadata=metadata)


def test_equal_tracks_make_equal_files(tmp_path: Path) -> None:
    track = make_track(info=replace(INFO, versions={"b": "1", "a": "2"}))
    for name in range(16):  # safetensors puts several entries of a header in an order of chance
        write_track(track, tmp_path / str(name))
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


def test_a_track_that_is_not_contiguous_is_written_as_its_copy_is(tmp_path: Path) -> None:
    track = make_track(4, 6)
    view = replace(track, values=np.asfortranarray(track.values))
    write_track(view, tmp_path / "view")
    write_track(track, tmp_path / "copy")
    assert (tmp_path / "view").read_bytes() == (tmp_path / "copy").read_bytes()


def test_a_full_disk_leaves_the_old_track_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TrackStore(tmp_path)
    path = store.write(make_track(5))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.write(make_track(9))
    assert len(store.read("expression", "12")) == 5
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_track_can_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    path = TrackStore(tmp_path).write(make_track())
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_store_tells_ready_stale_and_missing(tmp_path: Path) -> None:
    store = TrackStore(tmp_path)
    store.write(make_track())
    assert store.status("expression", "12", INFO.key) is Status.READY
    assert store.status("expression", "12", ("src", "rev", "other")) is Status.STALE
    assert store.status("expression", "13", INFO.key) is Status.MISSING


def test_people_are_named_as_abaw_names_them(tmp_path: Path) -> None:
    store = TrackStore(tmp_path)
    for person in ("main", "left", "right"):
        store.write(make_track(info=TrackInfo("12", person, "expression", "e", "r", "h", "x")))
    assert store.ids("expression") == ["12", "12_left", "12_right"]
    assert store.streams() == ["expression"]


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "a\\b", ".hidden"])
def test_no_id_leaves_the_store(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot name a track"):
        TrackStore(tmp_path).path("expression", name)
