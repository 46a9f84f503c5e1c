"""A worker's program, which the nursery calls in the process that it has forked."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import socket
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.config.plan import Plan
from pipeline.errors import RaftlineError
from pipeline.redaction import log_redacted, redact
from pipeline.runtime.hosted import describe
from pipeline.runtime.mistakes import FINAL_ERRORS
from pipeline.runtime.outage import Outage, patiently
from pipeline.runtime.run_news import PlanFile, RunNews
from pipeline.runtime.stop_deadline import StopDeadline
from pipeline.runtime.worker import Worker, log


def worker_name() -> str:
    """A unique name for a worker."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def work(plan: Plan, stage: str, worker_id: str, ring_directory: Path, news: RunNews | None = None) -> None:
    """Run a worker in this process until its sources end or SIGTERM arrives.

    Args:
        plan: What its run does.
        stage: The stage to work on.
        worker_id: A unique name, such as `worker_name` makes.
        ring_directory: Where shared memory lies.
        news: What the supervisor that started it tells; None: no supervisor did, the run is on another machine.

    Raises:
        RaftlineError: What ended it otherwise.
    """
    from pipeline.transport.redis_streams import RedisStreams

    assert plan.redis_url is not None
    url = plan.redis_url
    transport = patiently(Outage(f"stage {stage}"), lambda: RedisStreams(url, plan.name))  # it may just be restarting
    worker = Worker(plan, stage, transport, worker_id, ring_directory, supervised=news is not None, news=news)
    deadline = StopDeadline(plan.limits.stop_seconds, lambda: f"stage {stage!r} still works")

    def stop(number: int, _: Any) -> None:
        worker.stop()
        if number == signal.SIGTERM and news is None:  # a supervisor has a deadline of its own
            deadline.begin()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        worker.run()
    finally:
        deadline.end()


def main(argv: Sequence[str]) -> int:
    """What the nursery starts. Reports a failure in a file beside the plan."""
    parser = argparse.ArgumentParser()
    parser.add_argument("plan", type=Path)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--worker", required=True)
    parser.add_argument("--rings", type=Path, required=True)
    arguments = parser.parse_args(argv)
    with contextlib.suppress(OSError):  # Linux alone: in `top` a worker goes by its stage
        Path("/proc/self/comm").write_text(f"rl:{arguments.stage}")
    log_redacted()
    try:
        news = PlanFile(arguments.plan)
        work(news.first, arguments.stage, arguments.worker, arguments.rings, news)
    except Exception as error:
        known = isinstance(error, RaftlineError)
        final = next((kind.__name__ for kind in FINAL_ERRORS if isinstance(error, kind)), None)
        report = {"final": final, "error": redact(error if known else describe(error))}
        (arguments.plan.parent / f"{arguments.worker}.error").write_text(json.dumps(report))
        if not known:
            log.error("stage %s: %s", arguments.stage, describe(error), exc_info=log.isEnabledFor(logging.INFO))
        return getattr(error, "exit_code", 1)
    return 0
