from __future__ import annotations

import itertools
import json

import pytest

from raftline.masks.motion_events import EventRecorder, extended_path


def test_an_event_lasts_from_the_first_sight_to_the_last_and_knows_its_peak() -> None:
    events = EventRecorder(merge_seconds=0.2)
    told = []
    for at, area in enumerate([0, 0.01, 0.03, 0.02, 0, 0, 0, 0, 0, 0, 0]):
        told += [events.update(at * 0.1, area, (7,) if area else (), at * 0.1 - 0.05)]
    began = [began for _, began in told if began]
    ended = [ended for ended, _ in told if ended]
    assert len(began) == len(ended) == 1
    assert began[0].begin_seconds == pytest.approx(0.05)
    assert ended[0].last_seconds == pytest.approx(0.3)
    assert (ended[0].peak_seconds, ended[0].peak_area) == (pytest.approx(0.2), 0.03)
    assert ended[0].object_ids == (7,)


def test_pauses_up_to_the_merge_window_belong_to_the_event() -> None:
    for pause, count in ((0.9, 1), (1.3, 2)):
        events = EventRecorder(merge_seconds=1.0)
        began = [events.update(seconds, 0.01, (), seconds)[1] for seconds in (0.0, 0.1, 0.1 + pause)]
        assert sum(event is not None for event in began) == count


def test_an_event_goes_on_after_its_last_motion_if_asked_to() -> None:
    events = EventRecorder(merge_seconds=0.0, after_seconds=2.0)
    events.update(1.0, 0.1, (1,), 1.0)
    assert events.update(2.9, 0.0, (), 2.9) == (None, None)
    ended, _ = events.update(3.1, 0.0, (), 3.1)
    assert ended is not None and ended.last_seconds == pytest.approx(3.0)


def test_motion_that_waits_for_its_proof_keeps_the_event_open_if_it_began_in_time() -> None:
    for began_seconds, count in ((1.9, 1), (2.3, 2)):
        events = EventRecorder(merge_seconds=1.0)
        told = [events.update(1.0, 0.1, (1,), 1.0)]
        told += [events.update(at / 10, 0.0, (), at / 10, waiting_since=began_seconds) for at in range(20, 24)]
        told += [events.update(2.4, 0.1, (1,), began_seconds)]
        began = [event for _, event in told if event]
        assert len(began) == count and began[-1].begin_seconds == (1.0 if count == 1 else began_seconds)


def test_an_event_never_begins_before_the_end_of_the_one_before() -> None:
    events = EventRecorder(merge_seconds=0.5)
    events.update(1.0, 0.1, (1,), 1.0)
    ended, _ = events.update(2.0, 0.0, (), 2.0)
    assert ended is not None and ended.last_seconds == 1.0
    again = EventRecorder(merge_seconds=0.5)
    again.restore(json.loads(json.dumps(events.state())))
    began = [recorder.update(3.0, 0.1, (1,), 0.2)[1] for recorder in (events, again)]
    assert [event and event.begin_seconds for event in began] == [1.0, 1.0]


@pytest.mark.parametrize(("doubts", "uncertain"), [((1, 1, 0), True), ((1, 0, 0), False), ((0, 1, 0, 1), False)])
def test_an_event_is_uncertain_if_most_of_its_frames_are(doubts: tuple[int, ...], uncertain: bool) -> None:
    events = EventRecorder(merge_seconds=0.5)
    for at, doubt in enumerate(doubts):
        events.update(at * 0.1, 0.1, (1,), at * 0.1, uncertain=bool(doubt))
    for at in range(9):  # frames in which nothing moves say nothing about it
        ended, _ = events.update(0.1 * len(doubts) + at * 0.1, 0.0, (), 0.0, uncertain=not uncertain)
        if ended is not None:
            assert ended.uncertain == uncertain
    assert events.open_event is None


def test_a_recorder_goes_on_from_its_state() -> None:
    first, second = EventRecorder(0.5), EventRecorder(0.5)
    first.update(0.0, 0.2, (1, 2), 0.0, uncertain=True)
    second.restore(json.loads(json.dumps(first.state())))
    assert second.open_event == first.open_event
    assert first.update(1.0, 0.1, (3,), 0.9) == second.update(1.0, 0.1, (3,), 0.9)


def test_a_path_keeps_even_distances_and_stays_short() -> None:
    path = extended_path((), 0.0, (0.0, 0.0))
    for at in range(1, 1000):
        path = extended_path(path, at * 0.04, (float(at), 2.0 * at))
    assert 32 <= len(path) <= 64 and path[0] == (0.0, 0.0, 0.0)
    steps = [after[0] - before[0] for before, after in itertools.pairwise(path)]
    assert max(steps) == pytest.approx(min(steps), rel=0.1)
    assert path[-1][0] == pytest.approx(1000 * 0.04, abs=2 * max(steps))
    assert extended_path(path, 0.0, (1.0, 1.0)) == extended_path(path, 99.0, None) == path
