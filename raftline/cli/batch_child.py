"""The files of a batch, one after the other, in a process of their own: its nursery and its workers outlive each file.

Run as a program it reads what to do from its standard input, a line of JSON for each file, works, and says on its
standard output how far it is and how it ended, in lines of JSON. When standard input ends while it works, its parent is
gone, and it stops at once.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pipeline.errors import OutputInWork
from raftline.cli.batch_files import FINGERPRINT, REAL_PATH, BatchFile, already_finished
from raftline.cli.failures import in_words

if TYPE_CHECKING:
    from pipeline.config import Plan
    from pipeline.runtime.nursery import Nursery

Told = dict[str, Any]
_answers: TextIO = sys.stdout


class _Requests:
    """The lines of standard input, and what to do when it ends."""

    def __init__(self) -> None:
        self.on_end: Callable[[], None] = lambda: None
        """Called from another thread."""
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> dict[str, Any] | None:
        """The next request; None when there are no more."""
        line = self._lines.get()
        return json.loads(line) if line else None

    def _read(self) -> None:
        for line in sys.stdin:
            self._lines.put(line)
        self._lines.put("")
        self.on_end()


def main() -> None:
    """Work until there are no more requests."""
    global _answers
    # What a plug-in prints must not get between the answers: it goes to standard error.
    _answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests = _Requests()
    nursery: Nursery | None = None
    try:
        while (request := requests.next()) is not None:
            try:
                if nursery is None:
                    nursery = _nursery(request)
                answer = _work(request, nursery, requests)
            except KeyboardInterrupt:
                answer = {"error": "interrupted"}
            except OutputInWork as error:
                answer = {"left": in_words(error)}
            except Exception as error:
                answer = {"error": in_words(error)}
            _say({"answer": answer})
    except KeyboardInterrupt:
        pass  # between two files
    finally:
        if nursery is not None:
            nursery.close()


def _say(told: Told) -> None:
    print(json.dumps(told), file=_answers, flush=True)


def _config(request: dict[str, Any]) -> Any:
    from pipeline.config import load_config

    return load_config(
        request["config"],
        overrides=request["overrides"],
        inputs=[request["path"]],
        output=Path(request["output"]) / request["folder"],
        redis_url=request["redis"],
        names=[request["name"]],
    )


def _nursery(request: dict[str, Any]) -> Nursery:
    from pipeline.runtime.nursery import Nursery

    return Nursery.for_config(_config(request), keep=True)


def _plan(request: dict[str, Any], file: BatchFile) -> Plan:
    from pipeline.config import make_plan
    from pipeline.transport.keys import key_part

    config = _config(request)
    changes = {"name": key_part(f"{config.name}.{file.key}"), "cores": request["cores"]}
    return make_plan(config.model_copy(update=changes))


def _work(request: dict[str, Any], nursery: Nursery, requests: _Requests) -> Told:
    from pipeline.runtime.output_lock import OutputLock, run_of

    file = BatchFile(request["name"], request["path"], request["folder"])
    plan = _plan(request, file)
    output = Path(request["output"])
    plan.output.mkdir(parents=True, exist_ok=True)
    lock = OutputLock.take(plan.output / file.summary_name, run_of(plan))
    try:
        if already_finished(file, plan, output):
            return {"left": "another run has finished it meanwhile"}
        return _run(plan, file, nursery, requests)
    finally:
        lock.release()


def _run(plan: Plan, file: BatchFile, nursery: Nursery, requests: _Requests) -> Told:
    from pipeline.runtime.summary import write_summary
    from pipeline.runtime.supervisor import Supervisor

    def on_status(status: Told) -> None:
        _say({"status": status["sources"][file.name]})

    real_path = None if "://" in file.path else os.path.realpath(file.path)
    of_batch = {FINGERPRINT: file.fingerprint(plan), REAL_PATH: real_path}
    supervisor = Supervisor(plan, nursery=nursery, on_status=on_status, summary_name=file.summary_name)
    requests.on_end = supervisor.abort
    summary = supervisor.run()
    write_summary(plan.output / file.summary_name, {**summary, **of_batch})
    source = summary["sources"][file.name]
    letters = [letter["error"] for letter in summary.get("dead_letters", [])]
    error = source["error"] or (f"{len(letters)} messages were given up: {letters[0]}" if letters else None)
    if error is None and source["state"] == "failed":
        error = "failed"
    said = f"{source['state']}, {source['frames_decoded']} frames, {summary['seconds']:.1f} s"
    return {"error": error, "said": said, "outputs": source["outputs"]}
