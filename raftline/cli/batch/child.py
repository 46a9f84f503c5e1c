"""The files of a batch, one after the other, in a process of their own. What is slow to begin outlives each file.

Run as a program it reads what to do from its standard input, a line of JSON for each file, works, and says on its
standard output how far it is and how it ended, in lines of JSON. When standard input ends while it works, its parent is
gone, and it stops at once.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pipeline.errors import OutputInWork, ServerEnded
from pipeline.remote.scratch import scratch_folder
from pipeline.runtime.stop_signals import on_stop_signals
from raftline.cli.batch.files import BatchFile, already_finished, as_given
from raftline.cli.batch.input import opened
from raftline.cli.batch.place import Held, Place
from raftline.cli.batch.places import open_place
from raftline.cli.failures import in_words

if TYPE_CHECKING:
    from pipeline.config import Config, Plan
    from pipeline.runtime.nursery import Nursery
    from pipeline.runtime.output_lock import Run
    from pipeline.transport.redis_server import PrivateServer

Told = dict[str, Any]
_answers: TextIO = sys.stdout


class _Requests:
    """The lines of standard input, and what to do when it ends."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.on_end: Callable[[], None] = lambda: None
        """Called from another thread."""
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    @contextmanager
    def at_end(self, act: Callable[[], None]) -> Iterator[None]:
        """Call `act` from another thread when standard input ends meanwhile, and now if it has ended."""
        self.on_end = act
        if self.ended.is_set():
            act()
        try:
            yield
        finally:
            self.on_end = lambda: None

    def next(self) -> dict[str, Any] | None:
        """The next request; None when there are no more."""
        line = self._lines.get()
        return json.loads(line) if line else None

    def _read(self) -> None:
        for line in sys.stdin:
            self._lines.put(line)
        self._lines.put("")
        self.ended.set()
        self.on_end()


class _Kept:
    """What outlives a file: the nursery with its workers, and the private server."""

    def __init__(self) -> None:
        self._nursery: Nursery | None = None
        self._server: PrivateServer | None = None

    def nursery(self, config: Config) -> Nursery:
        """Where workers are born, and kept."""
        from pipeline.runtime.nursery import Nursery

        if self._nursery is None:
            self._nursery = Nursery.for_config(config, keep=True)
        return self._nursery

    def server(self, plan: Plan) -> PrivateServer | None:
        """The server of this process; None if the plan names another."""
        from pipeline.transport.redis_server import PrivateServer

        if plan.redis_url is not None:
            return None
        if self._server is not None and not self._server.alive():
            self._server.stop()
            self._server = None
        if self._server is None:
            self._server = PrivateServer.start(plan.redis_memory_mb)
        return self._server

    def close(self) -> None:
        """End both."""
        if self._nursery is not None:
            self._nursery.close()
        if self._server is not None:
            self._server.stop()


def main() -> None:
    """Work until there are no more requests."""
    global _answers
    # What a plug-in prints must not get between the answers: it goes to standard error.
    _answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests, kept = _Requests(), _Kept()
    try:
        while (request := requests.next()) is not None:
            try:
                answer = _work(request, kept, requests)
            except KeyboardInterrupt:
                answer = {"error": "interrupted"}
            except OutputInWork as error:
                answer = {"left": in_words(error)}
            except ServerEnded as error:
                answer = {"error": in_words(error), "again": True}
            except Exception as error:
                answer = {"error": in_words(error)}
            _say({"answer": answer})
    except KeyboardInterrupt:
        pass  # between two files
    finally:
        kept.close()


def _say(told: Told) -> None:
    print(json.dumps(told), file=_answers, flush=True)


def _config(request: dict[str, Any], work: Path) -> Config:
    from pipeline.config import load_config

    return load_config(
        request["config"],
        overrides=request["overrides"],
        inputs=[as_given(request["path"])],
        output=work / request["folder"],
        redis_url=request["redis"],
        names=[request["name"]],
    )


def _work(request: dict[str, Any], kept: _Kept, requests: _Requests) -> Told:
    from pipeline.runtime.output_lock import Run, this_process

    place = open_place(request["output"], scratch_folder(request["scratch"]))
    file = BatchFile(request["name"], request["path"], request["folder"], request["version"])
    config = _config(request, place.work)
    nursery = kept.nursery(config)  # loads the plug-ins while the rest is made ready
    plan = _plan(config, file, request["cores"])
    plan.output.mkdir(parents=True, exist_ok=True)
    run = Run(request["run"], this_process())
    with place.alone(os.path.join(file.folder, file.summary_name), run) as held:
        place.refresh_note(file)
        if already_finished(file, plan, place.notes, place.has):
            return {"left": "another run has finished it meanwhile"}

        def supervised(plan: Plan, summary_name: str) -> Told:
            return _supervised(plan, file.name, summary_name, nursery, kept.server(plan), requests)

        if already_finished(file, plan, place.work):  # by a run that could not deliver it
            answer: Told = {"said": "finished before, delivered now"}
            return answer | _deliver(place, file, held, requests, {})
        return _done(request, plan, file, place, held, run, supervised, requests)


def _done(
    request: dict[str, Any],
    plan: Plan,
    file: BatchFile,
    place: Place,
    held: Held,
    run: Run,
    supervised: Callable[[Plan, str], Told],
    requests: _Requests,
) -> Told:
    """Do the task of a request; the answer."""
    from raftline.cli.batch.tasks import FileTasks

    with ExitStack() as stack:
        with requests.at_end(_interrupt):
            scratch = scratch_folder(request["scratch"])
            ready, read = stack.enter_context(opened(plan, file.name, file.path, scratch, request["fetch"]))
        answer = FileTasks(ready, file, supervised, run).do(request["task"])
    return answer | _deliver(place, file, held, requests, read) if "outputs" in answer else answer


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def _deliver(place: Place, file: BatchFile, held: Held, requests: _Requests, about: dict[str, str]) -> Told:
    """A first Ctrl-C lets it come to its end, unless something has to be tried again; a second does not."""
    given_up = threading.Event()

    def on_signal(number: int) -> None:
        if given_up.is_set():
            raise KeyboardInterrupt
        given_up.set()

    with on_stop_signals(on_signal), requests.at_end(given_up.set):
        return {"outputs": place.deliver(file, held, given_up, about)}


def _plan(config: Config, file: BatchFile, cores: int) -> Plan:
    from pipeline.config import make_plan
    from pipeline.transport.keys import key_part

    changes = {"name": key_part(f"{config.name}.{file.key}"), "cores": cores}
    return make_plan(config.model_copy(update=changes))


def _supervised(
    plan: Plan, source: str, summary_name: str, nursery: Nursery, server: PrivateServer | None, requests: _Requests
) -> Told:
    from pipeline.runtime.supervisor import Supervisor

    def on_status(status: Told) -> None:
        _say({"status": status["sources"][source]})

    plan.output.mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(plan, nursery=nursery, server=server, on_status=on_status, summary_name=summary_name)
    with requests.at_end(supervisor.abort):
        return supervisor.run()


if __name__ == "__main__":
    main()
