"""``serve``: a host of many, with its share of the cameras."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.errors import ConfigError, WorkerFailed
from raftline.cli.arguments import ConfigFile, Debug, Output, Overrides, config_file, read_config
from raftline.cli.failures import reported
from raftline.cli.output_directory import make_output_directory
from raftline.cli.progress import progress_of
from raftline.cli.results import show_results
from raftline.cli.run import outcome, page_of, shown_status

if TYPE_CHECKING:
    from pipeline.config.schema import Config
    from pipeline.fleet.host import Role

Control = Annotated[
    str,
    typer.Option(
        "--control",
        metavar="URL",
        help="Redis that all hosts share: redis://, rediss:// or unix:// URL. Take a password from the environment: "
        "'redis://:${REDIS_PASSWORD}@host:6379/0'.",
        show_default=False,
    ),
]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
"""Of a host, as long as DNS lets one be; it becomes a part of the run's name."""


@reported
def serve(
    config: ConfigFile,
    control: Control,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="HOST", help="Name of this host in the fleet; else the machine's."),
    ] = None,
    cameras_at_most: Annotated[
        str, typer.Option("--cameras-at-most", metavar="N|auto", help="What it can carry; auto: it is measured.")
    ] = "auto",
    output: Output = None,
    overrides: Overrides = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, metavar="PORT", help="Serve /metrics, /healthz and /readyz on 127.0.0.1:PORT."),
    ] = None,
    grace: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long cameras go on while the control Redis is away.")
    ] = 30.0,
    debug: Debug = False,
) -> None:
    """Watch a share of the cameras of a fleet, on this host: start it on each, with the same configuration.

    The hosts lease cameras from each other by the control Redis. One that dies loses its cameras to the others within
    10 s. Cameras are those under `sources` in CONFIG, and those added by `raftline source add --control`.

    \b
    raftline serve cameras.yaml --control redis://10.0.0.5:6379/0
    raftline serve cameras.yaml --control 'rediss://host:${REDIS_PASSWORD}@10.0.0.5:6379/0' --name rack-3
    raftline status --control redis://10.0.0.5:6379/0
    """
    from pipeline.config.loading import fill_in
    from pipeline.config.schema import checked_sources

    host = _host_name(name)
    most = _most(cameras_at_most)
    url = fill_in(control, "--control")
    file = config_file(config)
    sections = _sections(file, overrides or [])
    checked_sources(sections, str(file))
    read = partial(_read, config, output, overrides, host)
    configuration = read()
    role = _role(host, most, configuration, grace)
    plan_output, summary = _serve(configuration, read, url, role, sections, metrics_port)
    show_results(summary, plan_output)
    code = outcome(summary)
    if code:
        raise typer.Exit(code)


def _serve(
    configuration: Config,
    read: Callable[[], Config],
    url: str,
    role: Role,
    sections: dict[str, Any],
    metrics_port: int | None,
) -> tuple[Path, dict[str, Any]]:
    from pipeline.config import make_plan
    from pipeline.config.live import LiveConfig
    from pipeline.runtime.nursery import Nursery

    fleet = configuration.name.removesuffix(f".{role.name}")
    with page_of(configuration, (url, fleet)), Nursery.for_config(configuration) as nursery:
        from pipeline.fleet.control import Control
        from pipeline.fleet.event_relay import event_stages
        from pipeline.fleet.host import Host
        from pipeline.fleet.prometheus import FleetCollector
        from pipeline.fleet.wanted import seed
        from pipeline.runtime.cores import share_cores
        from pipeline.runtime.supervisor import Supervisor

        plan = make_plan(configuration, require_sources=False)
        make_output_directory(plan.output)
        cores = share_cores(plan).cores
        assert cores is not None
        with contextlib.closing(Control(url, fleet)) as control:
            restore = partial(seed, sections=sections)
            host = Host(role, control, event_stages(plan), cores, restore)
            metrics = [FleetCollector(control)]
            with shown_status(progress_of(plan), metrics_port, metrics) as show, contextlib.closing(host):

                def on_status(status: dict[str, Any]) -> None:
                    show(status)
                    host.on_status(status)

                live = LiveConfig(configuration, read)
                supervisor = Supervisor(plan, nursery=nursery, on_status=on_status, live=live, until_stopped=True)
                host.start(supervisor)
                restore(control)
                try:
                    return plan.output, supervisor.run()
                except WorkerFailed as error:
                    host.blame(error)
                    raise


def _read(config: Path, output: Path | None, overrides: list[str] | None, host: str) -> Config:
    """The configuration of this host's run, which begins without sources."""
    configuration = read_config(config, None, output, [*(overrides or ()), "sources={}"])
    return configuration.model_copy(update={"name": f"{configuration.name}.{host}"})


def _sections(file: Path, overrides: list[str]) -> dict[str, Any]:
    """The cameras of the configuration as written: no password from the environment is filled in."""
    from pipeline.config.overrides import apply_override
    from pipeline.config.yaml_file import read_configuration

    data = read_configuration(file)
    for override in overrides:
        apply_override(data, override)
    return data.get("sources") or {}


def _role(host: str, most: int | None, configuration: Config, grace: float) -> Role:
    from pipeline.fleet.facts import Times
    from pipeline.fleet.host import Role

    names = configuration.web.allow_hosts
    page = f"http://{names[0]}/" if configuration.web.listen is not None and names else None
    return Role(host, most, page, Times(grace_seconds=grace))


def _host_name(given: str | None) -> str:
    name = socket.gethostname() if given is None else given
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"--name: found {name!r}; allowed are 1 to 63 characters from A-Z a-z 0-9 _ . - that begin with a letter "
            "or a digit"
        )
    return name


def _most(given: str) -> int | None:
    if given == "auto":
        return None
    if not given.isdigit() or int(given) < 1:
        raise ConfigError(f"--cameras-at-most: found {given!r}; allowed are auto and numbers from 1")
    return int(given)
