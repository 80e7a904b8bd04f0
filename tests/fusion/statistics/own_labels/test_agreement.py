"""Agreement and recalibration against other libraries, and labels of every kind of file."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pympi
import pytest
import yaml
from sklearn.metrics import cohen_kappa_score
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.inter_rater import cohens_kappa

from features.errors import UserError
from fusion.cli import main
from fusion.data.prediction_files import write_predictions
from fusion.metrics.official import ccc as official_ccc
from fusion.statistics.own_labels.agreement import (
    agreements,
    by_person,
    ccc,
    icc,
    kappa,
    sums_of,
    table_of,
)
from fusion.statistics.own_labels.labels import Span, read_labels
from fusion.statistics.own_labels.matching import Pairs
from fusion.statistics.own_labels.recalibrating import recalibrations, scale_of, scaled
from tests.fusion.measured import predictions

RNG = np.random.default_rng(7)
TIMES = np.arange(200) / 10
AT = np.arange(200)
HAPPY = 4


def values(who: str, said: np.ndarray, labelled: np.ndarray, weights=None) -> Pairs:
    weights = np.full(len(said), 0.1) if weights is None else weights
    return Pairs("values", "x", who, said, labelled, weights, column="x")


def switches(who: str, level: np.ndarray, labelled: np.ndarray) -> Pairs:
    said, even = (level >= 0.5).astype(int), np.full(len(level), 0.1)
    return Pairs("binary", "x", who, said, labelled, even, ("off", "on"), level, "x")


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(map(str, words)))
    said = capsys.readouterr()
    return int(stop.value.code or 0), said.out, said.err


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""])


def test_kappa_is_that_of_others_with_frames_weighted_by_time() -> None:
    labelled, said = RNG.integers(0, 4, 300), RNG.integers(0, 4, 300)
    said = np.where(RNG.random(300) < 0.5, labelled, said)
    weights = RNG.choice([0.02, 0.1], 300)
    table = table_of(Pairs("classes", "x", "p", said, labelled, weights, tuple("abcd")))
    expected = cohen_kappa_score(labelled, said, sample_weight=weights)
    assert kappa(table) == pytest.approx(expected)
    assert kappa(table) == pytest.approx(cohens_kappa(table, return_results=False))


def test_ccc_is_the_official_one() -> None:
    labelled = RNG.normal(3, 2, 200)
    said = labelled * 0.5 + RNG.normal(0, 1, 200)
    assert ccc(sums_of(values("p", said, labelled))) == pytest.approx(official_ccc(labelled, said))


def test_icc_is_that_of_the_analysis_of_variance() -> None:
    labelled = RNG.normal(3, 2, 40)
    said = labelled + RNG.normal(0.5, 1, 40)
    long = pd.DataFrame(
        {
            "y": np.r_[labelled, said],
            "target": np.tile(np.arange(40), 2),
            "rater": np.repeat(["l", "s"], 40),
        }
    )
    table = anova_lm(ols("y ~ C(target) + C(rater)", long).fit())
    rows, raters, error = table.mean_sq
    expected = (rows - error) / (rows + error + 2 / 40 * (raters - error))
    assert icc(sums_of(values("p", said, labelled))) == pytest.approx(expected)


def test_a_sample_that_lasts_twice_as_long_counts_twice() -> None:
    labelled, said = RNG.normal(size=50), RNG.normal(size=50)
    twice = RNG.integers(1, 3, 50)
    long = values("p", said, labelled, twice * 0.1)
    spread = values("p", np.repeat(said, twice), np.repeat(labelled, twice))
    assert ccc(sums_of(long)) == pytest.approx(ccc(sums_of(spread)))


def test_people_are_what_intervals_are_over() -> None:
    pairs = []
    for who in range(12):
        labelled = RNG.normal(size=80)
        pairs.append(values(f"p{who}", labelled + RNG.normal(0, 0.5 + who / 10, 80), labelled))
    (row, *_) = agreements(pairs, 400, 0)
    assert (row["score"], row["people"]) == ("ccc", 12)
    assert row["low"] < row["value"] < row["high"]
    assert row["seconds"] == pytest.approx(12 * 8)
    (few, *_) = agreements(pairs[:2], 400, 0)
    assert few["why_blank"] == "no interval with fewer than 3 people"
    assert np.isnan(few["low"])
    two_clips = by_person([pairs[0], pairs[0]], sums_of)
    assert two_clips.shape == (1, 6)


def test_labels_that_never_change_have_no_kappa() -> None:
    same = Pairs("binary", "x", "p", np.zeros(9, int), np.zeros(9, int), np.ones(9), ("a", "b"))
    (row,) = agreements([same], 10, 0)
    assert row["why_blank"] == "labels or predictions are all alike"


def test_a_scale_is_what_gives_labels_mean_and_spread() -> None:
    labelled = RNG.normal(5, 2, 100)
    said = (labelled - 1) / 4
    sums = sums_of(values("p", said, labelled))
    assert scale_of(sums) == (pytest.approx(1), pytest.approx(4))
    assert ccc(scaled(sums, 1, 4)) == pytest.approx(1)
    np.testing.assert_allclose(scaled(sums, 2, 3), sums_of(values("p", 2 + 3 * said, labelled)))


def test_nobody_is_judged_by_a_scale_of_their_own() -> None:
    a, b = RNG.normal(size=100), RNG.normal(size=100)
    (row,) = recalibrations([values("a", a, 2 * a), values("b", b, 2 + 3 * b)])
    own = np.concatenate([2 + 3 * a * (1), 2 * b])
    shift = scale_of(sums_of(values("b", b, 2 + 3 * b)))
    other = scale_of(sums_of(values("a", a, 2 * a)))
    crossed = np.concatenate([shift[0] + shift[1] * a, other[0] + other[1] * b])
    assert row.after == pytest.approx(official_ccc(np.concatenate([2 * a, 2 + 3 * b]), crossed))
    np.testing.assert_allclose(crossed, own)
    (alone,) = recalibrations([values("a", a, 2 * a)])
    assert np.isnan(alone.after)
    assert alone.why_blank == "one person: nobody to judge it on"
    assert alone.slope == pytest.approx(2)


def test_a_threshold_is_chosen_by_the_others() -> None:
    pairs = []
    for who in range(6):
        on = RNG.integers(0, 2, 200)
        pairs.append(
            switches(f"p{who}", np.clip(0.1 + 0.3 * on + RNG.normal(0, 0.05, 200), 0, 1), on)
        )
    (row,) = recalibrations(pairs)
    assert row.threshold == pytest.approx(0.25)
    assert row.before < 0.2
    assert row.after > 0.95


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    smile = np.where((AT >= 50) & (AT < 100), 0.9, 0.1)
    classes = np.where(AT < 120, 0, HAPPY)
    for who in ("a", "b", "c"):
        said = predictions(
            TIMES, {"AU12_p": smile}, id=f"talk_{who}", video="talk", classes=classes
        )
        write_predictions(said, tmp_path / "p")
    return tmp_path / "p"


@pytest.mark.parametrize(("format", "file"), [("elan", "talk.eaf"), ("boris", "talk_boris.tsv")])
def test_our_own_export_agrees_with_us(format: str, file: str, folder: Path, capsys) -> None:
    assert call(capsys, "export", folder, "--format", format)[0] == 0
    labels = folder / "export" / file
    assert call(capsys, "summarize", folder, "--labels", labels)[0] == 0
    rows = read(folder / "statistics/agreement.csv").set_index("name")
    assert (rows.value == 1).all()
    assert set(rows.index) == {"expression", "smile"}
    assert (rows.people == 3).all()
    assert rows.seconds["expression"] == pytest.approx(60)


def test_labels_in_elan_by_hand(folder: Path, capsys) -> None:
    document = pympi.Elan.Eaf()
    document.remove_tier("default")
    document.add_tier("my tier", part="talk_a")
    for start, end, name in [(0, 8000, "Neutral"), (8000, 20000, "Happiness")]:
        document.add_annotation("my tier", start, end, name)
    document.add_tier("other", part="talk_a")
    document.add_annotation("other", 6000, 10000, "smile")
    document.add_annotation("other", 0, 500, "oops")
    document.add_tier("seen", part="talk_a")
    document.add_annotation("seen", 4000, 12000, "labelled")
    path = folder.parent / "talk.eaf"
    document.to_file(str(path))
    status, out, _ = call(capsys, "summarize", folder, "--labels", path)
    assert status == 0
    assert "labels that match nothing: oops" in out
    rows = read(folder / "statistics/agreement.csv").set_index("name")
    # Of 4 to 12 s, said smile is 5 to 10 and labelled 6 to 10; class: said Neutral to 12.
    np.testing.assert_allclose(rows.seconds, 8)
    expected = cohen_kappa_score(
        [0] * 10 + [0] * 10 + [1] * 40 + [0] * 20, [0] * 10 + [1] * 50 + [0] * 20
    )
    assert rows.value["smile"] == pytest.approx(expected, abs=1e-6)
    assert rows.value["expression"] == 0


def test_values_over_time_recalibrate_a_column(tmp_path: Path, capsys) -> None:
    lines = ["clip,time,AU12"]
    for who in "abcd":
        level = np.clip(0.5 + 0.1 * RNG.normal(size=200), 0, 1)
        write_predictions(predictions(TIMES, {"AU12_p": level}, id=who), tmp_path / "p")
        lines += [
            f"{who},{t + 0.01:.2f},{2 + 3 * v:.6f}" for t, v in zip(TIMES, level, strict=True)
        ]
    lines += ["a,500,3"]  # after the end
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    assert call(capsys, "summarize", tmp_path / "p", "--labels", tmp_path / "labels.csv")[0] == 0
    out = tmp_path / "p/statistics"
    (row,) = read(out / "recalibration.csv").to_dict("records")
    assert row["after"] == pytest.approx(1, abs=1e-4)
    assert row["before"] < 0.1
    assert (row["intercept"], row["slope"]) == (
        pytest.approx(2, abs=1e-3),
        pytest.approx(3, abs=1e-3),
    )
    rules = out / "recalibrated.yaml"
    assert list(yaml.safe_load(rules.read_text())["measures"]) == ["AU12_p_recalibrated"]
    again = ["summarize", tmp_path / "p", "--rules", rules, "--out", tmp_path / "again"]
    assert call(capsys, *again)[0] == 0
    rows = read(tmp_path / "again/summary.csv")
    np.testing.assert_allclose(rows.AU12_p_recalibrated_mean, 2 + 3 * rows.AU12_p_mean, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("x.csv", "onset,offset,name\n1,2.5,smile\n", [(1, 2.5, "smile")]),
        ("x.csv", "start;end;label\n1;2;a b\n", [(1, 2, "a b")]),
        ("x_events.tsv", "onset\tduration\ttrial_type\n1\t.5\tsmile\n", [(1, 1.5, "smile")]),
        (
            "x.tsv",
            "Observation id\tSubject\tBehavior\tBehavior type\tTime\n"
            "v\tp\tgo\tSTART\t1\nv\tp\tdot\tPOINT\t2\nv\tp\tgo\tSTOP\t3\n",
            [(2, 2, "dot"), (1, 3, "go")],
        ),
    ],
)
def test_spans_of_tables(name: str, text: str, expected: list, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    (labels,) = read_labels(tmp_path)
    assert [(s.start, s.end, s.name) for s in labels.spans] == expected
    assert labels.clip == ("v" if "Behavior" in text else Path(name).stem)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("talk_a.csv", "a,b\n1,2\n", "columns 'onset', 'offset' and 'name', or 'time'"),
        ("talk_a.csv", "onset,offset,name\n1,x,smile\n", "row 1: 'x' is no offset"),
        ("talk_a.csv", "onset,offset,name\n2,1,smile\n", "'smile' ends at 1 s before it begins"),
        ("talk_a.csv", "onset,offset,name\n1,2,smirk\n", "no label is the name of a class"),
        ("talk.csv", "onset,offset,name\n1,2,smile\n", "it does not say who in 'talk'"),
        ("talk.csv", "onset,offset,name,person\n1,2,smile,Eve\n", "'Eve' is nobody in 'talk'"),
        ("walk.csv", "onset,offset,name\n1,2,smile\n", "labels of 'walk', of which there are no"),
        ("talk_a.eaf", "<a>", "no annotations of ELAN"),
        ("talk_a.eaf", "<a/>", "no annotations of ELAN"),
        (
            "talk_a.tsv",
            "Behavior\tBehavior type\tTime\nx\tSTOP\t3\n",
            "stops at 3 s without a start",
        ),
        ("talk_a.csv", "", "no table"),
    ],
)
def test_labels_that_make_no_sense(
    name: str, text: str, message: str, folder: Path, capsys
) -> None:
    labels = folder.parent / name
    labels.write_text(text)
    status, _, err = call(capsys, "summarize", folder, "--labels", labels)
    assert status == 1
    assert message in err
    assert name in err
    assert err.count("\n") == 1


def test_labels_with_decimal_commas(tmp_path: Path) -> None:
    table = "onset;offset;name\n0,5;1,25;smile, small\n"
    (tmp_path / "talk.csv").write_text(table, encoding="utf-16")
    (labels,) = read_labels(tmp_path)
    assert labels.spans == [Span(0.5, 1.25, "smile, small")]


def test_labels_that_are_not_there(folder: Path, capsys) -> None:
    assert "no such file or folder of labels" in call(
        capsys, "summarize", folder, "--labels", folder / "nosuch"
    )[2]  # fmt: skip
    (folder / "none").mkdir()
    with pytest.raises(UserError, match="no labels in it"):
        read_labels(folder / "none")


def test_all_that_follows_from_people(folder: Path, capsys) -> None:
    table = folder.parent / "participants.tsv"
    table.write_text("participant_id\tclip\tsex\nA\ttalk_a\tf\nB\ttalk_b\tm\nC\ttalk_c\tn/a\n")
    words = ["--participants", table, "--group", "sex", "--columns", "AU12"]
    status, out, err = call(capsys, "summarize", folder, *words)
    assert status == 0, err
    assert "without a 'sex', in no group: 1" in out
    made = {path.relative_to(folder / "statistics").as_posix() for path in
            (folder / "statistics").rglob("*") if path.is_file()}  # fmt: skip
    assert made == {
        "summary.csv",
        "compare.csv",
        "curves/AU12_p.csv",
        "curves/AU12_p.png",
        "synchrony.csv",
    }
    assert len(read(folder / "statistics/synchrony.csv")) == 3
    compare = read(folder / "statistics/compare.csv")
    assert set(compare.why_blank) == {"fewer than 3 people", "nobody with a value in f"} or set(
        compare.why_blank
    ) == {"fewer than 3 people"}
    status, _, err = call(capsys, "summarize", folder, *words[:4], "--columns", "AU99")
    assert "columns: there is no column 'AU99'; did you mean" in err


def test_a_review_changes_the_statistics(folder: Path, capsys) -> None:
    review = folder.parent / "review.json"
    said = {"format": 1, "video": "talk", "rename": {"talk_a": "Ann"},
            "merge": [["talk_b", "talk_c"]],
            "exclude": [{"person": "talk_a", "from": 0, "to": 9.95}]}  # fmt: skip
    review.write_text(json.dumps(said))
    assert call(capsys, "summarize", folder, "--review", review)[0] == 0
    rows = read(folder / "statistics/summary.csv").set_index("person")
    assert set(rows.index) == {"Ann", "talk_b"}
    assert rows.AU12_p_valid["Ann"] == pytest.approx(0.5)
    assert rows.expression_Happiness_share["Ann"] == pytest.approx(0.8)


def test_what_follows_by_formula_is_looked_at_unasked(folder: Path, capsys) -> None:
    rules = folder.parent / "rules.yaml"
    rules.write_text("measures: {smiling: 2 * AU12_p}\n")
    assert call(capsys, "summarize", folder, "--rules", rules)[0] == 0
    assert set(read(folder / "statistics/synchrony.csv").measure) == {"smiling"}
