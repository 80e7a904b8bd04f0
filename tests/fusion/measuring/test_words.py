from dataclasses import replace

import numpy as np
import pytest

from fusion.measuring.words import durations, summary_of, trust
from fusion.tasks.registry import make_tasks
from tests.fusion.measuring.made import box, person

SPOKEN = np.ones((50, 1))


def test_a_person_in_a_few_lines() -> None:
    units = np.zeros((50, 16))
    units[:, 7], units[:10, 4] = 0.9, 0.8
    lines = summary_of(
        person(units=units, quality=np.ones((50, 1)), speech=SPOKEN, box=box(50, 120))
    )
    assert lines[0] == "talk: 2.0 s, face in view for 2.0 s (100%)"
    assert lines[1:] == [
        "  Expressions: Happiness 100%",
        "  Action units, in the time that the face is seen: AU12 100%, AU6 20%",
        "  Speech: 100% of the time",
        "  Trust: good",
    ]


def test_frames_count_by_the_time_until_the_next_one() -> None:
    made = person(4)
    values = np.full((4, 8), 0.02, np.float32)
    values[np.arange(4), [4, 0, 0, 0]] = 0.86  # the first frame lasts as long as all the others
    made = replace(made, times=np.array([0.0, 3.0, 4.0, 5.0]), values={"expr": values})
    np.testing.assert_array_equal(durations(made.times), [3, 1, 1, 1])
    assert summary_of(made)[1] == "  Expressions: Neutral 50%, Happiness 50%"


@pytest.mark.parametrize(
    ("measures", "said"),
    [
        ({"speech": np.zeros((50, 1))}, "Trust: good: hardly any speech"),
        ({"speech": SPOKEN, "box": box(50, 16)}, "Trust: limited: the face is 16 pixels small"),
        (
            {"speech": SPOKEN, "quality": np.full((50, 1), 0.2)},
            "Trust: limited: low validity (blur, cover, pose, light) for 100% of the face's time",
        ),
        ({}, "Trust: good: no sound"),
    ],
)
def test_what_cannot_be_trusted_is_said(measures: dict[str, np.ndarray], said: str) -> None:
    assert trust(person(**measures)).startswith(said)


def test_a_face_that_is_seldom_or_never_there() -> None:
    made = person(speech=SPOKEN)
    assert trust(replace(made, face=np.zeros(50, bool))) == "Trust: low: no face was seen"
    some = replace(made, face=np.arange(50) < 20)
    assert trust(some) == "Trust: limited: no face for 60% of the time"
    nobody = made.first(0)
    assert summary_of(nobody) == ["talk: no frame"]


def test_what_only_a_voice_tells_is_of_the_time_in_which_somebody_speaks() -> None:
    speech = np.zeros((50, 1))
    speech[:25] = 1
    made = person(speech=speech)
    loud = np.where(np.arange(50) < 25, 0.8, 0.1).astype(np.float32)[:, None]
    tasks = make_tasks({"values": {"names": ["vocal_arousal"], "low": 0, "high": 1}})
    spoken = replace(made, tasks=tasks, values={"values": loud})
    assert "  vocal_arousal: mean +0.80, mostly +0.80 to +0.80" in summary_of(spoken)
    mute = replace(person(speech=np.zeros((50, 1))), tasks=tasks, values={"values": loud})
    assert "  vocal_arousal: nothing to tell it by" in summary_of(mute)
