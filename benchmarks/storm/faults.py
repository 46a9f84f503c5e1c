"""What is done to the runs of a storm: one fault after another, by a seed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import psutil

from benchmarks.storm.runs import Run
from benchmarks.storm.world import RedisServer


class Camera(Protocol):
    """A server that shows something."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


@dataclass
class Storm:
    """Faults in a random order, one at a time, with calm stretches between.

    Every fault is over when the next one begins, but what follows from it need not be.
    """

    seed: int
    runs: Callable[[], Sequence[Run]]
    """Those that are under way."""
    files_server: RedisServer
    cameras_server: RedisServer
    cameras: Sequence[Camera]
    calm_every: int = 12
    """Faults between two stretches in which nothing happens."""
    calm_seconds: float = 40.0
    done: list[dict[str, Any]] = field(default_factory=list)
    calm: list[tuple[float, float]] = field(default_factory=list)
    """Begin and end of each calm stretch, s since 1970."""

    def rage(self, seconds: float) -> None:
        """Do one fault after another for so long."""
        rng, until = random.Random(self.seed), time.monotonic() + seconds
        faults = self._faults()
        names = [name for name, (weight, _) in faults.items() for _ in range(weight)]
        while time.monotonic() < until:
            if self.done and len(self.done) % self.calm_every == 0 and self.calm_seconds:
                self._rest(min(self.calm_seconds, until - time.monotonic()))
            name = rng.choice(names)
            at = time.time()
            what = faults[name][1](rng)
            self.done.append({"at": round(at, 2), "fault": name, "what": what})
            time.sleep(rng.uniform(1.0, 5.0))

    def _rest(self, seconds: float) -> None:
        begin = time.time()
        time.sleep(max(0.0, seconds))
        self.calm.append((begin, time.time()))

    def _faults(self) -> dict[str, tuple[int, Callable[[random.Random], str]]]:
        """By name: how often it is drawn, and what it does; that says what it met."""
        return {
            "kill a worker": (10, self._kill),
            "pause a worker": (3, self._pause),
            "restart Redis, which keeps": (1, lambda rng: self._restart(self.files_server, rng)),
            "restart Redis, which forgets": (1, lambda rng: self._restart(self.cameras_server, rng)),
            "pause Redis": (1, self._pause_server),
            "cut a camera": (3, self._cut),
            "silence a camera": (1, self._silence),
        }

    def _worker(self, rng: random.Random) -> psutil.Process | None:
        workers = [worker for run in self.runs() for worker in run.workers()]
        return rng.choice(workers) if workers else None

    def _kill(self, rng: random.Random) -> str:
        worker = self._worker(rng)
        if worker is None:
            return "nobody"
        with contextlib.suppress(psutil.NoSuchProcess):
            name = worker.name()
            os.kill(worker.pid, signal.SIGKILL)
            return name
        return "nobody"

    def _pause(self, rng: random.Random) -> str:
        """It may be paused for longer than its lease lives."""
        worker, seconds = self._worker(rng), rng.choice((0.5, 3.0, 14.0))
        if worker is None:
            return "nobody"
        with contextlib.suppress(psutil.NoSuchProcess):
            name = worker.name()
            worker.suspend()
            time.sleep(seconds)
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.resume()
            return f"{name} for {seconds} s"
        return "nobody"

    def _restart(self, server: RedisServer, rng: random.Random) -> str:
        seconds = rng.uniform(0.1, 4.0)
        server.kill()
        time.sleep(seconds)
        server.start()
        return f"away for {seconds:.1f} s"

    def _pause_server(self, rng: random.Random) -> str:
        seconds = rng.uniform(0.5, 4.0)
        rng.choice((self.files_server, self.cameras_server)).pause(seconds)
        return f"{seconds:.1f} s"

    def _cut(self, rng: random.Random) -> str:
        number, seconds = rng.randrange(len(self.cameras)), rng.uniform(0.5, 6.0)
        self.cameras[number].stop()
        time.sleep(seconds)
        self.cameras[number].start()
        return f"camera {number} for {seconds:.1f} s"

    def _silence(self, rng: random.Random) -> str:
        number, seconds = rng.randrange(len(self.cameras)), rng.uniform(2.0, 8.0)
        self.cameras[number].pause()
        time.sleep(seconds)
        self.cameras[number].resume()
        return f"camera {number} for {seconds:.1f} s"


@contextlib.contextmanager
def beside(work: Callable[[threading.Event], None]) -> Iterator[threading.Thread]:
    """Do some work in a thread until the block is left; `work` ends soon once its event is set."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,))
    thread.start()
    try:
        yield thread
    finally:
        over.set()
        thread.join()
