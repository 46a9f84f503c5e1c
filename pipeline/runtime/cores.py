"""The budget of cores: with how many threads each worker computes.

Every numerical library opens a pool of one thread per core, in every worker; on the same cores these pools wait for,
and spin against, each other. So the supervisor shares out the cores of a run, and a worker limits whatever pools it has
to its share. A share is at least one thread: most stages wait for their neighbours most of the time, and the scheduler
does the rest.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import threadpoolctl

from pipeline.config.plan import Plan, StagePlan
from pipeline.stage import Stage

OPENMP, MKL, OPENBLAS, NUMBA, OPENCV = THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)
"""Environment variables by which the libraries' pools are limited when they are loaded."""
_ROOM = 3.0
"""Times its share that a stage may use before its workers bound it: `Stage.work` is right within a factor of about
three, and a worker that waits costs some memory only. Chosen by hand."""
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Of a container: ``quota period`` in microseconds, or ``max period`` (cgroup v2)."""


def available_cores() -> int:
    """Number of cores that this process may use: its affinity, and the quota of its container, rounded up."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CGROUP_QUOTA.read_text().split()
        return affinity if quota == "max" else max(1, min(affinity, -(-int(quota) // int(period))))
    except (OSError, ValueError):
        return affinity


def share_cores(plan: Plan, in_process: bool = False) -> Plan:
    """The plan with `Plan.cores`, and the `workers` and `threads` of every stage, filled in; what is given is kept.

    Cores are shared in proportion to `work`. A stage has as many workers as its sources and its share can keep busy,
    but one where it wants that. They divide its share, rounded, at least one thread each. Stages that have nothing to
    do before the end of a file share all cores among themselves, as those before them do.

    Measured on two cores with the stabilization of a 640x360 video: flow by DIS with two threads and all others with
    one take 23 s, all with one 27 s, all with two 34 s.

    Args:
        plan: The plan.
        in_process: Each stage is one thread of this process.
    """
    cores = plan.cores or available_cores()
    late = _late_stages(plan)
    works = {name: stage.cls.work for name, stage in plan.stages.items()}
    stages = {}
    for name, stage in plan.stages.items():
        share = cores * works[name] / sum(works[other] for other in works if (other in late) == (name in late))
        workers = 1 if in_process else stage.workers or _workers(stage, share, len(plan.sources), cores)
        stages[name] = replace(stage, workers=workers, threads=stage.threads or max(1, round(share / workers)))
    return replace(plan, cores=cores, stages=stages)


def _workers(stage: StagePlan, share: float, sources: int, cores: int) -> int:
    if issubclass(stage.cls, Stage) and stage.cls.in_one_process(stage.options):
        return 1
    return max(1, min(sources, cores, math.ceil(_ROOM * share)))


def _late_stages(plan: Plan) -> set[str]:
    """The stages after one that yields nothing before the end of a file."""
    files = any(not source.info.live for source in plan.sources.values())
    late: set[str] = set()
    for name, stage in plan.stages.items():
        if stage.reads is None or not files:
            continue
        before = plan.stages[stage.reads]
        if stage.reads in late or (issubclass(before.cls, Stage) and before.cls.yields_at_end(before.options)):
            late.add(name)
    return late


def whole_cores(plan: Plan) -> Plan:
    """The plan for stages that work one after the other: each has all cores while it does, or its own `threads`."""
    cores = plan.cores or available_cores()
    stages = {name: replace(stage, workers=1, threads=stage.threads or cores) for name, stage in plan.stages.items()}
    return replace(plan, cores=cores, stages=stages)


def limit_this_process(plan: Plan, name: str) -> Plan:
    """The plan for a process that works on one stage alone: it has all cores, or the stage's `threads`."""
    stage = plan.stages[name]
    threads = stage.threads or plan.cores or available_cores()
    environment = thread_environment(threads)
    os.environ.update(environment)
    limit_loaded_libraries(environment)
    return replace(plan, stages={**plan.stages, name: replace(stage, threads=threads)})


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that limit the pools of libraries to `threads`. What the user has set stays as it is."""
    # MKL and OpenBLAS go by OpenMP's where they have none of their own.
    kept = {MKL, OPENBLAS, *os.environ} if OPENMP in os.environ else {*os.environ}
    return {name: str(threads) for name in THREAD_VARIABLES if name not in kept}


def limit_loaded_libraries(environment: Mapping[str, str]) -> None:
    """Limit the pools of those libraries that have read their variables already, before a fork.

    Args:
        environment: Thread variables of this worker, such as `thread_environment` makes.
    """
    if OPENBLAS in environment:
        threadpoolctl.threadpool_limits(int(environment[OPENBLAS]), user_api="blas")
    if OPENMP in environment:
        threadpoolctl.threadpool_limits(int(environment[OPENMP]), user_api="openmp")
    for library, variable, _, limit in _LIMITERS:
        if library in sys.modules and variable in environment:
            limit(sys.modules[library], int(environment[variable]))


@contextlib.contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Limit the pools that all threads of this process share to `threads`, until the block ends.

    OpenMP's are limited by each thread for itself (`limit_this_thread`). What the user has set stays as it is.
    """
    environment = thread_environment(threads)
    before = [
        (sys.modules[library], get(sys.modules[library]), limit)
        for library, variable, get, limit in _LIMITERS
        if library in sys.modules and variable in environment and get is not None
    ]
    blas = int(environment[OPENBLAS]) if OPENBLAS in environment else None
    with threadpoolctl.threadpool_limits(blas, user_api="blas"):
        try:
            for module, _, limit in before:
                limit(module, threads)
            yield
        finally:
            for module, number, limit in before:
                limit(module, number)


def limit_this_thread(threads: int) -> None:
    """Limit the pools that this thread opens for itself. What the user has set stays as it is."""
    if OPENMP in thread_environment(threads):
        threadpoolctl.threadpool_limits(threads, user_api="openmp")


_LIMITERS: tuple[tuple[str, str, Callable[[Any], int] | None, Callable[[Any, int], Any]], ...] = (
    ("torch", OPENMP, lambda torch: torch.get_num_threads(), lambda torch, threads: torch.set_num_threads(threads)),
    ("cv2", OPENCV, lambda cv2: cv2.getNumThreads(), lambda cv2, threads: cv2.setNumThreads(threads)),
    # Its pool has not been started; it will have as many threads as the variable says.
    ("numba", NUMBA, None, lambda numba, threads: numba.config.reload_config()),
)
"""Library, its variable, how to ask for its limit (where it can be changed at any time), and how to set it."""
