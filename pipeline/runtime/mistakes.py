"""Errors of a plug-in after which starting its worker again is pointless."""

from __future__ import annotations

from bdb import BdbQuit

from pipeline.config.plan import Plan, StagePlan
from pipeline.errors import OutputInWork, PluginError, UserError
from pipeline.runtime.hosted import MISTAKES, describe
from pipeline.runtime.metrics import FRAMES
from pipeline.transport.base import Transport

FINAL_ERRORS = (OutputInWork, UserError)
"""What a worker reports by name, the first that fits, where starting it again is pointless."""
_NO_INPUT = "EOF when reading a line"
"""What Python says where `input()` has nothing to read."""


def end_run_on_mistake(error: BaseException, plan: Plan, stage: StagePlan, transport: Transport) -> None:
    """Raise `PluginError`, which ends the run, where a supervisor would start a worker again only to fail alike."""
    called = f"stage {stage.name!r} ({stage.use})"
    if isinstance(error, BdbQuit):
        raise PluginError(
            f"{called} called breakpoint(), and its process has no terminal; run it with --in-process"
        ) from error
    if isinstance(error, EOFError) and str(error) == _NO_INPUT:
        raise PluginError(
            f"{called} called input(), and its process has no terminal; run it with --in-process"
        ) from error
    if not isinstance(error, MISTAKES):
        return
    if not any(transport.counters(source, stage.name).get(FRAMES) for source in plan.sources):
        raise PluginError(f"{called} failed at its first message: {describe(error, stage.cls)}") from error
