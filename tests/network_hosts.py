"""Hosts of their own in network namespaces: they share files, but no shared memory, no loopback and no host name.

From a test::

    with network_hosts("near", "far") as (near, far):
        near.start([...])
        far.unplug()     # the cable
        far.signal(signal.SIGKILL)

It needs Linux and rights of root; `network_hosts` skips the test where namespaces are refused.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

_OWN = 'mount -t tmpfs -o mode=1777 tmpfs /dev/shm && hostname "$0" && exec "$@"'
"""What a program of a host begins with: memory to share with its own children alone, and a name."""


class Host:
    """One of the hosts. Use `network_hosts`."""

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address
        self._space = f"raftline-{os.getpid()}-{name}"
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start a program there; what it says goes to a file."""
        own = ["ip", "netns", "exec", self._space, "unshare", "--mount", "--uts", "sh", "-c", _OWN, self.name]
        with open(log, "ab") as file:
            process = subprocess.Popen(
                [*own, *command], stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=dict(environment)
            )
        self._started.append(process)
        return process

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def pids(self) -> list[int]:
        """Of all processes that run there."""
        found = subprocess.run(["ip", "netns", "pids", self._space], capture_output=True, text=True, check=True)
        return [int(each) for each in found.stdout.split()]

    def unplug(self) -> None:
        """Nothing that it sends arrives any more, nor what is sent to it; nobody is told."""
        _ip("-n", self._space, "link", "set", "cable", "down")

    def plug(self) -> None:
        """After `unplug`."""
        _ip("-n", self._space, "link", "set", "cable", "up")

    def _build(self) -> None:
        _ip("netns", "add", self._space)
        _ip("-n", self._space, "link", "set", "lo", "up")

    def _connect(self, other: Host) -> None:
        _ip("-n", self._space, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", other._space)
        for host in (self, other):
            _ip("-n", host._space, "address", "add", f"{host.address}/24", "dev", "cable")
            host.plug()

    def _remove(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self.signal(signal.SIGKILL)
        for process in self._started:
            process.wait()
        subprocess.run(["ip", "netns", "delete", self._space], check=False, capture_output=True)


@contextmanager
def network_hosts(*names: str) -> Iterator[tuple[Host, Host]]:
    """Two hosts with a cable between them; skips the test where this system refuses that."""
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("hosts of their own need the programs ip (iproute2) and unshare (util-linux)")
    near, far = (Host(name, f"10.231.7.{number}") for number, name in enumerate(names, 1))
    try:
        try:
            near._build()
            far._build()
            near._connect(far)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"hosts of their own: this system refuses network namespaces: {error.stderr.strip()}")
        yield near, far
    finally:
        near._remove()
        far._remove()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
