"""A worker's program, which the nursery calls in the process that it has forked."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path

from pipeline.config.plan import Plan
from pipeline.errors import OutputInWork, RaftlineError, UserError
from pipeline.redaction import log_redacted, redact
from pipeline.runtime.hosted import describe
from pipeline.runtime.worker import log, work


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
        plan = Plan.from_json(arguments.plan.read_text())
        work(plan, arguments.stage, arguments.worker, arguments.rings, supervised=True)
    except Exception as error:
        known = isinstance(error, RaftlineError)
        final = "OutputInWork" if isinstance(error, OutputInWork) else isinstance(error, UserError)
        report = {"final": final, "error": redact(error if known else describe(error))}
        (arguments.plan.parent / f"{arguments.worker}.error").write_text(json.dumps(report))
        if not known:
            log.error("stage %s: %s", arguments.stage, describe(error), exc_info=log.isEnabledFor(logging.INFO))
        return getattr(error, "exit_code", 1)
    return 0
