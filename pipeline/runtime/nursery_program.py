"""The nursery's program: load modules, then fork a worker for each request. See `pipeline.runtime.nursery`.

Each request and each answer is one line of JSON on a socket. ``{"loaded": count}`` says that the plug-ins are loaded.
``{"arguments": [...], "environment": {...}, "kind": text}`` is answered by ``{"born": pid}``, and when that worker has
ended ``{"ended": pid, "status": code, "cpu_seconds": seconds}`` follows. The program ends when the socket closes.

A worker with a kind that has ended well is kept, and the next request of its kind goes to it, over a socket of its own:
what it has loaded, compiled and opened serves again. For its owner it has ended, and is born anew with the same number.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from pipeline import registry
from pipeline.demand import Demand
from pipeline.runtime.cores import limit_loaded_libraries
from pipeline.runtime.own_program import own_program

_THREADS = Path("/proc/self/task")
"""Lists the threads of this process, on Linux."""
_TASK = 0
"""Standard input is a file with the task: channel, the workers' standard input, plug-ins with options, search path."""
_ALWAYS = ("pipeline.runtime.worker_program", "pipeline.transport.redis_streams")


def main() -> NoReturn:
    """Serve until the socket closes; in each worker, work until there is no more, and end with its exit status."""
    with open(_TASK, closefd=False) as told:
        task = json.load(told)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    registry.add_search_path(task["search_path"])
    gc.disable()  # what modules make stays: to look for garbage among it takes a tenth of their time
    _load(task)
    with open(os.devnull if task["stdin"] is None else task["stdin"], "rb", 0) as piped:
        os.dup2(piped.fileno(), _TASK)  # what workers find there
    gc.collect()
    gc.freeze()  # otherwise a collection in a worker writes to, and so copies, every page that holds an object
    gc.enable()
    born = None
    with socket.socket(fileno=task["channel"]) as channel, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        channel.sendall(_line(loaded=len(task["plugins"])))
        born = _Births(channel).serve()
    if born is None:
        os._exit(0)  # to take down what was loaded for others would take a moment, and serve nobody
    _end_at_once(born.live())


def _load(task: dict[str, Any]) -> None:
    """Load the plug-ins that leave this process with a single thread: with more, a fork is not safe.

    One that starts a thread, or opens a GPU, is left to its workers: this program then starts again without it.
    """
    if not _THREADS.exists():
        return  # where that cannot be seen, the workers load everything
    for module in _ALWAYS:
        registry.load_module(module)
    for plugin in task["plugins"]:
        with contextlib.suppress(BaseException):  # the worker says what is wrong; a plug-in may even call sys.exit
            for module in _modules(*plugin):
                registry.load_module(module)
        if sum(1 for _ in _THREADS.iterdir()) > 1:
            task["plugins"].remove(plugin)
            for descriptor in (task["channel"], task["stdin"]):
                if descriptor is not None:
                    os.set_inheritable(descriptor, True)
            _tell_again(task)
            os.execv(sys.executable, own_program(__name__))


def _modules(use: str, given: dict[str, Any], asked: dict[str, Any] | None = None) -> Iterable[str]:
    """What a plug-in wants to be loaded; `asked`: of a stage, what its readers ask for, as far as that is known."""
    plugin: Any = registry.load(use)
    return plugin.modules(given) if asked is None else plugin.modules_for(given, Demand(**asked))


def _tell_again(task: dict[str, Any]) -> None:
    """To this program, when it starts again."""
    os.ftruncate(_TASK, 0)
    os.pwrite(_TASK, json.dumps(task).encode(), 0)
    os.lseek(_TASK, 0, os.SEEK_SET)


class _Births:
    """Forks workers on request, keeps those that may work again, and tells how they end."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._kept: dict[int, _Kept] = {}
        """By process id; at work, or waiting for it."""
        self._wake, self._on_child = os.pipe()
        for end in (self._wake, self._on_child):
            os.set_blocking(end, False)

    def serve(self) -> _Worker | None:
        """Serve requests. Returns None when the socket closes, and in a worker that worker."""
        signal.set_wakeup_fd(self._on_child)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        received = b""
        while True:
            ready, _, _ = select.select([self._channel, self._wake, *self._at_work()], [], [])
            for pid, worker in list(self._kept.items()):
                if worker.pipe in ready:
                    self._look(pid, worker)
            if self._wake in ready:
                os.read(self._wake, 4096)
                self._reap()
            if self._channel not in ready:
                continue
            new = self._channel.recv(65536)
            if not new:
                return None
            *lines, received = (received + new).split(b"\n")
            for line in lines:
                worker = self._bear(line)
                if worker is not None:
                    return worker

    def _at_work(self) -> list[socket.socket]:
        return [worker.pipe for worker in self._kept.values() if worker.at_work]

    def _bear(self, line: bytes) -> _Worker | None:
        kind = json.loads(line).get("kind")
        pid = self._given_to_another(line, kind)
        if pid is None:
            ours, theirs = socket.socketpair()
            pid = os.fork()
            if pid == 0:
                ours.close()
                return self._born(line, theirs if kind else None)
            theirs.close()
            if kind:
                ours.setblocking(False)
                self._kept[pid] = _Kept(kind, ours)
            else:
                ours.close()
        self._channel.sendall(_line(born=pid))
        return None

    def _given_to_another(self, line: bytes, kind: str | None) -> int | None:
        """The worker of this kind that had nothing to do and took the request."""
        for pid, worker in self._kept.items():
            if worker.kind == kind and not worker.at_work:
                with contextlib.suppress(OSError):  # it has just died
                    worker.pipe.sendall(line + b"\n")
                    worker.at_work = True
                    return pid
        return None

    def _born(self, line: bytes, pipe: socket.socket | None) -> _Worker:
        """A worker's first steps: away from the nursery, into a session of its own."""
        signal.set_wakeup_fd(-1)
        os.close(self._wake)
        os.close(self._on_child)
        for other in self._kept.values():
            other.pipe.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        return _Worker(json.loads(line), pipe)

    def _look(self, pid: int, worker: _Kept) -> None:
        """Take note if a worker says that it has ended its work."""
        try:
            said = worker.pipe.recv(4096)
        except OSError:
            return
        if said:
            worker.at_work = False
            worker.cpu_seconds = json.loads(said)["cpu_seconds"]
            self._channel.sendall(_line(ended=pid, status=0, cpu_seconds=worker.since_birth()))

    def _reap(self) -> None:
        for pid, status, cpu_seconds in _ended():
            worker = self._kept.get(pid)
            if worker is not None:
                self._look(pid, worker)
                del self._kept[pid]
                worker.pipe.close()
                if not worker.at_work:
                    continue
                worker.cpu_seconds = cpu_seconds
                cpu_seconds = worker.since_birth()
            self._channel.sendall(_line(ended=pid, status=status, cpu_seconds=cpu_seconds))


class _Kept:
    """A worker that is kept, seen from the nursery."""

    def __init__(self, kind: str, pipe: socket.socket) -> None:
        self.kind = kind
        self.pipe = pipe
        self.at_work = True
        self.cpu_seconds = 0.0
        """In all its lives."""
        self._told = 0.0

    def since_birth(self) -> float:
        """CPU time of its last life, s."""
        new, self._told = self.cpu_seconds - self._told, self.cpu_seconds
        return round(new, 3)


class _Worker:
    """What a forked process does: one request, or one after the other."""

    def __init__(self, request: dict[str, Any], pipe: socket.socket | None) -> None:
        self._request = request
        self._pipe = pipe

    def live(self) -> int:
        """Work until there is no more of it, or it fails. Returns the exit status."""
        from pipeline.runtime.worker_program import main as work

        os.environ.update(self._request["environment"])
        limit_loaded_libraries(self._request["environment"])
        while True:
            status = work(self._request["arguments"])
            if self._pipe is None or status != 0:
                return status
            # Until the next Worker has its handler, as after the fork.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            used = resource.getrusage(resource.RUSAGE_SELF)
            try:
                self._pipe.sendall(_line(cpu_seconds=round(used.ru_utime + used.ru_stime, 3)))
                received = b""
                while not received.endswith(b"\n"):
                    new = self._pipe.recv(65536)
                    if not new:
                        os._exit(0)
                    received += new
            except OSError:
                os._exit(0)  # the nursery is gone
            self._request = json.loads(received)


def _end_at_once(status: int) -> NoReturn:
    """End a worker without taking down what it loaded, which writes to, and so copies, the pages it was forked with.

    That takes 0.08 CPU seconds of each worker. Threads are waited for, and those of pools end, as at the end of Python.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or there is none
            stream.flush()
    os._exit(status)


def _ended() -> Iterator[tuple[int, int, float]]:
    """Process id, exit status and CPU time (s) of children that have ended."""
    while True:
        try:
            pid, status, used = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, os.waitstatus_to_exitcode(status), round(used.ru_utime + used.ru_stime, 3)


def _line(**message: float) -> bytes:
    return json.dumps(message).encode() + b"\n"
