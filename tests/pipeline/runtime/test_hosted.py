"""What a plug-in does wrong every time is said in one sentence, after one try, with what to write instead."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.errors import PluginError
from pipeline.messages import Data, Frame, Gap, Message
from pipeline.runtime.hosted import Hosted, HostedSource
from pipeline.stage import Source, Stage
from pipeline.testing import TestContext, make_frame, run_stage

FRAME = make_frame(np.full((48, 64), 9, np.uint8))


class Copy(Stage):
    """Passes frames on."""

    reads, writes = (Frame,), Frame

    def process(self, message: Frame) -> Iterable[Message]:
        yield message


class Forgetful(Copy):
    def __init__(self, options: Any, context: Any) -> None:
        self.seen = 0


class Hasty(Copy):
    def __init__(self, options: Any, context: Any) -> None:
        self.name = self.context.source.name  # pyright: ignore
        super().__init__(options, context)


class Bare(Copy):
    def __init__(self) -> None:
        pass


class Mute(Copy):
    def process(self, message: Frame) -> Any:
        self.seen = message.index


class Single(Copy):
    def process(self, message: Frame) -> Any:
        return message


class Coroutine(Copy):
    async def process(self, message: Frame) -> Any:
        pass


class Liar(Copy):
    writes = Data


class Shrunk(Copy):
    def process(self, message: Frame) -> Iterable[Message]:
        yield replace(message, planes=(np.asarray(message.planes[0])[::2],))


class Pixels(Copy):
    def process(self, message: Frame) -> Any:
        return np.asarray(message.planes[0])


class Talkative(Copy):
    writes = None


class Counting(Copy):
    writes = Data

    def process(self, message: Frame) -> Iterable[Message]:
        yield Data(message.header, "mean", {"mean": np.asarray(message.planes[0]).mean(dtype=np.float32)})


class Ids(Copy):
    def snapshot(self) -> Any:
        return {"ids": {1, 2}}


class Scale(Copy):
    def snapshot(self) -> Any:
        return {"scale": [np.float32(0.5)]}


class Hoarder(Copy):
    def snapshot(self) -> Any:
        return {"all": "x" * 200_000}


class Painter(Copy):
    def process(self, message: Frame) -> Iterable[Message]:
        np.asarray(message.planes[0])[:10] = 0
        yield message


class Drawer(Copy):
    def process(self, message: Frame) -> Iterable[Message]:
        cv2.circle(np.asarray(message.planes[0]), (5, 5), 3, 255)
        yield message


class Leaver(Copy):
    def process(self, message: Frame) -> Iterable[Message]:
        sys.exit(3)


class LeaverAtOnce(Copy):
    def open(self) -> None:
        sys.exit("no licence")


class Windowless(Copy):
    def unacked_window(self) -> Any:
        return None


MISTAKES: list[tuple[type[Stage], str]] = [
    (Forgetful, "its __init__ does not call that of Stage; write super().__init__(options, context) in its first line"),
    (Hasty, "its __init__ does not call that of Stage; write super().__init__(options, context) in its first line"),
    (Bare, "its __init__ takes other arguments"),
    (Bare, "write def __init__(self, options, context)"),
    (Mute, "process returned None; allowed: an iterable of messages; write `return ()` for none, or `yield message`"),
    (Single, "process returned a Frame; allowed: an iterable of messages; write `yield` instead of `return`"),
    (Coroutine, "process is `async`; write it as a plain function"),
    (Liar, "it handed over a Frame (sequence 1); allowed: Data, as its `writes` says"),
    (
        Shrunk,
        "it handed over a Frame (sequence 1), but planes[0]: found uint8 (24, 64); allowed: uint8 (48, 64)",
    ),
    (Pixels, "it handed over a numpy.ndarray; allowed: Frame, as its `writes` says"),
    (Talkative, "it handed over a Frame (sequence 1); allowed: nothing, because it is a sink; set `writes`"),
    (Counting, "it handed over a Data (sequence 1), but values['mean']: found numpy.float32 9.0; allowed"),
    (Ids, "snapshot()['ids']: found set {1, 2}; allowed: text, whole numbers"),
    (Scale, "snapshot()['scale'][0]: found numpy.float32 0.5; allowed"),
    (Hoarder, "its snapshot takes 200011 bytes as JSON; allowed: 64000 (snapshot_bytes), as it is stored with"),
    (Painter, "process writes into an array of a message: ValueError: assignment destination is read-only"),
    (Painter, "copy it first, plane = numpy.array(message.planes[0])"),
    (Drawer, "process writes into an array of a message"),
    (Leaver, "process called exit with 3"),
    (Leaver, "raise pipeline.errors.UserError to end the run with a message"),
    (LeaverAtOnce, "open called exit with 'no licence'"),
    (Windowless, "unacked_window returned None; allowed: a whole number, at least 0"),
]


@pytest.mark.parametrize(("cls", "words"), MISTAKES, ids=lambda value: getattr(value, "__name__", None))
def test_a_mistake_is_named_with_the_stage_and_what_to_write_instead(cls: type[Stage], words: str) -> None:
    with pytest.raises(PluginError) as caught:
        run_stage(cls, [FRAME])
    said = str(caught.value)
    assert words in said
    assert said.startswith(f"stage {cls.__name__!r} ({__name__})") and "\n" not in said.partition("OpenCV")[0]


def test_a_stage_may_allow_itself_a_larger_snapshot() -> None:
    class Archive(Hoarder):
        snapshot_bytes = 300_000

    assert len(run_stage(Archive, [FRAME])) == 1


def test_the_line_of_the_plug_in_is_named_not_that_of_a_library() -> None:
    with pytest.raises(PluginError, match=r"\(.*test_hosted\.py:\d+\)"):
        run_stage(Painter, [FRAME])


def test_what_a_second_try_may_help_comes_out_as_it_is() -> None:
    class Picky(Copy):
        def process(self, message: Frame) -> Iterable[Message]:
            raise ValueError("not to my taste")

    with pytest.raises(ValueError, match="not to my taste"):
        run_stage(Picky, [FRAME])


def test_a_stream_is_checked_in_full_once_for_each_kind_of_message(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[Message] = []
    monkeypatch.setattr("pipeline.runtime.hosted.fault", lambda message: checked.append(message))
    hosted = Hosted("copy", "plug:Copy", Copy, (Frame, Gap))
    wide = make_frame(np.zeros((48, 80), np.uint8))
    for message in [FRAME, FRAME, FRAME, wide, FRAME, wide]:
        hosted.check(message)
    assert checked == [FRAME, wide]


def test_a_message_that_changes_in_the_middle_of_a_stream_is_checked_again() -> None:
    hosted = Hosted("copy", "plug:Copy", Copy, (Frame, Gap))
    hosted.check(FRAME)
    with pytest.raises(PluginError, match=r"planes\[0\]: found uint8 \(24, 64\)"):
        hosted.check(replace(FRAME, planes=(np.asarray(FRAME.planes[0])[::2],)))


class Grabber(Source):
    """Hands over whatever it is given."""

    given: Any = ()

    def read(self, start_index: int) -> Any:
        return self.given


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (FRAME, "read returned a Frame; allowed: an iterable of messages; write `yield` instead of `return`"),
        (None, "read returned None"),
        ([Data(FRAME.header, "x")], "it handed over a Data (sequence 1); allowed: Frame or Gap"),
        ([np.zeros((4, 4), np.uint8)], "it handed over a numpy.ndarray; allowed: Frame or Gap"),
    ],
)
def test_a_source_is_held_to_its_contract_as_well(given: Any, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Grabber, "given", given)
    hosted = HostedSource("grab", "plug:Grabber", Grabber, Grabber.Options(), TestContext())
    with pytest.raises(PluginError) as caught:
        list(hosted.read(0))
    assert str(caught.value).startswith("stage 'grab' (plug:Grabber): ") and words in str(caught.value)
