"""The nursery's program: load modules, then fork a worker for each request. See `pipeline.runtime.nursery`.

Each request and each answer is one line of JSON on a socket. ``{"loaded": count}`` says that the plug-ins are loaded.
``{"arguments": [...], "environment": {...}}`` is answered by ``{"born": pid}``, and when that worker has ended
``{"ended": pid, "status": code, "cpu_seconds": seconds}`` follows. The program ends when the socket closes.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline import registry
from pipeline.runtime.cores import limit_loaded_libraries

_THREADS = Path("/proc/self/task")
"""Lists the threads of this process, on Linux."""
_ALWAYS = ("pipeline.runtime.worker", "pipeline.transport.redis_streams")


def main() -> int:
    """Serve until the socket closes. Returns in each worker, with its exit status."""
    task = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    registry.add_search_path(task["search_path"])
    gc.disable()  # what modules make stays: to look for garbage among it takes a tenth of their time
    _load(task)
    gc.collect()
    gc.freeze()  # otherwise a collection in a worker writes to, and so copies, every page that holds an object
    gc.enable()
    born = None
    with socket.socket(fileno=task["channel"]) as channel, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        channel.sendall(_line(loaded=len(task["plugins"])))
        born = _serve(channel)
    if born is None:
        os._exit(0)  # to take down what was loaded for others would take a moment, and serve nobody
    return _work(born)


def _load(task: dict[str, Any]) -> None:
    """Load the plug-ins that leave this process with a single thread: with more, a fork is not safe.

    One that starts a thread, or opens a GPU, is left to its workers: this program then starts again without it.
    """
    if not _THREADS.exists():
        return  # where that cannot be seen, the workers load everything
    for module in _ALWAYS:
        registry.load_module(module)
    for plugin in task["plugins"]:
        use, given = plugin
        with contextlib.suppress(BaseException):  # the worker says what is wrong; a plug-in may even call sys.exit
            for module in registry.load(use).modules(given):
                registry.load_module(module)
        if sum(1 for _ in _THREADS.iterdir()) > 1:
            task["plugins"].remove(plugin)
            os.set_inheritable(task["channel"], True)
            os.execv(sys.executable, [*sys.orig_argv[:-1], json.dumps(task)])


def _serve(channel: socket.socket) -> dict[str, Any] | None:
    """Fork for each request. Returns None when the socket closes, and in a worker its request."""
    wake, on_child = os.pipe()
    os.set_blocking(on_child, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(on_child)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    received = b""
    while True:
        ready, _, _ = select.select([channel, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            for answer in _ended():
                channel.sendall(answer)
        if channel not in ready:
            continue
        new = channel.recv(65536)
        if not new:
            return None
        *lines, received = (received + new).split(b"\n")
        for line in lines:
            pid = os.fork()
            if pid == 0:
                os.close(wake)
                return _born(json.loads(line), on_child)
            channel.sendall(_line(born=pid))


def _born(request: dict[str, Any], wakeup: int) -> dict[str, Any]:
    """A worker's first steps: away from the nursery, into a session of its own."""
    signal.set_wakeup_fd(-1)
    os.close(wakeup)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    return request


def _work(request: dict[str, Any]) -> int:
    from pipeline.runtime.worker import main as work

    os.environ.update(request["environment"])
    limit_loaded_libraries(request["environment"])
    return work(request["arguments"])


def _ended() -> Iterator[bytes]:
    while True:
        try:
            pid, status, used = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        cpu_seconds = round(used.ru_utime + used.ru_stime, 3)
        yield _line(ended=pid, status=os.waitstatus_to_exitcode(status), cpu_seconds=cpu_seconds)


def _line(**message: float) -> bytes:
    return json.dumps(message).encode() + b"\n"
