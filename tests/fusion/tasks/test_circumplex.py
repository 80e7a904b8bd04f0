import numpy as np
import pytest

from fusion.tasks.expr import DERIVED, EXPRESSIONS, Expression
from fusion.tasks.measuring.circumplex import PLACES, derived_affect


def test_a_certain_expression_lies_where_the_ratings_put_it() -> None:
    every = derived_affect(np.eye(8, dtype=np.float32), EXPRESSIONS).values
    for name, place in PLACES.items():
        np.testing.assert_allclose(every[EXPRESSIONS.index(name)], place, atol=1e-6)


def test_the_places_are_the_published_ratings() -> None:
    order = ("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
    pleasure = [-0.51, -0.60, -0.64, 0.76, -0.63, 0.40]
    arousal = [0.59, 0.35, 0.60, 0.48, -0.27, 0.67]
    assert [PLACES[name] for name in order] == list(zip(pleasure, arousal, strict=True))


def test_other_has_no_place_and_takes_no_part() -> None:
    half = np.zeros((2, 8), np.float32)
    half[0, [EXPRESSIONS.index("Happiness"), EXPRESSIONS.index("Other")]] = 0.5
    half[1, EXPRESSIONS.index("Other")] = 1
    values = derived_affect(half, EXPRESSIONS).values
    assert values[0] == pytest.approx(PLACES["Happiness"])
    assert np.isnan(values[1]).all()


def test_the_task_says_that_it_is_derived() -> None:
    measure = Expression().further_measures(np.eye(8, dtype=np.float32))[DERIVED]
    assert measure.names == ("valence", "arousal")
    assert {column.origin for column in measure.columns} == {"derived"}
    assert all("no trained head" in column.meaning for column in measure.columns)
