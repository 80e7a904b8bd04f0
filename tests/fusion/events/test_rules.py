"""Rules as files say them, and what they find in a table."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from features.errors import UserError
from fusion.events.binding import MissingColumn
from fusion.events.event_list import events_of
from fusion.events.rules import RuleSet, read_rules
from fusion.tables.frame_table import FrameTable, table_of
from tests.fusion.classic import classic_predictions
from tests.fusion.measured import table

TIMES = np.arange(50) / 25
HAPPY = 4


def rules(tmp_path: Path, events: object = None, measures: object = None) -> RuleSet:
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"events": events, "measures": measures}))
    return read_rules(str(path))


def found(given: FrameTable, tmp_path: Path, rule: object, measures: object = None) -> list[tuple]:
    said = events_of(given, rules(tmp_path, {"it": rule}, measures))
    if "it" in said.missing:
        raise MissingColumn(said.missing["it"])
    return [(round(e.onset, 3), round(e.offset, 3)) for e in said.events]


def bump(first: int, stop: int, high: float = 0.8, low: float = 0.1) -> np.ndarray:
    at = np.arange(len(TIMES))
    return np.where((at >= first) & (at < stop), high, low)


def test_an_event_has_its_peak_mean_and_validity(tmp_path: Path) -> None:
    smile = bump(10, 30)
    smile[20] = 0.95
    validity = np.where(np.arange(50) < 20, 1.0, 0.6)
    given = table(TIMES, {"AU12_p": smile}, validity=validity)
    (event,) = events_of(given, rules(tmp_path, {"smile": "AU12_p > .5 for .3 s"})).events
    assert (event.clip, event.person, event.name) == ("talk", "talk", "smile")
    assert (event.onset, event.offset) == (pytest.approx(0.4), pytest.approx(1.2))
    assert event.peak == pytest.approx(0.95)
    assert event.mean == pytest.approx((19 * 0.8 + 0.95) / 20)
    assert event.validity == pytest.approx(0.8)


def test_times_are_those_of_the_frames_at_a_varying_rate(tmp_path: Path) -> None:
    times = np.array([0.5, 0.6, 0.9, 0.91, 1.5, 1.6])
    given = table(times, {"AU12_p": np.array([0, 1, 1, 1, 0, 0.0])})
    assert found(given, tmp_path, "AU12_p > .5") == [(0.6, 1.5)]
    assert found(given, tmp_path, "AU12_p > .5 for .9 s") == [(0.6, 1.5)]
    assert found(given, tmp_path, "AU12_p > .5 for .91 s") == []


def test_hysteresis_keeps_a_flickering_smile_whole(tmp_path: Path) -> None:
    smile = bump(10, 30)
    smile[15:25:2] = 0.4
    given = table(TIMES, {"AU12_p": smile})
    assert len(found(given, tmp_path, "AU12_p > .5")) == 6
    assert found(given, tmp_path, "AU12_p > .5 until AU12_p < .3") == [(0.4, 1.2)]
    assert found(given, tmp_path, {"when": "AU12 > .5", "until": "AU12 < .3"}) == [(0.4, 1.2)]


def test_a_start_is_two_units_that_rise_together(tmp_path: Path) -> None:
    rule = "AU1_p & AU2_p rising within .2 s"
    together = table(TIMES, {"AU1_p": bump(10, 50), "AU2_p": bump(12, 50)})
    apart = table(TIMES, {"AU1_p": bump(10, 50), "AU2_p": bump(30, 50)})
    slow = table(TIMES, {"AU1_p": np.linspace(0, 1, 50), "AU2_p": bump(12, 50)})
    assert found(together, tmp_path, rule) == [(0.48, 0.6)]
    assert found(apart, tmp_path, rule) == []
    assert found(slow, tmp_path, rule) == []
    assert found(slow, tmp_path, "AU1_p & AU2_p rising by .05 within .2 s") == [(0.48, 0.68)]
    assert found(table(TIMES, {"AU1_p": bump(0, 20)}), tmp_path, "AU1_p falling within .2 s")


def test_a_face_that_is_not_to_be_trusted_ends_an_event(tmp_path: Path) -> None:
    validity = np.where((np.arange(50) > 14) & (np.arange(50) < 25), 0.1, 1)
    given = table(TIMES, {"AU12_p": bump(10, 30)}, validity=validity)
    rule = {"when": "AU12_p > .5"}
    assert found(given, tmp_path, rule) == [(0.4, 1.2)]
    assert found(given.trusted(0.5), tmp_path, rule) == [(0.4, 0.6), (1.0, 1.2)]
    assert found(given.trusted(0.5), tmp_path, rule | {"bridge": "400 ms"}) == [(0.4, 1.2)]


def test_speech_needs_no_face(tmp_path: Path) -> None:
    given = table(TIMES, face=np.zeros(50, bool), speech=bump(10, 30))
    assert found(given.trusted(0.5), tmp_path, "speech > .5") == [(0.4, 1.2)]
    assert found(given.trusted(0.5), tmp_path, "AU12_p < .5") == []


def test_a_baseline_is_the_persons_own_median_or_a_column_made_for_it(tmp_path: Path) -> None:
    frowning = np.where(bump(10, 14) > 0.5, 0.9, 0.6)
    given = table(TIMES, {"AU4_p": frowning})
    rule = {"when": "AU4_p > .2", "baseline": "person"}
    assert found(given, tmp_path, rule) == [(0.4, 0.56)]
    assert found(given, tmp_path, {"when": "AU4_p > .2", "for": 1}) == [(0.0, 2.0)]
    given = table(TIMES, {"AU4_p": frowning, "AU4_p_bc": bump(20, 30)})
    assert found(given, tmp_path, rule) == [(0.8, 1.2)]


def test_classes_are_conditions_and_their_probability_is_the_peak(tmp_path: Path) -> None:
    classes = np.where(bump(10, 30) > 0.5, HAPPY, 0)
    said = events_of(
        table(TIMES, classes=classes), rules(tmp_path, {"joy": "expression is Happiness"})
    )
    (event,) = said.events
    assert (event.onset, event.peak) == (pytest.approx(0.4), pytest.approx(0.7))


def test_own_measures_are_columns_that_rules_may_read(tmp_path: Path) -> None:
    given = table(TIMES, {"AU1_p": bump(10, 30), "AU2_p": bump(10, 20)})
    own = {"brows": "(AU1_p + AU2_p) / 2", "twice": {"formula": "2 * brows", "unit": "brows"}}
    assert found(given, tmp_path, "brows > .7", own) == [(0.4, 0.8)]
    assert found(given, tmp_path, "twice > 1.4", own) == [(0.4, 0.8)]
    about = events_of(given, rules(tmp_path, {}, own)).table.about["twice"]
    assert (about.low, about.high, about.origin, about.unit) == (0, 2, "derived", "brows")
    with pytest.raises(UserError, match="measure 'AU1_p': there is a column of this name"):
        found(given, tmp_path, "AU1_p > .1", {"AU1_p": "AU2_p"})


def test_units_of_a_task_go_by_either_name(tmp_path: Path) -> None:
    said = classic_predictions(
        id="a",
        video="a",
        times=TIMES,
        face=np.ones(50, bool),
        va=np.zeros((50, 2), np.float32),
        expr=np.full((50, 8), 1 / 8, np.float32),
        au=np.tile(bump(10, 30)[:, None], (1, 12)).astype(np.float32),
        thresholds=np.full(12, 0.5, np.float32),
        provenance={},
    )
    for rule in ("AU12 > .5", "AU12_p > .5", "AU12_on", "not AU12_on until AU12_on"):
        assert (found(table_of(said), tmp_path, rule)[0][0] == 0.4) == ("not" not in rule)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("AU12_p > 1.5", "it never is true; AU12_p lies in \\[0, 1\\]"),
        ("AU12_p > .5 and AU12_p < .3", "it never is true"),
        ("AU12_p >= 0 for 1 s", "it always is true; AU12_p lies in \\[0, 1\\]"),
        ("AU12_p > .5 until AU12_p < -.1", "it never ends; AU12_p lies in \\[0, 1\\]"),
        ("AU1_p rising by 2 within 1 s", "it never is true; it cannot move by 2 in \\[0, 1\\]"),
        ("AU1_p > .2 & AU2_p rising within 1 s", "'rising' is said of columns"),
        ("AU12_p", "AU12_p is no condition; compare it"),
        ("AU12_p & AU1_p > .5", "AU12_p is no condition"),
        ("AU13_p > .5", "there is no column 'AU13_p'; did you mean 'AU1[0-9]*_p'"),
        ("expression is Happy", "'expression' is never 'Happy'; did you mean 'Happiness'"),
        ("mood is Happy", "there are no classes 'mood'; there are expression"),
        ("AU12_p > .5 fro 3 s", "at character 13: AU12_p > .5 »fro 3 s"),
        ({"when": "AU12_p > .5", "fro": 3}, "unknown 'fro'; did you mean 'for'"),
        ({"for": 3}, "'when' is missing"),
        ({"when": "AU12_p > .5", "for": "soon"}, "for: a time such as .3"),
        ({"when": "AU12_p > .5", "for": -1}, "for: a time such as .3"),
        ({"when": "AU12_p > .5", "baseline": "group"}, "baseline can only be 'person'"),
        ([1], "a rule was expected, not \\[1\\]"),
        (True, "a rule was expected, not True"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"event 'it'.*{message}"):
        found(table(TIMES), tmp_path, rule)


def test_how_far_must_be_said_where_the_range_is_open(tmp_path: Path) -> None:
    own = {"speed": "1 / (AU1_p + AU2_p)"}
    with pytest.raises(UserError, match="say how far, as in 'rising by 5"):
        found(table(TIMES), tmp_path, "speed rising within .2 s", own)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("events: [", "no YAML"),
        ("", "a mapping with 'events'"),
        ("smile: AU12_p > .5", "a mapping with 'events'"),
        ("events: 3", "'events' must be a mapping"),
        ("events: {1: AU12_p > .5}", "event '1': a name must be text"),
        ("measures: {m: AU1_p > .5}", "measure 'm': a number was expected, not a condition"),
    ],
)
def test_a_file_that_holds_no_rules(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=f"{path}.*{message}"):
        read_rules(str(path))


def test_shipped_rules_go_by_name_and_others_are_not_found() -> None:
    assert read_rules("events").rules == read_rules(None).rules
    with pytest.raises(UserError, match="shipped are events"):
        read_rules("nosuch")


def test_each_shipped_rule_finds_what_it_is_for(tmp_path: Path) -> None:
    up = bump(10, 30)
    everything = dict.fromkeys(("AU1_p", "AU2_p", "AU4_p", "AU5_p", "AU6_p", "AU12_p"), up)
    given = table(TIMES, everything, speech=up, yaw=up * 60)
    given = given.plus(given.about["yaw"].__class__("pitch", "", "degrees", -90, 90), up * 0)
    said = events_of(given, read_rules(None))
    assert said.missing == {}
    assert {e.name for e in said.events} == {rule.name for rule in read_rules(None).rules}
    calm = table(TIMES, dict.fromkeys(everything, up * 0), speech=up * 0, yaw=up * 0)
    assert events_of(calm, read_rules(None)).events == ()
