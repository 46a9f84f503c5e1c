"""A fleet as people look at it: a row for each host, and one for each camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pipeline.fleet.facts import MOST_STRIKES, TIMES, CameraState, CameraStatus, KnownHost, Strikes, Times, WantedCamera
from pipeline.fleet.reading import FleetReader

_ON_TRIAL = "a run failed while it had this camera, and such are tried again one at a time"

HostState = Literal["live", "full", "leaving", "lost"]
HOST_STATES: tuple[str, ...] = get_args(HostState)
CAMERA_STATES: tuple[str, ...] = (*get_args(CameraState), "waiting", "put aside")


@dataclass(frozen=True)
class HostRow:
    """A host."""

    name: str
    state: HostState
    """``full``: it takes no more cameras; ``lost``: it is silent, and others take its cameras."""
    cameras: int
    capacity: int | None
    """None: any number."""
    capacity_why: str
    cores: int | None
    cpu_cores: float | None
    silent_seconds: float
    page: str | None


@dataclass(frozen=True)
class CameraRow:
    """A camera that is wanted."""

    name: str
    input: str
    """Without its password."""
    state: str
    """As on its host; ``waiting``: no host has it; ``put aside``: none takes it any more."""
    host: str | None
    since: str
    why: str
    page: str | None
    """Of its host."""


@dataclass(frozen=True)
class Overview:
    """A fleet at one moment."""

    fleet: str
    hosts: list[HostRow]
    cameras: list[CameraRow]


def overview(reader: FleetReader, times: Times = TIMES) -> Overview:
    """Read a fleet. Raises `TransportError`."""
    wanted, hosts, states, strikes = reader.cameras(), reader.hosts(), reader.states(), reader.strikes()
    living = {name: each for name, each in sorted(hosts.items()) if each.lives(times)}
    owners = {camera: name for name, each in living.items() for camera in each.report.cameras}
    rows = [
        _camera(name, each, owners.get(name), states.get(name), strikes.get(name), living)
        for name, each in sorted(wanted.items())
    ]
    return Overview(reader.keys.fleet, [_host(*each, times) for each in sorted(hosts.items())], rows)


def _host(name: str, known: KnownHost, times: Times) -> HostRow:
    report = known.report
    carried = len(report.cameras)
    state: HostState = "full" if report.capacity is not None and carried >= report.capacity else "live"
    state = "leaving" if report.leaving else state
    return HostRow(
        name=name,
        state=state if known.lives(times) else "lost",
        cameras=carried,
        capacity=report.capacity,
        capacity_why=report.capacity_why,
        cores=report.cores,
        cpu_cores=report.cpu_cores,
        silent_seconds=round(known.silent_seconds, 1),
        page=report.page,
    )


def _camera(
    name: str,
    wanted: WantedCamera,
    host: str | None,
    said: tuple[str, CameraStatus] | None,
    strikes: Strikes | None,
    living: Mapping[str, KnownHost],
) -> CameraRow:
    page = None if host is None else living[host].report.page
    by, status = said or ("", None)
    if host is not None:
        known = status if status is not None and by == host else CameraStatus("starting")
        return CameraRow(name, wanted.input, known.state, host, known.since, known.why, page)
    if strikes is not None and strikes.count >= MOST_STRIKES:
        why = f"{strikes.count} runs failed while they had it, the last on {strikes.host}: {strikes.why}"
        return CameraRow(name, wanted.input, "put aside", None, "", f"{why}; change it to have it tried again", None)
    if status is not None and status.state == "refused" and by in living:
        return CameraRow(name, wanted.input, "refused", by, status.since, status.why, living[by].report.page)
    why = _why_it_waits(living) if strikes is None else f"{_ON_TRIAL}: {strikes.why}"
    return CameraRow(name, wanted.input, "waiting", None, "", why, None)


def _why_it_waits(living: Mapping[str, KnownHost]) -> str:
    staying = [each.report for each in living.values() if not each.report.leaving]
    if not staying:
        return "no host is there; start one: raftline serve"
    limits = [None if each.capacity is None else each.capacity - len(each.cameras) for each in staying]
    if all(limit is not None and limit <= 0 for limit in limits):
        carried = sum(len(each.cameras) for each in staying)
        return f"every host is full ({carried} cameras on {len(staying)} hosts); start another one"
    return "a host takes it within some seconds"
