"""A stage in a thread of its own gives what it gives without one, and ends when nobody listens."""

import threading
import time
from collections.abc import Iterator
from itertools import count, islice

import pytest

from features.pipeline.prefetch import ahead
from features.pipeline.timing import StageTimes, waiting
from tests.waiting import eventually, limit


def alive() -> int:
    return threading.active_count()


def settle(threads: int) -> bool:
    """Whether there are so many threads in the end."""
    return eventually(lambda: alive() == threads)


def test_items_come_in_their_order() -> None:
    before = alive()
    assert list(ahead(range(100), 3)) == list(range(100))
    assert settle(before)


def test_nothing_gives_nothing() -> None:
    assert list(ahead([], 1)) == []


def test_an_error_comes_after_the_items_before_it() -> None:
    def breaking() -> Iterator[int]:
        yield 1
        raise ValueError("here")

    items = ahead(breaking(), 5)
    assert next(items) == 1
    with pytest.raises(ValueError, match="here"):
        next(items)


def test_the_next_item_is_made_while_the_last_one_is_used() -> None:
    made = threading.Event()

    def watched() -> Iterator[int]:
        yield 0
        made.set()
        yield 1

    items = ahead(watched(), 1)
    assert next(items) == 0
    assert made.wait(limit())
    items.close()


def test_no_more_than_the_depth_is_made_in_advance() -> None:
    made: list[int] = []

    def watched() -> Iterator[int]:
        for number in count():
            made.append(number)
            yield number

    items = ahead(watched(), 2)
    assert list(islice(items, 3)) == [0, 1, 2]
    time.sleep(0.3)
    assert len(made) <= 3 + 2 + 1
    items.close()


def test_closing_ends_the_thread_and_the_source() -> None:
    before, closed = alive(), threading.Event()

    def watched() -> Iterator[int]:
        try:
            yield from count()
        finally:
            closed.set()

    items = ahead(watched(), 2)
    next(items)
    items.close()
    assert closed.is_set()
    assert settle(before)


def test_closing_reaches_stages_behind_the_first() -> None:
    before, closed = alive(), threading.Event()

    def watched() -> Iterator[int]:
        try:
            yield from count()
        finally:
            closed.set()

    items = ahead((item + 1 for item in ahead(watched(), 2)), 2)
    assert next(items) == 1
    items.close()
    assert closed.wait(limit())
    assert settle(before)


def test_waiting_for_another_stage_is_not_counted() -> None:
    times = StageTimes()

    def slow() -> Iterator[int]:
        for number in range(3):
            time.sleep(0.1)
            yield number

    assert list(times.timed("use", ahead(times.timed("make", slow()), 1))) == [0, 1, 2]
    assert times.seconds["make"] >= 0.29
    assert times.seconds["use"] < times.seconds["make"] / 2


def test_a_stage_inside_a_stage_waits_for_both() -> None:
    times, began = StageTimes(), time.monotonic()
    with times.stage("outer"), times.stage("inner"), waiting():
        time.sleep(0.1)
    spent = time.monotonic() - began
    assert times.seconds["outer"] < spent / 2
    assert times.seconds["inner"] < spent / 2
