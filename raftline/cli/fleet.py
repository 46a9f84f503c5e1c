"""What `status` and `source` do with ``--control``: the hosts and cameras of a fleet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from pipeline.fleet.control import Control
    from pipeline.fleet.overview import CameraRow, HostRow

ControlUrl = Annotated[
    str | None,
    typer.Option(
        "--control",
        metavar="URL",
        help="The Redis of a fleet of hosts (`raftline serve`): all its hosts and cameras.",
        show_default=False,
    ),
]


@contextlib.contextmanager
def fleet_at(control: str, name: str | None) -> Iterator[Control]:
    """The fleet of that name, or the only one. Raises `ConfigError`, `TransportError`."""
    from pipeline.config.loading import fill_in
    from pipeline.fleet.control import Control
    from pipeline.fleet.reading import only_fleet

    url = fill_in(control, "--control")
    with contextlib.closing(Control(url, only_fleet(url) if name is None else name)) as found:
        yield found


def fleet_facts(control: str, name: str | None) -> dict[str, Any]:
    """A fleet as JSON values."""
    from pipeline.fleet.overview import overview

    with fleet_at(control, name) as fleet:
        return asdict(overview(fleet))


def all_carried(facts: Mapping[str, Any]) -> bool:
    """Whether there is a host, and every camera has one."""
    return any(host["state"] != "lost" for host in facts["hosts"]) and all(
        camera["state"] not in ("waiting", "refused", "put aside") for camera in facts["cameras"]
    )


def fleet_table(facts: Mapping[str, Any]) -> RenderableType:
    """A fleet to look at."""
    from pipeline.fleet.overview import CameraRow, HostRow

    hosts, cameras = [HostRow(**each) for each in facts["hosts"]], [CameraRow(**each) for each in facts["cameras"]]
    live = sum(camera.state in ("live", "running") for camera in cameras)
    return Group(
        _hosts(hosts), _cameras(cameras), Text(f"{facts['fleet']}: {live} of {len(cameras)} cameras are live\n")
    )


def _hosts(hosts: list[HostRow]) -> Table:
    table = Table()
    for title in ("host", "state", "cameras", "capacity", "why", "CPU cores", "last word"):
        table.add_column(title, justify="left" if title in ("host", "state", "why") else "right", overflow="fold")
    for host in hosts:
        busy = "" if host.cpu_cores is None else f"{host.cpu_cores:.1f} of {host.cores}"
        capacity = "any" if host.capacity is None else f"{host.capacity}"
        said = f"{host.silent_seconds:.0f} s ago"
        table.add_row(escape(host.name), host.state, str(host.cameras), capacity, escape(host.capacity_why), busy, said)
    return table


def _cameras(cameras: list[CameraRow]) -> Table:
    table = Table()
    for title in ("camera", "input", "host", "state", "since", "why"):
        table.add_column(title, overflow="fold")
    for camera in cameras:
        shown = (camera.name, camera.input, camera.host or "", camera.state, camera.since, camera.why)
        table.add_row(*map(escape, shown))
    return table
