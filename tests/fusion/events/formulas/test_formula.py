"""Formulas: what they mean, what is refused and where, and that nothing is run as code."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.events.formulas.evaluating import Lookup, evaluate
from fusion.events.formulas.formula import FormulaError
from fusion.events.formulas.parsing import parse_formula
from fusion.events.formulas.ranges import range_of
from fusion.events.rule_text import parse_rule

COLUMNS = {"a": np.array([0.0, 0.25, 0.75, np.nan]), "b": np.array([1.0, 0.5, np.nan, 0.0])}
CLASSES = {("mood", "happy"): np.array([1.0, 0.0, np.nan, 0.0])}
LOOKUP = Lookup(4, COLUMNS.__getitem__, lambda column, word: CLASSES[column, word])
NAN = math.nan


def value(text: str) -> list[float]:
    return evaluate(parse_formula(text), LOOKUP).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 - 4 / 2", [5, 5, 5, 5]),
        ("(1 + 2) * -3", [-9, -9, -9, -9]),
        ("2 - 1 - 1", [0, 0, 0, 0]),
        ("a", [0, 0.25, 0.75, NAN]),
        ("abs(a - b)", [1, 0.25, NAN, NAN]),
        ("max(a, b, .6)", [1, 0.6, NAN, NAN]),
        ("min(a, .5)", [0, 0.25, 0.5, NAN]),
        ("mean(a, 1)", [0.5, 0.625, 0.875, NAN]),
        ("1 / a", [NAN, 4, 1 / 0.75, NAN]),
        ("a > .2", [0, 1, 1, NAN]),
        (".1 < a <= .25", [0, 1, 0, NAN]),
        ("not a > .2", [1, 0, 0, NAN]),
        ("!(a > .2)", [1, 0, 0, NAN]),
        ("a > .2 and b > .2", [0, 1, NAN, 0]),
        ("a > .2 & b > .2", [0, 1, NAN, 0]),
        ("a > .2 or b > .2", [1, 1, 1, NAN]),
        ("a > .2 || b > .2", [1, 1, 1, NAN]),
        ("a > .5 or a < .1 and b == 1", [1, 0, 1, NAN]),
        ("mood is happy", [1, 0, NAN, 0]),
        ("mood is not 'happy'", [0, 1, NAN, 1]),
        ("`a` != 0", [0, 1, 1, NAN]),
    ],
)
def test_a_formula_says_what_people_mean(text: str, expected: list[float]) -> None:
    np.testing.assert_allclose(value(text), expected)


@pytest.mark.parametrize(
    ("text", "message", "shown"),
    [
        ("a > ", "a column or a number was expected, but it ends", "a >»"),
        ("a >> 2", "a column or a number was expected, not '>'", "a >»> 2"),
        ("a ; b", "';' has no meaning here", "a »; b"),
        ("sin(a) > 1", "there is no function 'sin'", "»sin(a) > 1"),
        ("(a > 1", "')' was expected, but it ends", "(a > 1»"),
        ("a > 1 b", "a comparison, 'and', 'or' or the end was expected", "a > 1 »b"),
        ("(a > 1) + 2", "a number was expected, not a condition", "(a »> 1) + 2"),
        ("abs(a, b)", "abs takes one number", "»abs(a, b)"),
        ("2 is happy", "'is' needs a column", "»2 is happy"),
        ("a for 2 s", "a comparison, 'and', 'or' or the end was expected", "a »for 2 s"),
        ("__import__('os')", "there is no function '__import__'", "»__import__('os')"),
        ("a['b'].c(1)", "'[' has no meaning here", "a»['b'].c(1)"),
        ("a.b > 1", "'.' has no meaning here", "a».b > 1"),
        ("(" * 60 + "a" + ")" * 60, "too many brackets", "»"),
        (" + ".join("a" * 400), "more than 300 words", "»"),
    ],
)
def test_what_makes_no_sense_is_shown_with_its_place(text: str, message: str, shown: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    said = caught.value.shown(text)
    assert message in said
    assert shown in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a > 1 for", "a number was expected"),
        ("a > 1 for 3", "s, ms or min was expected"),
        ("a > 1 for 3 s for 2 s", "'for' is said twice"),
        ("a rising .2 s", "'within' was expected"),
        ("a rising within 1 s falling within 1 s", "'falling' is said twice"),
        ("a > 1 until", "a column or a number was expected"),
    ],
)
def test_clauses_that_make_no_sense(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        parse_rule(text)


def test_clauses_are_read_in_any_order() -> None:
    _, said = parse_rule("a > .5 gap 100 ms until a < .2 for .5 min bridge 1 s")
    assert (said.shortest, said.gap, said.bridge) == (30, 0.1, 1)
    assert said.until == parse_formula(f"{' ' * 24}a < .2")
    _, said = parse_rule("a & b falling by 2 within .2 s")
    assert (said.direction, said.by, said.within) == ("falling", 2, 0.2)


NUMBERS = st.floats(0, 1, allow_subnormal=False).map(lambda x: f"{x:.3f}")
SUMS = st.recursive(
    st.sampled_from(["a", "b"]) | NUMBERS,
    lambda part: (
        st.builds("({} {} {})".format, part, st.sampled_from("+-*/"), part)
        | st.builds("abs(-{})".format, part)
        | st.builds("{}({}, {})".format, st.sampled_from(["min", "max", "mean"]), part, part)
    ),
    max_leaves=6,
)
SIGNS = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
CONDITIONS = st.recursive(
    st.builds("{} {} {}".format, SUMS, SIGNS, SUMS),
    lambda part: (
        st.builds("({} {} {})".format, part, st.sampled_from(["and", "or"]), part)
        | st.builds("not ({})".format, part)
    ),
    max_leaves=5,
)


@given(CONDITIONS | SUMS, st.lists(st.tuples(*[st.floats(0, 1)] * 2), min_size=1, max_size=20))
def test_no_value_is_outside_of_the_range_that_a_formula_can_have(text: str, rows: list) -> None:
    a, b = np.array(rows).T
    lookup = Lookup(len(a), {"a": a, "b": b}.__getitem__, lambda *_: a)
    node = parse_formula(text)
    found = evaluate(node, lookup)
    low, high = range_of(node, lambda _: (0.0, 1.0))
    known = found[~np.isnan(found)]
    assert (known >= low - 1e-9 - 1e-9 * abs(low)).all()
    assert (known <= high + 1e-9 + 1e-9 * abs(high)).all()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a > 1", (0, 0)),
        ("a > 1.5 or b < -1", (0, 0)),
        ("a >= 0", (1, 1)),
        ("a + b > 2", (0, 0)),
        ("a > .5 and a < .3", (0, 0)),
        ("a > .5 and (b < .5 and a <= .5)", (0, 0)),
        (".5 >= a and a >= .5", (0, 1)),
        ("a == .3 and a > .3", (0, 0)),
        ("a > .5 and a < .7", (0, 1)),
        ("a > -1", (1, 1)),
        ("a != 2", (1, 1)),
        ("abs(a - b) > 1", (0, 0)),
        ("1 / a > 100", (0, 1)),
    ],
)
def test_what_can_never_or_must_always_be_true_is_known(text: str, expected: tuple) -> None:
    assert range_of(parse_formula(text), lambda _: (0.0, 1.0)) == expected
