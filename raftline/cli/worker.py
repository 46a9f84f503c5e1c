"""``worker``: one stage's worker, on any host that reaches Redis."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.errors import ConfigError
from raftline.cli.arguments import ConfigFile, Debug, Inputs, Output, Overrides, Redis, read_config
from raftline.cli.failures import reported


@reported
def worker(
    config: ConfigFile,
    stage: Annotated[str, typer.Option(metavar="NAME", help="Name of the stage to work on, as in the configuration.")],
    redis: Redis = None,
    inputs: Inputs = None,
    output: Output = None,
    overrides: Overrides = None,
    debug: Debug = False,
) -> None:
    """Work on one stage of a pipeline that runs on another host.

    Workers of a stage share its sources. The configuration must be the same on every host and say `payload: inline`,
    so that frames travel through Redis. The worker ends with the sources of the pipeline, or on SIGTERM, which
    hands its sources to the other workers.

    \b
    raftline worker cameras --stage flow --redis 'rediss://me:${REDIS_PASSWORD}@redis.lan:6380/0'
    """
    from pipeline.config import make_plan
    from pipeline.config.explain import nearest
    from pipeline.runtime.cores import limit_this_process
    from pipeline.runtime.reaper import Reaper
    from pipeline.runtime.run_directory import RunDirectory
    from pipeline.runtime.worker_program import work, worker_name

    plan = make_plan(read_config(config, inputs, output, overrides, redis))
    if stage not in plan.stages:
        raise ConfigError(f"--stage {stage}: there is no such stage in {config}; there are: {', '.join(plan.stages)}"
                          f"{nearest(stage, plan.stages)}")  # fmt: skip
    if plan.redis_url is None:
        raise ConfigError(f"{config}: a worker needs a Redis that others reach too; give --redis URL or set redis.url")
    if plan.payload != "inline":
        raise ConfigError(f"{config}: payload: found 'shm', which one machine alone can read; a worker needs "
                          "payload: inline (or --set payload=inline), here and where the pipeline runs")  # fmt: skip
    plan = limit_this_process(plan, stage)
    reaper = Reaper.start(RunDirectory.create())
    try:
        work(plan, stage, worker_name(), reaper.directory.path)
    finally:
        reaper.close()
