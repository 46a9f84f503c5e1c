"""Which parts of a long file are computed ahead, for a run in order that is faster on them than they are, or slower."""

from __future__ import annotations

from raftline.cli.batch.ahead import PartsAhead

PARTS = 12


def computed_ahead(own: float, there: float, ahead: float) -> tuple[list[int], float]:
    """Parts computed in whole before the run in order enters them, and the seconds that it takes for the file.

    Args:
        own: Seconds that the run in order takes for a part that is not there.
        there: The same for one that is.
        ahead: Seconds that a task takes to compute one, on one lane.
    """
    now = 0.0
    parts = PartsAhead([{"number": k, "at": k / PARTS} for k in range(1, PARTS)], lambda: now)
    done, task, ends, at, taken = dict[int, float](), None, 0.0, 0.0, list[int]()
    while at < PARTS:
        if task is not None and now >= ends:
            parts.ended(task)
            done[task["number"]], task = now, None
        if task is None and (task := parts.take()) is not None:
            ends = now + ahead
        part = int(at)
        if part in done and part not in taken:
            taken.append(part)
        at += 0.01 / (there if part in done else own)
        now += 0.01
        parts.passed(min(at, PARTS) / PARTS)
    return taken, now


def test_where_flow_takes_the_time_every_other_part_is_computed_ahead() -> None:
    taken, seconds = computed_ahead(own=2.4, there=0.25, ahead=2.15)
    assert len(taken) >= 5 and seconds < 0.65 * 2.4 * PARTS


def test_where_the_run_in_order_is_the_slower_one_nearly_all_parts_are_computed_ahead() -> None:
    taken, seconds = computed_ahead(own=3.1, there=2.0, ahead=1.4)
    assert len(taken) >= PARTS - 2 and seconds < 1.1 * 2.0 * PARTS


def test_what_takes_long_to_begin_is_begun_further_ahead() -> None:
    taken, _ = computed_ahead(own=0.6, there=0.2, ahead=2.0)
    assert len(taken) >= 2


def test_nothing_is_computed_behind_the_run_in_order() -> None:
    parts = PartsAhead([{"number": k, "at": k / 4} for k in range(1, 4)])
    parts.passed(0.6)
    last = parts.take()
    assert last is not None and last["number"] == 3 and parts.take() is None
