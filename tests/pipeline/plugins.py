"""Plug-ins that the tests of the machine run in real worker processes."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import InputError
from pipeline.messages import EndOfStream, Flow, Frame, Gap, Mask, Message
from pipeline.stage import Context, Options, Source, Stage
from pipeline.testing import make_frame
from stages.shared.line_file import LineFile


class Counter(Source):
    """Frames whose every pixel is their index, as fast or as slow as asked for; live if the input says so."""

    class Options(Options):
        frames: int = 100
        frames_per_second: float = 0
        fail_at: int = -1
        side_px: int = 32

    def __init__(self, options: Any, context: Context) -> None:
        super().__init__(options, context)
        self._stop = threading.Event()

    @classmethod
    def is_live(cls, input: str) -> bool:
        return input == "live"

    def read(self, start_index: int) -> Iterator[Frame | Gap]:
        for index in range(start_index, self.options.frames):
            if self.options.frames_per_second and self._stop.wait(1 / self.options.frames_per_second):
                return
            if index == self.options.fail_at:
                raise InputError(f"{self.context.source.display}: broken at frame {index}")
            side = self.options.side_px
            image = np.full((side, side), index % 256, np.uint8)
            yield make_frame(image, index, header=self.context.header(index, Fraction(1, 30)))

    def stop(self) -> None:
        self._stop.set()


class Relay(Stage):
    """Passes frames on; does what it is told at one frame."""

    class Options(Options):
        at: int = -1
        do: str = ""
        every: bool = False

    reads = (Frame,)
    writes = Frame

    def open(self) -> None:
        if self.options.do == "hang in open":
            time.sleep(3600)
        if self.options.do == "fail to open":
            raise ZeroDivisionError("no such thing")

    def process(self, message: Frame) -> Iterable[Message]:
        if message.index == self.options.at or self.options.every:
            if self.options.do == "raise":
                raise ValueError("frame is not to my taste")
            if self.options.do == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.options.do == "hang":
                time.sleep(3600)
            if self.options.do == "repeat":
                yield message
            if self.options.do == "exit":
                sys.exit(3)
            if self.options.do == "recurse":
                yield from self.process(message)
            if self.options.do == "ask":
                input("go on? ")
            if self.options.do == "break":
                breakpoint()
            if self.options.do == "misspell":
                message.planse  # noqa: B018  # pyright: ignore
        yield message


class Heavy(Relay):
    """Has as much to do as optical flow, as far as the budget of cores knows."""

    work = 10.0


class Collector(Relay):
    """Yields nothing of a file before its end, as far as the budget of cores knows."""

    @classmethod
    def yields_at_end(cls, options: Any) -> bool:
        return True


class EveryThird(Stage):
    """Passes every third frame on and says nothing of the others."""

    reads = (Frame,)
    writes = Frame

    def open(self) -> None:
        self._seen = 0

    def process(self, message: Frame) -> Iterable[Message]:
        self._seen += 1
        return (message,) if self._seen % 3 == 0 else ()

    def snapshot(self) -> Mapping[str, Any]:
        return {"seen": self._seen}


class Adder(Stage):
    """Yields the sum of all frames so far, modulo 256: its state is an array."""

    reads = (Frame,)
    writes = Frame

    def open(self) -> None:
        self._sum = np.zeros((0, 0), np.uint8)

    def process(self, message: Frame) -> Iterable[Message]:
        plane = np.asarray(message.planes[0])
        self._sum = plane.copy() if self._sum.shape != plane.shape else self._sum + plane
        yield replace(message, planes=(self._sum.copy(),))

    def checkpoint(self) -> Mapping[str, Any]:
        return {"sum": self._sum}

    def restore_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        self._sum = checkpoint["sum"]


class Ledger(Stage):
    """Writes down what it got: one line a message, checked against the pixels. Its state survives by snapshots."""

    class Options(Options):
        path: str = "{source}.{stage}.txt"
        seconds_per_frame: float = 0

    reads = (Frame,)

    def open(self) -> None:
        self._lines: list[str] = []
        self._file = self.context.output(self.options.path)

    def snapshot(self) -> Mapping[str, Any]:
        return {"lines": _packed(self._lines)}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._lines = [str(int(line) + k) if k else line for line, count in snapshot["lines"] for k in range(count)]

    def process(self, message: Frame) -> Iterable[Message]:
        time.sleep(self.options.seconds_per_frame)
        pixels = np.asarray(message.planes[0])
        assert (pixels == message.index % 256).all()
        self._lines.append(str(message.index))
        return ()

    def gap(self, gap: Gap) -> Iterable[Message]:
        self._lines.append(gap.reason)
        return ()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        if end.reason == "failed":
            self._file.discard()
            return ()
        self._file.part.write_text("\n".join([*self._lines, end.reason]))
        self._file.finish()
        return ()


def _packed(lines: Sequence[str]) -> list[list[Any]]:
    """Each line with how many numbers follow it one by one: a snapshot that does not grow with the run."""
    packed: list[list[Any]] = []
    for line in lines:
        if packed and line.isdigit() and packed[-1][0].isdigit() and int(line) == int(packed[-1][0]) + packed[-1][1]:
            packed[-1][1] += 1
        else:
            packed.append([line, 1])
    return packed


class Logger(Stage):
    """Appends ``index process`` for each frame to a file, as an event log does: at once, and cut back after a crash."""

    class Options(Options):
        seconds_per_frame: float = 0

    reads = (Frame,)

    def open(self) -> None:
        self._path = self.context.output("{source}.{stage}.txt").path
        self._lines = LineFile.new(self._path) if not self._path.exists() else None

    def snapshot(self) -> Mapping[str, Any]:
        assert self._lines is not None
        return {"length": self._lines.length}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._lines = LineFile.resumed(self._path, snapshot["length"])

    def process(self, message: Frame) -> Iterable[Message]:
        time.sleep(self.options.seconds_per_frame)
        assert self._lines is not None
        self._lines.append(f"{message.index} {os.getpid()}")
        return ()


class Chorus(Ledger):
    """A ledger that notes beside each frame how many sources' frames were begun with it: ``index/company``.

    It dies once, when a frame from `die_at` on is first begun with others; a file `died` says that it has.
    """

    class Options(Ledger.Options):
        die_at: int = -1
        died: str = ""

    begun: tuple[Frame, int] | None = None

    @classmethod
    def prepare_batch(cls, waiting: Sequence[tuple[Stage, Message]]) -> None:
        for stage, message in waiting:
            assert isinstance(stage, Chorus) and isinstance(message, Frame) and stage.begun is None
            died = Path(stage.options.died)
            if 0 <= stage.options.die_at <= message.index and not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            stage.begun = message, len(waiting)

    def process(self, message: Frame) -> Iterable[Message]:
        begun, self.begun = self.begun, None
        assert begun is None or begun[0] is message
        list(super().process(message))
        self._lines[-1] += f"/{begun[1] if begun else 1}"
        return ()


class Holder(Stage):
    """Looks ahead: yields a frame only when `hold` later ones have come."""

    class Options(Options):
        hold: int = 5
        die_at: int = -1
        fail_at_end: bool = False

    reads = (Frame,)
    writes = Frame

    def open(self) -> None:
        self._held: deque[Frame] = deque()

    def process(self, message: Frame) -> Iterable[Message]:
        if message.index == self.options.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._held.append(message)
        if len(self._held) > self.options.hold:
            yield self._held.popleft()

    def gap(self, gap: Gap) -> Iterable[Message]:
        yield from self._held
        self._held.clear()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        if self.options.fail_at_end:
            raise ValueError("ends are not to my taste")
        yield from self._held
        self._held.clear()

    def unacked_window(self) -> int:
        return len(self._held)


class Shifter(Stage):
    """Flow that is the same everywhere."""

    reads = (Frame,)
    writes = Flow

    def process(self, message: Frame) -> Iterable[Message]:
        rows, columns = -(-message.height // 8), -(-message.width // 8)
        yield Flow(message.header, message, "cold", np.full((rows, columns, 2), (1.5, -0.25), np.float32))


class Diary(Stage):
    """One JSON line for every message of a flow stream, written at once: a test looks at it while the run goes on."""

    class Options(Options):
        path: str = "{source}.diary.jsonl"

    reads = (Flow,)

    def open(self) -> None:
        self._output = self.context.output(self.options.path)

    def process(self, message: Flow) -> Iterable[Message]:
        self._note(kind="Flow", start=message.start, pts_seconds=message.header.pts_seconds)
        return ()

    def gap(self, gap: Gap) -> Iterable[Message]:
        self._note(kind=gap.reason)
        return ()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        self._note(kind=end.reason)
        self._output.finish()
        return ()

    def _note(self, **values: Any) -> None:
        with self._output.part.open("a") as lines:
            lines.write(json.dumps(values) + "\n")


class Masker(Stage):
    """Masks in which nothing moves."""

    reads = (Frame,)
    writes = Mask

    def process(self, message: Frame) -> Iterable[Message]:
        yield Mask(message.header, message, np.zeros((message.height, message.width), np.uint8))


class Notes(Stage):
    """Remembers how it was called for each mask."""

    reads = (Mask,)

    def open(self) -> None:
        self.noted: list[tuple[str, int, int | None]] = []

    def process(self, message: Mask) -> Iterable[Message]:
        return self._note("process", message)

    def recycled(self, message: Mask) -> Iterable[Message]:
        return self._note("recycled", message)

    def gap(self, gap: Gap) -> Iterable[Message]:
        self.noted.append(("gap", gap.header.pts or 0, None))
        return ()

    def _note(self, how: str, message: Mask) -> Iterable[Message]:
        self.noted.append((how, message.frame.index, message.events[0].id if message.events else None))
        return ()


class Calculator(Stage):
    """Computes with each library that has a pool of threads, and writes down by how many its process grew."""

    class Options(Options):
        path: str = "{source}.threads.json"

    reads = (Frame,)

    def process(self, message: Frame) -> Iterable[Message]:
        output = self.context.output(self.options.path)
        output.part.write_text(json.dumps(self._grown(self.context.threads)))
        output.finish()
        return ()

    @staticmethod
    @functools.cache  # a worker that loses its lease on a busy machine processes the frame again
    def _grown(threads: int) -> dict[str, int]:
        import cv2
        import threadpoolctl
        import torch

        array = np.ones((1024, 1024), np.float32)
        # The pool of numpy's BLAS has its threads before it is used.
        blas = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        grown = {"share": threads, "numpy": max(blas) - 1}
        for library, compute in {
            "torch": lambda: torch.from_numpy(array) @ torch.from_numpy(array),
            "opencv": lambda: cv2.GaussianBlur(np.ones((2048, 2048, 3), np.uint8), (9, 9), 2),
            "numba": _sum_in_parallel,
        }.items():
            before = len(os.listdir("/proc/self/task"))
            compute()
            grown[library] = len(os.listdir("/proc/self/task")) - before
        return grown


class Pools(Stage):
    """Says with how many threads OpenCV and BLAS would compute."""

    reads = (Frame,)

    def process(self, message: Frame) -> Iterable[Message]:
        self.context.status(**pools())
        return ()


def pools() -> dict[str, int]:
    """Limits of the pools of this process and thread."""
    import cv2
    import threadpoolctl

    found = threadpoolctl.threadpool_info()
    return {"opencv": cv2.getNumThreads(), "blas": max(p["num_threads"] for p in found if p["user_api"] == "blas")}


def _sum_in_parallel() -> Any:
    import numba

    @numba.njit(parallel=True)
    def total(values: Any) -> Any:
        found = 0.0
        for index in numba.prange(len(values)):
            found += values[index]
        return found

    return total(np.ones(1_000_000))
