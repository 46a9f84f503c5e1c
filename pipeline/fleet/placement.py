"""Which cameras a host has: it leases its share, starts what it leased, and gives back what is another's."""

from __future__ import annotations

import hashlib
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pipeline.errors import ConfigError, TransportLost
from pipeline.fleet.control import Beat, Control
from pipeline.fleet.facts import ENDED, TIMES, CameraStatus, HostReport, KnownHost, Times, WantedCamera
from pipeline.fleet.shares import Bearer, shares
from pipeline.fleet.trials import Trials
from pipeline.runtime.ownership import Ownership

_LEAST_AT_ONCE = 4
_SHARE_AT_ONCE = 0.25
"""At most so many cameras, or this part of the share, are taken with one heartbeat. Chosen by hand: a host that starts
first does not take all before the others are there, and one of sixty cameras is replaced in a few heartbeats."""
_FORGOTTEN_SECONDS = 3600.0
"""A lost host is shown for so long. Chosen by hand."""
_CLOCK = time.monotonic

log = logging.getLogger("raftline.fleet")


class Carrier(Protocol):
    """What runs the cameras of a host. No call may block."""

    def start(self, camera: str, section: Mapping[str, Any]) -> None:
        """Begin to watch a camera."""

    def stop(self, camera: str) -> None:
        """Complete its files and forget it."""

    def states(self) -> Mapping[str, CameraStatus]:
        """Of the cameras that were started. One that was stopped is among them until it is gone for good."""
        ...


@dataclass
class _Held:
    """A camera that this host has leased."""

    token: str
    wanted: WantedCamera
    section: Mapping[str, Any]
    leaves: bool = False
    lost_at: float | None = None
    """When its lease was found to have run out."""


class Placement:
    """The part of a host in the fleet. It does what it does when `step` and `keep` are called, by one thread."""

    def __init__(
        self,
        control: Control,
        host: str,
        carrier: Carrier,
        figures: Callable[[int], HostReport] = lambda carried: HostReport(""),
        times: Times = TIMES,
        restore: Callable[[Control], None] = lambda control: None,
    ) -> None:
        """
        Args:
            control: The control Redis.
            host: Name of this host, which no other may have.
            carrier: Runs the cameras.
            figures: What the host says of itself, its capacity above all, while it carries so many.
            times: What hosts wait for.
            restore: Tells the control Redis again what this host knows to be wanted, where that holds nothing.
        """
        self.host = host
        self._control, self._carrier, self._figures, self._times = control, carrier, figures, times
        self._restore = restore
        self._id = uuid.uuid4().hex
        self._ownership = Ownership(control, "camera", host, times.lease_seconds)
        self._held: dict[str, _Held] = {}
        self._barred: dict[str, float] = {}
        """Cameras that could not be started here, and when they may be tried again."""
        self._trials = Trials(control, host)
        self._revision: int | None = None
        self._wanted: Mapping[str, WantedCamera] = {}
        """The cameras wanted, as they were in that revision."""
        self._told: dict[str, CameraStatus] = {}
        self._too_many_since: float | None = None
        """Since when this host has had more than its share, without a break."""
        self._leaving = False

    @property
    def cameras(self) -> tuple[str, ...]:
        """Those that it has leased."""
        return tuple(self._held)

    def token(self, camera: str) -> str | None:
        """The token of the lease on a camera; None without one. Any thread may ask."""
        held = self._held.get(camera)
        return None if held is None else held.token

    def held_until(self) -> dict[str, float]:
        """When the lease on each camera runs out unless it is renewed (see `Ownership.held_until`)."""
        return self._ownership.held_until()

    def begin(self) -> None:
        """Say that this host is there. Raises `ConfigError` if another one of this name is at work."""
        deadline = _CLOCK() + self._times.lost_seconds + self._times.beat_seconds
        while (other := self._namesake()) is not None:
            if _CLOCK() > deadline:
                raise ConfigError(
                    f"--name {self.host}: a host of this name is at work already, with {len(other.report.cameras)} "
                    "cameras; give each host of a fleet a name of its own"
                )
            time.sleep(self._times.beat_seconds / 4)
        self._beat()

    def keep(self) -> None:
        """Find leases that ran out, and stop their cameras unless nobody else has had them. Asks no server if all is
        well: call it often."""
        for camera, held in self._held.items():
            if held.leaves and held.lost_at is not None:
                continue
            if self._ownership.holds(camera):
                held.lost_at = None
            else:
                self._regain(camera, held)

    def step(self) -> None:
        """Heartbeat; take and give. Call it once in `Times.beat_seconds`. Raises `TransportError`."""
        self.keep()
        beat = self._beat()
        self._follow(beat)
        self._finish()
        self._stop_unwanted()
        living = {name: each.report for name, each in beat.hosts.items() if each.lives(self._times)}
        if not self._leaving:
            share = self._shares(living)
            self._take(living, share[self.host])
            self._give(living, share)
        self._tell()

    def leave(self) -> None:
        """Take no more, and give back every camera that has ended; whoever runs them ends them."""
        self._leaving = True

    def blame(self, why: str) -> None:
        """Say that the run has failed, before `close`: one of its cameras may be why. Raises `TransportError`."""
        self._trials.blame(self.cameras, why)

    def close(self) -> None:
        """Give back all leases, for others to take at once. The cameras must have ended."""
        self._held.clear()
        self._ownership.close()
        self._control.forget_host(self.host)

    def abandon(self) -> None:
        """Stop as a machine does that loses its power: for tests and the simulation."""
        self._ownership.abandon()

    def _namesake(self) -> KnownHost | None:
        other = self._control.hosts().get(self.host)
        return other if other is not None and other.lives(self._times) and other.report.id != self._id else None

    def _beat(self) -> Beat:
        carried = [name for name, held in self._held.items() if not (held.leaves and held.lost_at is not None)]
        own = {"id": self._id, "cameras": tuple(carried), "refused": tuple(self._barred), "leaving": self._leaving}
        beat = self._control.beat(self.host, replace(self._figures(len(carried)), **own))
        for name, each in beat.hosts.items():
            if each.silent_seconds > _FORGOTTEN_SECONDS:
                self._control.forget_host(name)
        return beat

    def _regain(self, camera: str, held: _Held) -> None:
        held.lost_at = _CLOCK() if held.lost_at is None else held.lost_at
        lease, before = None, None
        try:
            lease = self._ownership.acquire(camera)
            before = None if lease is None else self._control.claim(camera, lease.token)
        except TransportLost:
            self._ownership.release(camera)
            if _CLOCK() - held.lost_at > self._times.grace_seconds:
                self._stop(camera, held, "the control Redis has been away for too long", logging.WARNING)
            return
        if lease is not None and before in (held.token, None):  # None: the server has lost its data
            held.token, held.lost_at = lease.token, None  # nobody else has had it
            return
        self._ownership.release(camera)
        why = "another host took it while this one stood still or was cut off"
        self._stop(camera, held, why, logging.WARNING)

    def _stop(self, camera: str, held: _Held, why: str, level: int = logging.INFO) -> None:
        if not held.leaves:
            log.log(level, "camera %s: stopped here: %s", camera, why)
            held.leaves = True
            self._carrier.stop(camera)

    def _follow(self, beat: Beat) -> None:
        """Learn which cameras are wanted."""
        if beat.revision is None:
            self._restore(self._control)
            for camera, held in self._held.items():
                self._control.restore(camera, held.section, held.wanted)
        if beat.revision is None or beat.revision != self._revision:
            self._revision, self._wanted = beat.revision, self._control.cameras()
        self._trials.learn(beat.strikes)

    def _finish(self) -> None:
        """Give back what has left, and what could not be started."""
        states = self._carrier.states()
        self._trials.look(states, self._held)
        for camera in list(self._held):
            state = states.get(camera)
            if state is not None and state.state == "refused":
                self._barred[camera] = _CLOCK() + self._times.barred_seconds
                self._control.tell_states(self.host, {camera: state})
                self._carrier.stop(camera)
            elif not self._is_done(state):
                continue
            del self._held[camera]
            self._ownership.release(camera)

    def _is_done(self, state: CameraStatus | None) -> bool:
        """Whether it is gone from here: as it was asked to, or by somebody who asked the run."""
        return state is None or (self._leaving and state.state in ENDED)

    def _stop_unwanted(self) -> None:
        for camera, held in self._held.items():
            wanted = self._wanted.get(camera)
            if wanted is None:
                self._stop(camera, held, "it is not wanted any more")
            elif wanted.edition != held.wanted.edition:
                self._stop(camera, held, "it has changed, and begins anew")

    def _shares(self, living: Mapping[str, HostReport]) -> dict[str, int]:
        own = replace(living[self.host], cameras=tuple(self._held))
        staying = {name: each for name, each in {**living, self.host: own}.items() if not each.leaving}
        bearers = [Bearer(name, len(each.cameras), each.capacity) for name, each in staying.items()]
        return shares(len(self._wanted.keys() - self._trials.put_aside), bearers)

    def _take(self, living: Mapping[str, HostReport], share: int) -> None:
        now = _CLOCK()
        self._barred = {camera: until for camera, until in self._barred.items() if until > now}
        elsewhere = self._refused_elsewhere(living)
        most = max(_LEAST_AT_ONCE, int(_SHARE_AT_ONCE * share))
        for camera in self._free(living):
            room = living[self.host].capacity if camera in elsewhere else share
            if most > 0 and (room is None or len(self._held) < room) and self._trials.may_take(camera):
                most -= self._started(camera)

    def _refused_elsewhere(self, living: Mapping[str, HostReport]) -> set[str]:
        """Cameras that another host cannot start: they are taken beyond one's share, and not given to it."""
        return {camera for name, each in living.items() if name != self.host for camera in each.refused}

    def _unheld(self, living: Mapping[str, HostReport]) -> set[str]:
        """Cameras that no living host says it has."""
        carried = {camera for each in living.values() for camera in each.cameras}
        return self._wanted.keys() - carried - self._held.keys() - self._trials.put_aside

    def _free(self, living: Mapping[str, HostReport]) -> list[str]:
        """Those to be taken, in an order of this host's own: others try others first."""
        free = self._unheld(living) - self._barred.keys()
        return sorted(free, key=lambda camera: hashlib.blake2b(f"{self.host} {camera}".encode()).digest())

    def _started(self, camera: str) -> bool:
        lease = self._ownership.acquire(camera)
        if lease is None:
            return False
        self._control.claim(camera, lease.token)
        section = self._control.section(camera)
        if section is None:
            self._ownership.release(camera)
            return False
        self._held[camera] = _Held(lease.token, self._wanted[camera], section)
        self._trials.begin(camera)
        self._carrier.start(camera, section)
        return True

    def _give(self, living: Mapping[str, HostReport], share: Mapping[str, int]) -> None:
        """Give one camera back, if there are too many here, and others lack more than they can take anyhow."""
        if len(self._held) <= share[self.host]:
            self._too_many_since = None
            return
        self._too_many_since = self._too_many_since or _CLOCK()
        settled = _CLOCK() - self._too_many_since > self._times.settle_seconds
        if not settled or any(each.leaves for each in self._held.values()):
            return
        lacking = sum(max(0, share[name] - len(living[name].cameras)) for name in share if name != self.host)
        if lacking > len(self._unheld(living)):
            movable = [each for each in self._held if each not in self._refused_elsewhere(living)]
            for camera in movable[-1:]:  # the last that came has the least to lose
                self._stop(camera, self._held[camera], "another host has room for it")

    def _tell(self) -> None:
        states = {name: each for name, each in self._carrier.states().items() if name in self._held}
        self._control.tell_states(self.host, {k: v for k, v in states.items() if self._told.get(k) != v})
        self._told = states
