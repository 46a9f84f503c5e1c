"""Two hosts, one run: the far one works on a stage through Redis alone, is cut off, sleeps, is killed, comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import yaml

from pipeline.transport.keys import Keys
from pipeline.transport.redis_server import find_program
from tests.network_hosts import Host, network_hosts
from tests.pipeline.running import PLUGINS

ROOT = Path(__file__).resolve().parent.parent
FRAMES_PER_SECOND = 100
PORT = 6379


class SharedRun:
    """A run on the near host, whose Redis the far host reaches; it is looked at from outside."""

    def __init__(self, near: Host, far: Host, folder: Path) -> None:
        self.near, self.far, self.folder = near, far, folder
        self.name = f"hosts-{os.getpid()}"
        self.url = f"redis://{near.address}:{PORT}/0"
        self.socket = folder / "redis.sock"
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
        counter = {"frames": 1_000_000, "frames_per_second": FRAMES_PER_SECOND}
        config = {
            "name": self.name,
            "output": str(folder / "out"),
            "payload": "inline",
            "redis": {"url": self.url},
            "sources": {"a": {"input": "counter"}},
            "stages": {
                "decoder": {"use": f"{PLUGINS}:Counter", "options": counter},
                "relay": {"use": f"{PLUGINS}:Relay", "reads": "decoder"},
                "log": {"use": f"{PLUGINS}:Logger", "reads": "relay"},
            },
        }
        self.config = folder / "hosts.yaml"
        self.config.write_text(yaml.safe_dump(config))

    def begin(self) -> None:
        """Start the server and the run."""
        server = [str(find_program().path), "--port", str(PORT), "--bind", self.near.address, "--save", ""]
        server += ["--protected-mode", "no", "--unixsocket", str(self.socket), "--dir", str(self.folder)]
        self.near.start(server, self.folder / "redis.log", self.environment)
        self.wait(self.socket.exists, "the server's socket")
        self.client = redis.Redis(unix_socket_path=str(self.socket))
        self.process = self._raftline(self.near, "run", str(self.config))

    def help_from_afar(self) -> None:
        """Start a worker on the far host."""
        self._raftline(self.far, "worker", str(self.config), "--stage", "relay")

    def _raftline(self, host: Host, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(ROOT / "run_pipeline.py"), *words]
        return host.start(command, self.folder / f"{host.name}.log", self.environment)

    def owner(self) -> str:
        """Name of the worker that has the relay; "" while nobody has."""
        token = self.client.get(Keys(self.name).lease("a", "relay"))
        return token.decode().partition("@")[2] if isinstance(token, bytes) else ""

    def lines(self) -> list[int]:
        """Indices of the frames that came through all stages."""
        file = self.folder / "out" / "a.log.txt"
        return [int(line.split()[0]) for line in file.read_text().splitlines()] if file.exists() else []

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 60.0) -> float:
        """Until it holds. Returns the seconds that it took."""
        begin = time.monotonic()
        while not condition():
            said = "".join(log.read_text()[-1500:] for log in self.folder.glob("*.log"))
            assert time.monotonic() - begin < seconds, f"{what}: owner {self.owner()!r}\n{said}"
            time.sleep(0.05)
        return time.monotonic() - begin

    def wait_for_owner(self, host: Host) -> None:
        """Until a worker of a host has the relay, and frames come through it."""
        self.wait(lambda: self.owner().startswith(f"{host.name}-"), f"the relay on {host.name}")
        before = len(self.lines())
        self.wait(lambda: len(self.lines()) > before + FRAMES_PER_SECOND, f"frames by {host.name}")

    def wait_until_told(self, words: str, times: int) -> None:
        """Until the far worker has said something so many times: TCP repeats what was lost after up to 13 s."""
        log = self.folder / f"{self.far.name}.log"
        self.wait(lambda: log.read_text().count(words) >= times, words)

    def pass_to_far(self) -> None:
        """Let the near worker stand still until the far one has the relay; then it wakes up late."""
        (sleeper,) = [pid for pid in self.near.pids() if Path(f"/proc/{pid}/comm").read_text() == "rl:relay\n"]
        os.kill(sleeper, signal.SIGSTOP)
        self.wait_for_owner(self.far)
        os.kill(sleeper, signal.SIGCONT)


@contextmanager
def shared_run(folder: Path) -> Iterator[SharedRun]:
    with network_hosts("near", "far") as (near, far):
        run = SharedRun(near, far, folder)
        run.begin()
        run.wait_for_owner(near)
        run.help_from_afar()
        yield run


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_far_host_that_is_cut_off_sleeps_and_dies_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with shared_run(tmp_path) as run:
        run.pass_to_far()
        run.far.unplug()
        run.wait_for_owner(run.near)
        run.far.plug()  # what it had sent arrives now
        run.wait_until_told("lost a to another worker", 1)

        run.pass_to_far()
        run.far.signal(signal.SIGSTOP)
        run.far.unplug()
        run.wait_for_owner(run.near)
        run.far.signal(signal.SIGCONT)  # it wakes up, and its host is still alone
        run.far.plug()
        run.wait_until_told("lost a to another worker", 2)

        run.pass_to_far()
        run.far.unplug()
        run.far.signal(signal.SIGKILL)
        run.wait_for_owner(run.near)
        run.far.plug()
        run.help_from_afar()  # the host is back
        run.pass_to_far()
        os.kill(run.process.pid, signal.SIGTERM)
        run.process.wait(60)
        lines = run.lines()
        assert lines == list(range(len(lines)))
