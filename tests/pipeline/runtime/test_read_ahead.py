"""Handing over from thread to thread, several items at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from pipeline.runtime.read_ahead import ReadAhead

END = -1
LONG_SECONDS = 600.0
"""Far beyond a test's time limit: who waits so long fails."""


def ahead(most: int = 8, gather_seconds: float = LONG_SECONDS) -> ReadAhead[int]:
    return ReadAhead(most, gather_seconds, ends=lambda item: item == END)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_reader_gets_as_many_as_it_asks_for_and_the_rest_the_next_time() -> None:
    queue = ahead()
    for item in range(5):
        queue.put(item)
    assert queue.take(3) == [0, 1, 2]
    queue.put(END)
    assert queue.take(3) == [3, 4, END]


def test_a_reader_that_waits_is_woken_once_enough_are_there() -> None:
    queue, taken = ahead(), []
    thread = in_thread(lambda: taken.append(queue.take(3)))
    for item in range(3):
        queue.put(item)
    thread.join()
    assert taken == [[0, 1, 2]]


def test_what_ends_the_items_waits_for_no_other() -> None:
    queue, taken = ahead(), []
    thread = in_thread(lambda: taken.append(queue.take(3)))
    queue.put(0)
    queue.put(END)
    thread.join()
    assert taken == [[0, END]]


def test_an_item_waits_for_others_no_longer_than_a_moment() -> None:
    queue = ahead(gather_seconds=0.01)
    queue.put(0)
    assert queue.take(3) == [0]
    queue = ahead(gather_seconds=0.0)
    queue.put(0)
    queue.put(1)
    assert queue.take(3) == [0, 1]


def test_more_than_may_wait_are_never_waited_for() -> None:
    queue = ahead(most=2)
    queue.put(0)
    queue.put(1)
    assert queue.take(3) == [0, 1]


def test_a_writer_waits_for_room_and_goes_on_when_there_is_some() -> None:
    queue = ahead(most=2)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(lambda: [queue.put(item) for item in (*range(4), END)])
        taken: list[int] = []
        while END not in taken:
            taken += queue.take(2)
            assert len(taken) <= 5
        assert written.result() == [True] * 5
    assert taken == [0, 1, 2, 3, END]


def test_a_writer_that_waits_for_room_gives_up_with_the_reader() -> None:
    queue = ahead(most=1)
    assert queue.put(0)
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(queue.put, 1)
        queue.give_up()
        assert not written.result()
    assert not queue.put(2)
