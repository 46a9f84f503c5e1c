"""A run in this process and this thread, on the terms of a debugger. See `pipeline.runtime.turns`."""

from __future__ import annotations

import bdb
import contextlib
import signal
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from pipeline.config.plan import Plan
from pipeline.errors import RaftlineError
from pipeline.runtime.in_process import InProcessRun
from pipeline.runtime.stop_signals import on_stop_signals
from pipeline.runtime.summary import run_state, summarize_run, write_summary

Status = dict[str, Any]


def run_in_foreground(plan: Plan, on_status: Callable[[Status], None] = lambda status: None) -> Status:
    """Run a plan until every source has ended, and write the summary to the output directory.

    The first SIGINT ends the sources, and outputs are complete; a second one stops at once. While a debugger waits at
    its prompt, it has the terminal for itself.

    Args:
        plan: What to run; its Redis and payload are not used, and a stage has one worker.
        on_status: Called with the summary so far, about ten times a second.

    Returns:
        The summary.

    Raises:
        PluginError: What a stage raised first; that is its cause.
        KeyboardInterrupt: On a second SIGINT, or when a debugger was told to quit.
    """
    begin, started = time.monotonic(), datetime.now(timezone.utc)

    def summary(sources: Status, state: str, error: BaseException | None = None) -> Status:
        return summarize_run(run.plan, started, time.monotonic() - begin, state, error, sources)

    error: BaseException | None = None
    run = InProcessRun(plan, on_status=lambda sources: on_status(summary(sources, "running")), in_turns=True)
    with run, _draining(run):
        try:
            run.wait()
        except bdb.BdbQuit as caught:
            error = caught
            raise KeyboardInterrupt from caught
        except BaseException as caught:
            error = caught
            raise
        finally:
            sources = run.summary()
            last = summary(sources, run_state(sources, error), error)
            with contextlib.suppress(*([RaftlineError] if error is not None else [])):
                write_summary(plan.output / "summary.json", last)
    return last


def _draining(run: InProcessRun) -> contextlib.AbstractContextManager[None]:
    told: list[int] = []

    def on_signal(number: int) -> None:
        if told and number == signal.SIGINT:
            raise KeyboardInterrupt
        told.append(number)
        run.drain()

    return on_stop_signals(on_signal)
