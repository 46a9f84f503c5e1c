"""The budget of shared memory: what each ring of a run may take."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from pipeline.config.plan import Plan
from pipeline.payload.ring_space import usable_bytes

log = logging.getLogger(__name__)


def share_memory(plan: Plan, directory: Path, sources: int | None = None) -> Plan:
    """The plan with `Plan.ring_bytes` filled in: an equal part of the shared memory that is free now, within the limit.

    Args:
        plan: The plan.
        directory: The run's directory.
        sources: Number of those that have no rings yet; None: all.
    """
    rings = (len(plan.sources) if sources is None else sources) * sum(
        1 for stage in plan.stages.values() if stage.readers
    )
    if plan.payload != "shm" or not rings:
        return plan
    wanted_bytes, share_bytes = plan.limits.shared_memory_mb * 10**6, usable_bytes(directory) // rings
    if share_bytes < wanted_bytes:
        log.warning(
            "%s has room for %.1f MB of frames per stream and source instead of %d (limits.shared_memory_mb): fewer "
            "frames wait between stages; enlarge it if that is slow (in a container: --shm-size)",
            directory.parent,
            share_bytes / 1e6,
            plan.limits.shared_memory_mb,
        )
    return replace(plan, ring_bytes=min(wanted_bytes, share_bytes))
