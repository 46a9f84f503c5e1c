"""One file of a batch, in a process of its own.

Run as a program it reads what to do from its standard input, one line of JSON, works, and says on its standard output
how it ended. When standard input ends, its parent is gone, and it stops at once.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from pipeline.runtime.own_program import own_program
from raftline.cli.batch_files import FINGERPRINT, REAL_PATH, BatchFile
from raftline.cli.failures import in_words


class Interruption:
    """Ctrl-C and SIGTERM while a batch runs: no file is begun any more, and those under way are told to drain."""

    def __init__(self) -> None:
        self.happened = False
        self._children: set[subprocess.Popen[str]] = set()
        self._lock = threading.RLock()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def add(self, child: subprocess.Popen[str]) -> None:
        """`child` is to hear of it."""
        with self._lock:
            self._children.add(child)
            if self.happened:
                child.send_signal(signal.SIGINT)

    def remove(self, child: subprocess.Popen[str]) -> None:
        """`child` has ended."""
        with self._lock:
            self._children.discard(child)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.happened = True
        with self._lock:
            for child in self._children:
                child.send_signal(number)


class FileRun:
    """The parent's side of one file."""

    def __init__(self, file: BatchFile, request: dict[str, Any]) -> None:
        self.file = file
        self.said = ""
        """How it went, in a few words, after `run`."""
        self._request = {**request, "name": file.name, "path": file.path, "folder": file.folder}

    def run(self, interruption: Interruption) -> str | None:
        """Work on the file until it is done; the error in words, or None."""
        child = subprocess.Popen(
            own_program("raftline.cli.batch_child"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C comes through `interruption`
        )
        interruption.add(child)
        assert child.stdin is not None
        assert child.stdout is not None
        with child, child.stdin, child.stdout:
            child.stdin.write(json.dumps(self._request) + "\n")
            child.stdin.flush()
            answer = child.stdout.read()
            status = child.wait()
        interruption.remove(child)
        if not answer.strip():
            return f"its process ended with status {status} and said nothing"
        told = json.loads(answer.splitlines()[-1])
        self.said = told["said"]
        return told["error"]


def main() -> None:
    """The child's side."""
    request = json.loads(sys.stdin.readline())
    try:
        answer = _work(request)
    except KeyboardInterrupt:
        answer = {"error": "interrupted", "said": ""}
    except Exception as error:
        answer = {"error": in_words(error), "said": ""}
    print(json.dumps(answer), flush=True)


def _work(request: dict[str, Any]) -> dict[str, Any]:
    from pipeline.config import load_config, make_plan
    from pipeline.config.plan import Plan
    from pipeline.runtime.summary import write_summary
    from pipeline.runtime.supervisor import Supervisor
    from pipeline.transport.keys import key_part

    file = BatchFile(request["name"], request["path"], request["folder"])
    output = Path(request["output"]) / file.folder
    config = load_config(
        request["config"],
        overrides=request["overrides"],
        inputs=[file.path],
        output=output,
        redis_url=request["redis"],
        names=[file.name],
    )
    changes = {"name": key_part(f"{config.name}.{file.key}"), "cores": request["cores"]}
    plan: Plan = make_plan(config.model_copy(update=changes))
    fingerprint = file.fingerprint(plan)
    supervisor = Supervisor(plan, summary_name=file.summary_name)
    _stop_with_parent(supervisor.abort)
    summary = supervisor.run()
    of_batch = {FINGERPRINT: fingerprint, REAL_PATH: os.path.realpath(file.path) if "://" not in file.path else None}
    write_summary(output / file.summary_name, {**summary, **of_batch})
    source = summary["sources"][file.name]
    letters = [letter["error"] for letter in summary.get("dead_letters", [])]
    error = source["error"] or (f"{len(letters)} messages were given up: {letters[0]}" if letters else None)
    if error is None and source["state"] == "failed":
        error = "failed"
    said = f"{source['state']}, {source['frames_decoded']} frames, {summary['seconds']:.1f} s"
    return {"error": error, "said": said}


def _stop_with_parent(abort: Any) -> None:
    def watch() -> None:
        sys.stdin.read()
        abort()

    threading.Thread(target=watch, daemon=True).start()
