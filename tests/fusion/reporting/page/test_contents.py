"""What goes into a page: packed numbers, coarser levels, lanes, which streams carried it."""

import base64
import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from experiments.benchmarks.page_people import made_person, without_face
from fusion.data.predictions import FramePredictions
from fusion.data.review import Event, Review
from fusion.events.rules import read_rules
from fusion.reporting.page.carried import carried_by
from fusion.reporting.page.contents import Subject, contents_of
from fusion.reporting.page.document import PAGE, document, in_script
from fusion.reporting.page.events import ROWS, find_events
from fusion.reporting.page.index import index_data, row_of
from fusion.reporting.page.lanes import lanes_of
from fusion.reporting.page.packing import MISSING, STEPS, Scale, packed, steps_for
from fusion.reporting.page.pyramid import means, modes, ranges
from fusion.reporting.timeline import Envelope
from fusion.tasks.labels import FrameLabels
from tests.fusion.reporting.page.made import ALL, FPS, FRAMES, made_labels, made_people


def unpacked(text: str, columns: int, rows: int, size: int) -> np.ndarray:
    """As assets/decode.js does it."""
    planes = np.frombuffer(gzip.decompress(base64.b64decode(text)), np.uint8)
    planes = planes.reshape(size, columns, rows).astype(np.int64)
    folded = sum(plane << (8 * i) for i, plane in enumerate(planes))
    steps = (folded >> 1) ^ -(folded & 1)
    return steps.cumsum(axis=1).astype(np.int16 if size == 2 else np.int32)


@pytest.mark.parametrize("kind", [np.int16, np.int32])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_numbers_come_out_as_they_went_in(kind: type, data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(0, 20)))
    codes = data.draw(arrays.arrays(kind, shape))
    again = unpacked(packed(codes), *codes.shape, codes.dtype.itemsize)
    np.testing.assert_array_equal(again, codes)


def test_values_keep_their_steps_and_missing_ones_stay_missing() -> None:
    values = np.array([-1.0, 0.12345, np.nan, 1.0])
    scale = Scale.over(-1.0, 1.0, 10_000)
    codes = scale.codes(values)
    assert codes[2] == MISSING
    np.testing.assert_allclose(
        scale.start + codes[[0, 1, 3]] * scale.step, values[[0, 1, 3]], atol=1e-4
    )


def test_a_page_has_finer_steps_the_less_it_holds() -> None:
    noise = np.random.default_rng(0).normal(size=30_000)
    few = steps_for([(noise[:500], -5.0, 5.0)], 20.0)
    many = steps_for([(noise, -5.0, 5.0)] * 200, 1000.0)
    assert (few, many) == (STEPS[0], STEPS[-1])
    assert steps_for([], 0.0) == STEPS[0]


@settings(max_examples=40, deadline=None)
@given(
    codes=arrays.arrays(np.int16, st.integers(1, 50), elements=st.integers(0, 4)),
    gone=st.integers(0, 3),
)
def test_groups_tell_of_their_own_frames_alone(codes: np.ndarray, gone: int) -> None:
    codes = np.where(codes == gone, MISSING, codes).astype(np.int16)
    (low, high), (mean,), (mode,) = (way(codes, 8) for way in (ranges, means, modes))
    for i in range(-(-len(codes) // 8)):
        known = codes[8 * i : 8 * i + 8]
        known = known[known != MISSING]
        if not len(known):
            assert {low[i], high[i], mean[i], mode[i]} == {MISSING}
            continue
        assert (low[i], high[i]) == (known.min(), known.max())
        assert abs(mean[i] - known.mean()) <= 0.5
        counts = np.bincount(known)
        assert counts[mode[i]] == counts.max()


def test_every_task_and_measure_has_its_lane_by_its_kind() -> None:
    said = made_person("a", "a", FRAMES, FPS, tasks=ALL)
    lanes = {lane.key: lane for lane in lanes_of(said, FrameLabels(FRAMES))}
    assert {key: lane.kind for key, lane in lanes.items()} == {
        "va": "lines",
        "expr": "classes",
        "au": "heat",
        "units": "heat",
        "pose.yaw": "lines",
        "quality.validity": "lines",
        "voice.vocal_arousal": "lines",
    }
    roles = [(one.column.name, one.role, one.of) for one in lanes["va"].series]
    assert ("valence_sd", "spread", 0) in roles
    assert ("arousal_bc", "corrected", 1) in roles
    derived = made_person("a", "a", FRAMES, FPS, tasks=("expr",))
    lane = next(one for one in lanes_of(derived, FrameLabels(FRAMES)) if one.key == "va.valence")
    assert {one.column.origin for one in lane.series if one.role == "value"} == {"derived"}


def test_truth_is_a_gap_where_there_is_none() -> None:
    said = made_people(count=1)[0]
    lanes = {lane.key: lane for lane in lanes_of(said, made_labels())}
    for key, count in {"va.valence": 1, "va.arousal": 1, "expr": 1, "au": 12}.items():
        truth = [one for one in lanes[key].series if one.role == "truth"]
        assert len(truth) == count
        assert np.isfinite(truth[0].values[:50]).all()
        assert np.isnan(truth[0].values[50:]).all()


@pytest.mark.parametrize(
    ("streams", "seen", "sound", "says"),
    [
        ("fs", True, "loud", "Carried by both: a face was seen in"),
        ("fs", False, "loud", "Carried by the sound alone: no face was seen."),
        ("s", True, "loud", "Carried by the sound alone: the model reads no faces."),
        ("fs", True, None, "frames; the clip has no sound."),
        ("fs", True, "silent", "frames; the sound is silent."),
        ("f", True, "loud", "frames; the model does not listen."),
        ("fs", False, None, "Carried by nothing"),
        ("", True, "loud", "The files do not say"),
    ],
)
def test_it_is_said_which_streams_carried_the_result(
    streams: str, seen: bool, sound: str | None, says: str
) -> None:
    known = {"f": ("stream x", "face 1"), "s": ("stream y", "wav2vec2 2")}
    said = replace(made_people(count=1)[0], provenance=dict(known[s] for s in streams))
    level = np.full(10, -20.0 if sound == "loud" else -100.0, np.float32)
    envelope = Envelope(np.arange(10) / 50, level) if sound else None
    assert says in carried_by([said if seen else without_face(said)], envelope, True)


def test_json_in_a_page_cannot_end_its_script() -> None:
    said = {"</script><!--": "</script>&'\"\u2028"}
    text = in_script(said)
    assert "<" not in text
    assert json.loads(text) == said


def page_of(*people: FramePredictions, **more: object) -> dict:
    return contents_of(Subject("talk", people, **more))[0]  # type: ignore[arg-type]


def test_a_page_tells_no_folder_and_keeps_an_earlier_review() -> None:
    review = Review("talk", {"talk": "Anna"}, events=(Event(None, "bell", 1.0, 1.0),))
    said = made_people(count=1)[0]
    said = replace(said, provenance={"source file": "/home/me/talk.mp4", "checkpoint": "1"})
    page = page_of(said, review=review)
    assert page["provenance"] == {"checkpoint": "1"}
    assert page["review"] == review.description()
    assert page_of(said)["review"] is None


def test_events_of_rules_are_rows_of_a_page_the_most_frequent_first(tmp_path: Path) -> None:
    said = made_people(count=1)[0]
    smiles = np.zeros(FRAMES, np.float32)
    smiles[[*range(10, 20), *range(40, 45)]] = 0.8
    smiles[42] = 0.9
    units = replace(said.measures["units"], values=said.measures["units"].values.copy())
    units.values[:, units.names.index("AU12_p")] = smiles
    said = replace(said, measures=said.measures | {"units": units}, face=np.ones(FRAMES, bool))
    said.measures["quality"].values[:] = 1.0
    rules = tmp_path / "own.yaml"
    more = "".join(f"  often{i}: AU12_p > .5\n" for i in range(ROWS))
    rules.write_text(
        f"events:\n  long: AU12_p > .5 for .3 s\n{more}  absent: nosuch > .5\n  other: AU12_p > .95"
    )
    found = find_events(said, read_rules(str(rules)))
    page = page_of(said, events={said.id: found.description})
    lane = page["people"][0]["events"]
    assert [kind["name"] for kind in lane["kinds"]] == [f"often{i}" for i in range(ROWS)]
    assert lane["more"] == ["long"]
    assert lane["kinds"][0] == {
        "name": "often0",
        "rule": "AU12_p > .5",
        "rate": 40.0,
        "events": [[0.4, 0.4, 0.8], [1.6, 0.2, 0.9]],
    }
    assert list(found.missing) == ["absent"]
    assert "no column 'nosuch'" in found.missing["absent"]


def test_without_rules_or_their_columns_there_is_no_lane_of_events() -> None:
    said = made_people(count=1, tasks=("expr",))[0]
    bare = replace(said, measures={})
    assert find_events(said, None).description is None
    assert find_events(bare, read_rules(None)).description is None
    assert len(find_events(bare, read_rules(None)).missing) == len(read_rules(None).rules)
    assert page_of(said)["people"][0]["events"] is None


def test_a_page_is_the_same_from_the_same_and_asks_for_no_network() -> None:
    said = made_people()
    made = [contents_of(Subject("talk", said)) for _ in range(2)]
    first, second = (b"".join(document("talk", data, PAGE, blocks.texts)) for data, blocks in made)
    assert first == second
    code = re.sub(r"uPlot.js \(v[^)]*\)[^\n]*|https?://www\.w3\.org/\S*", "", first.decode())
    assert re.findall(r"https?://(?!github.com/leeoniya)\S+", code) == []
    assert "connect-src" not in code
    assert "default-src 'none'" in code


def test_a_row_of_the_index_has_coverage_quality_scores_and_curves() -> None:
    said = made_people(count=1)[0]
    row = row_of("talk.html", said, made_labels())
    assert row.seen == pytest.approx(said.face.mean())
    assert row.quality == pytest.approx(said.measures["quality"].values.mean())
    assert set(row.scores) == {"CCC_V", "CCC_A", "EXPR F1", "AU F1"}
    assert [spark["title"] for spark in row.sparks][:2] == ["Valence and arousal", "Expressions"]
    data = index_data([row, row_of("talk.html", said.first(0), None)])
    assert json.loads(in_script(data)) == json.loads(json.dumps(data))
    assert data["rows"][1]["scores"] == {}


def test_scripts_are_short_enough_to_read() -> None:
    assets = Path(__file__).parents[4] / "fusion/reporting/page/assets"
    scripts = sorted(assets.glob("*.js"))
    assert len(scripts) > 10
    assert [p.name for p in scripts if len(p.read_text().splitlines()) >= 250] == []
