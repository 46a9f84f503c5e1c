from __future__ import annotations

import numpy as np

from pipeline.arrays import LazyArray, Part
from pipeline.messages import Flow, Frame, Mask
from pipeline.testing import make_frame, run_stage
from stages.null_sink import NullSink


def lazy_frame(fetched: list[int], index: int) -> Frame:
    def load(part: Part) -> np.ndarray:
        fetched.append(index)
        return np.zeros((4, 4), np.uint8)

    frame = make_frame(np.zeros((4, 4), np.uint8), index)
    return Frame(frame.header, index, 4, 4, "gray8", (LazyArray((4, 4), np.dtype(np.uint8), load),), "bt709", "pc")


def test_it_reads_every_kind_of_message_and_yields_nothing():
    frame = make_frame(np.zeros((4, 4), np.uint8))
    messages = [frame, Flow(frame.header, frame, "first", None), Mask(frame.header, frame, np.zeros((4, 4), np.uint8))]
    assert {type(message) for message in messages} <= set(NullSink.reads)
    assert run_stage(NullSink, messages) == []


def test_pixels_are_fetched_only_where_it_is_told_to():
    fetched: list[int] = []
    run_stage(NullSink, [lazy_frame(fetched, 0)])
    assert fetched == []
    frame = lazy_frame(fetched, 1)
    run_stage(NullSink, [Flow(frame.header, frame, "first", None)], {"fetch": True})
    assert fetched == [1]
