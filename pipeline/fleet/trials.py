"""Cameras of which one may have ended its host's run: they are tried one at a time, and put aside after three times.

Which camera of a run it was, nobody knows: each gets a strike. Those with a strike are tried again, on each host one at
a time: one that gives frames, or does no harm for a while, is forgiven, and what ends the run meanwhile is the one.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pipeline.fleet.control import Control
from pipeline.fleet.facts import MOST_STRIKES, CameraStatus, Strikes

_HARMLESS_SECONDS, _LIVE_SECONDS = 60.0, 5.0
"""On trial for so long, or with frames for so long, a camera is forgiven. Chosen by hand: a run ends after some deaths
in a row of a worker without any frame between them, which take about 20 s."""
_CLOCK = time.monotonic


@dataclass
class _Trial:
    begun: float = field(default_factory=lambda: _CLOCK())
    live_since: float | None = None

    def passed(self, live: bool) -> bool:
        """Whether it has been long enough, now that the camera is `live` or not."""
        self.live_since = (self.live_since or _CLOCK()) if live else None
        since_live = 0.0 if self.live_since is None else _CLOCK() - self.live_since
        return since_live > _LIVE_SECONDS or _CLOCK() - self.begun > _HARMLESS_SECONDS


class Trials:
    """Those of a host."""

    def __init__(self, control: Control, host: str) -> None:
        self._control, self._host = control, host
        self._strikes: Mapping[str, Strikes] = {}
        self._trials: dict[str, _Trial] = {}

    def learn(self, strikes: Mapping[str, Strikes]) -> None:
        """Take what a heartbeat says of all cameras with strikes."""
        self._strikes = strikes

    @property
    def put_aside(self) -> set[str]:
        """Cameras that nobody takes any more."""
        return {camera for camera, each in self._strikes.items() if each.count >= MOST_STRIKES}

    def may_take(self, camera: str) -> bool:
        """Whether the host may take a camera now."""
        return camera not in self._strikes or (not self._trials and camera not in self.put_aside)

    def begin(self, camera: str) -> None:
        """The host has taken it."""
        if camera in self._strikes:
            self._trials[camera] = _Trial()

    def look(self, states: Mapping[str, CameraStatus], held: Collection[str]) -> None:
        """Forgive cameras on trial that have done no harm, by how they do now. Raises `TransportError`."""
        for camera, trial in list(self._trials.items()):
            live = camera in states and states[camera].state in ("live", "running")
            if camera in held and not trial.passed(live):
                continue
            if camera in held:
                self._control.forgive(camera)
            del self._trials[camera]

    def blame(self, held: Collection[str], why: str) -> None:
        """The host's run has failed: strike the cameras on trial; where there is none, all. Raises `TransportError`."""
        self._control.strike(list(self._trials) or held, self._host, why)
